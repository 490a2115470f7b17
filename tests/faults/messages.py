"""What a trial and its desk say to each other: lines of JSON over a local socket."""

from decimal import Decimal

import msgspec


class Stop(msgspec.Struct, frozen=True):
    """Stop at a point of this order, and say so; the kill follows."""

    point: str
    handle: str


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """The first line: open the desk.

    Attributes:
        venue: ccxt's name of the venue.
        endpoint: where it is served.
        state: file of the desk's state; for the service on Kafka, its settings.
        log: file that the desk's log is added to.
        stops: where to stop.
    """

    venue: str
    endpoint: str
    state: str
    log: str
    stops: list[Stop]


class Input(msgspec.Struct, frozen=True, tag="input"):
    """A decision of risk, as a line of JSON; they are counted from 1."""

    number: int
    event: str


class StopAlso(msgspec.Struct, frozen=True, tag="stop"):
    """One more place to stop at."""

    stop: Stop


class AskBooks(msgspec.Struct, frozen=True, tag="ask"):
    """What does the desk have?"""


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """A desk was made: this process is to be killed."""

    pid: int


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """The desk is open.

    Attributes:
        read: inputs that it has handled in all its lives; it wants those that follow.
        working: client order id -> status, of orders that have not ended.
    """

    read: int
    working: dict[str, str]


class Told(msgspec.Struct, frozen=True, tag="told"):
    """Reports, as lines of JSON, and where orders stand after them."""

    events: list[str]
    working: dict[str, str]


class Stopped(msgspec.Struct, frozen=True, tag="stopped"):
    """It is at a point where it was to stop, and does nothing any more."""

    stop: Stop


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It could not be opened, as may be while the venue is in trouble; it ends."""

    reason: str


class Books(msgspec.Struct, frozen=True, tag="books"):
    """What the desk believes to have.

    Attributes:
        cash: in quote currency.
        position: in base currency, signed.
    """

    cash: Decimal
    position: Decimal


ToDesk = Begin | Input | StopAlso | AskBooks
FromDesk = Hello | Opened | Told | Stopped | Failed | Books

_TO_DESK: msgspec.json.Decoder[ToDesk] = msgspec.json.Decoder(ToDesk)
_FROM_DESK: msgspec.json.Decoder[FromDesk] = msgspec.json.Decoder(FromDesk)

LIMIT = 1 << 24
"""Longest line, bytes."""


def write(message: ToDesk | FromDesk) -> bytes:
    """The message as a line."""
    return msgspec.json.encode(message) + b"\n"


def read_to_desk(line: bytes) -> ToDesk:
    """The message of a line."""
    return _TO_DESK.decode(line)


def read_from_desk(line: bytes) -> FromDesk:
    """The message of a line."""
    return _FROM_DESK.decode(line)
