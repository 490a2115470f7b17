"""The matching engine: a deterministic core that knows no wire, no clock and no network."""
