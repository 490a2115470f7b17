"""Goalkick's limiter: one budget of calls to venues for all copies that share an address or key."""
