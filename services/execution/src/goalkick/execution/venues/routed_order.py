"""One order that several venues have parts of, under the same client order id. Pure.

What the venues say is told as if one had said it. While any part's fate is not known the order's is
not, and it has ended when every part has.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from goalkick.common.events.venue import (
    VenueAccepted,
    VenueClosed,
    VenueNotFound,
    VenueOrderEvent,
    VenueRejected,
    VenueTraded,
    VenueUnreachable,
)
from goalkick.common.values.money import ZERO


class Fate(StrEnum):
    """How a part stands."""

    ASKED = "asked"
    """The venue has not answered yet."""
    OPEN = "open"
    UNKNOWN = "unknown"
    ABSENT = "absent"
    """It is not there and never was."""
    ENDED = "ended"


class Part(msgspec.Struct):
    """What one venue has of it.

    Attributes:
        quantity: what was sent there, in base currency; None: whoever sent it was here before us.
        filled: traded, in base currency.
        trades: the venue's ids of the trades.
        reason: why it is not there, or has ended.
    """

    quantity: Decimal | None
    fate: Fate = Fate.ASKED
    filled: Decimal = ZERO
    trades: set[str] = msgspec.field(default_factory=set)
    cancelled: bool = False
    rejected: bool = False
    reason: str = ""

    @property
    def doubted(self) -> bool:
        """Whether nobody knows what became of it."""
        return self.fate is Fate.UNKNOWN

    @property
    def over(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.fate in (Fate.ABSENT, Fate.ENDED)


class RoutedOrder:
    """The parts of one order.

    Attributes:
        parts: by the venue's name among those that are routed over.
        rest: what of it was sent nowhere, and why, for people; "": nothing.
    """

    def __init__(self, quantities: Mapping[str, Decimal | None], rest: str = "") -> None:
        """Sent, or asked about, and not answered yet.

        Args:
            quantities: what was sent, by the venue's name; None: whoever sent it was here before.
            rest: what was sent nowhere, and why.
        """
        self.parts = {name: Part(quantity) for name, quantity in quantities.items()}
        self.rest = rest
        self._ended = False
        self._withheld: VenueAccepted | None = None

    @property
    def over(self) -> bool:
        """Whether every part has ended."""
        return all(part.over for part in self.parts.values())

    @property
    def doubted(self) -> bool:
        """Whether any part's fate is not known."""
        return any(part.doubted for part in self.parts.values())

    @property
    def unasked(self) -> bool:
        """Whether a venue may have a part that somebody before us sent, and was not asked."""
        parts = self.parts.values()
        return any(part.quantity is None and part.fate is Fate.ASKED for part in parts)

    def asked(self) -> Sequence[str]:
        """Somebody asks about it: the venues that can say something."""
        self._ended = False
        for part in self.parts.values():
            if part.quantity is None and part.fate is Fate.ASKED:
                part.fate = Fate.UNKNOWN
        return [name for name, part in self.parts.items() if not part.over] or [*self.parts]

    def hear(self, venue: str, news: VenueOrderEvent) -> Sequence[VenueOrderEvent]:
        """What is to be told because of a venue's news of its part, in our words."""
        part = self.parts.setdefault(venue, Part(None))
        told: list[VenueOrderEvent] = []
        match news:
            case VenueTraded():
                told += self._traded(venue, part, news)
            case VenueAccepted():
                part.fate = Fate.OPEN
                number = f"{venue}:{news.venue_order_id}"
                self._withheld = msgspec.structs.replace(news, venue_order_id=number)
            case VenueUnreachable():
                part.fate = Fate.UNKNOWN
                reason = f"{venue}: {news.reason}"
                told.append(msgspec.structs.replace(news, reason=reason))
            case VenueRejected():
                part.fate, part.rejected = Fate.ABSENT, True
                part.reason = f"{venue}: {news.reason}"
            case VenueClosed():
                part.fate, part.cancelled = Fate.ENDED, news.cancelled
                part.reason = f"{venue}: {news.reason}"
            case VenueNotFound() if part.fate is Fate.OPEN or part.trades:
                # That it is not known any more is no evidence of anything.
                part.fate = Fate.UNKNOWN
                reason = f"{venue}: the venue does not know a part that it had accepted"
                told.append(VenueUnreachable(**_about(news), reason=reason))
            case VenueNotFound():
                part.fate = Fate.ABSENT
        if self._withheld is not None and not self.doubted:
            # That one part is there says nothing of another.
            told.append(self._withheld)
            self._withheld = None
        return [*told, *self._end(news)]

    def _traded(self, venue: str, part: Part, news: VenueTraded) -> Sequence[VenueOrderEvent]:
        trade = msgspec.structs.replace(news, trade_id=f"{venue}:{news.trade_id}")
        if news.trade_id in part.trades:
            return (trade,)
        part.trades.add(news.trade_id)
        part.filled += news.quantity
        if not part.over:
            whole = part.quantity is not None and part.filled >= part.quantity
            part.fate = Fate.ENDED if whole else Fate.OPEN
        if not self.doubted:
            return (trade,)
        # A trade of one part would else pass for the end of the doubt about another.
        reason = "the fate of another part is not known"
        return trade, VenueUnreachable(**_about(news), reason=reason)

    def _end(self, news: VenueOrderEvent) -> Sequence[VenueOrderEvent]:
        if self._ended or not self.over:
            return ()
        self._ended = True
        parts, about = self.parts.values(), _about(news)
        reasons = [part.reason for part in parts if part.reason]
        reason = "; ".join([*reasons, *([self.rest] if self.rest else [])])
        if any(part.fate is Fate.ENDED for part in parts):
            cancelled = any(part.cancelled for part in parts)
            if all(part.filled == part.quantity for part in parts) and not self.rest:
                return ()  # its last trade has said so
            return (VenueClosed(**about, cancelled=cancelled, reason=reason),)
        if any(part.rejected for part in parts):
            return (VenueRejected(**about, reason=reason),)
        return (VenueNotFound(**about),)


def _about(news: VenueOrderEvent) -> dict[str, Any]:
    return {
        "time_ns": news.time_ns,
        "client_order_id": news.client_order_id,
        "instrument": news.instrument,
    }
