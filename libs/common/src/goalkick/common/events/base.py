"""What all events share."""

from enum import StrEnum

import msgspec

from goalkick.common.values.ids import EventId, derive_id


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A fact or a command, immutable, with its event time.

    Events are trees of values, so the cyclic garbage collector need not know them (`gc=False`).

    Attributes:
        time_ns: when it became known, UTC ns; never later than the event that it causes.
    """

    time_ns: int

    @property
    def id(self) -> EventId:
        """Derived from the event's natural key; equal for a repetition of the same event."""
        return derive_id(self.natural_key(), type(self).__name__)

    @property
    def key(self) -> str:
        """The partition key: instrument up to strategy, account from risk on."""
        raise NotImplementedError(type(self).__name__)

    def natural_key(self) -> str:
        """What makes the event unique among its type."""
        return f"{self.key}|{self.time_ns}"


class Side(StrEnum):
    """Which way an order trades."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for buy, -1 for sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY
