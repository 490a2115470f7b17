"""Binance spot, as strict as the real one: REST, market streams, and the WebSocket API.

What it says and refuses follows Binance's published documentation word for word; what has no
counterpart in the exchange (icebergs, trailing stops, order lists, pegs) is refused as Binance
refuses it on symbols that do not offer it.
"""
