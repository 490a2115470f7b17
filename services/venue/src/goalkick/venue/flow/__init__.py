"""Who trades on the exchange besides its clients: seeded makers and noise, or what was recorded."""
