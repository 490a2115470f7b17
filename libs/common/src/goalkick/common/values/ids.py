"""Ids: derived from what caused a thing, never random, so that a repeated event has the same id."""

from hashlib import blake2b
from typing import NewType

EventId = NewType("EventId", str)
"""32 lower-case hexadecimal digits."""
InstrumentId = NewType("InstrumentId", str)
"""`<venue>:<name>`, for example `binance:BTC/USDT`; the name is ccxt's unified one."""
AccountId = NewType("AccountId", str)
StrategyId = NewType("StrategyId", str)
ModelId = NewType("ModelId", str)
ClientOrderId = NewType("ClientOrderId", str)
"""At most 36 characters of [a-z0-9-]: what every supported venue accepts."""


_EMPTY = blake2b(digest_size=16)
"""To copy a hash is three times as fast as to begin one."""


def derive_id(cause: str, kind: str, counter: int = 0) -> EventId:
    """The id of the `counter`-th event of `kind` that `cause` leads to (BLAKE2b, 128 bits)."""
    hasher = _EMPTY.copy()
    hasher.update(f"{cause}|{kind}|{counter}".encode())
    return EventId(hasher.hexdigest())


def client_order_id(order: EventId) -> ClientOrderId:
    """The venue's handle of an approved order: the same for every attempt to place it."""
    return ClientOrderId(f"gk-{order}")


def venue_of(instrument: InstrumentId) -> str:
    """The venue part of an instrument id."""
    return instrument.partition(":")[0]


def name_of(instrument: InstrumentId) -> str:
    """The instrument's name on its venue, ccxt's unified spelling (`BTC/USDT`)."""
    return instrument.partition(":")[2]
