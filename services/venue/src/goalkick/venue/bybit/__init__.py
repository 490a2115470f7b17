"""Bybit v5 spot, as strict as the real one: REST, public, private and trade WebSockets.

What it says and refuses follows Bybit's published documentation; what has no counterpart in the
exchange (margin, take-profit orders attached to orders, conditional orders) is refused.
"""
