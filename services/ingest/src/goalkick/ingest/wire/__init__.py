"""Venues' wire messages to market events: one module per venue, pure, tested on recordings."""
