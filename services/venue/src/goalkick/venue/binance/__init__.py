"""Binance spot, as strict as the real one: REST, market streams, and the WebSocket API.

What it says and refuses follows Binance's published documentation word for word; what has no
counterpart in the exchange (icebergs, trailing stops, order lists, pegs) is refused as Binance
refuses it on symbols that do not offer it.

Not published, and therefore a guess until somebody compares it with a recording: how many
requests after 429 bring a ban, the order in which parameters and signature are judged where both
are wrong, the codes of close frames, what an unknown stream name is answered with, and the text
of -4056 (a session wants an Ed25519 key). Microseconds (`timeUnit`) are not served.
"""
