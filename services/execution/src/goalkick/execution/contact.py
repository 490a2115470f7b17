"""How long contact with the venue and with the market has been lost: a pure part.

Time is what the venue's adapter says the clock shows: it goes on where the market stands still.
"""

from collections.abc import Collection
from typing import Final

import msgspec

from goalkick.common.events.market import BarClosed
from goalkick.common.events.venue import VenueContact
from goalkick.common.values.ids import InstrumentId

LATE: Final = 2
"""Lengths of a bar after whose end the next one is overdue: it takes one to come about."""


class Due(msgspec.Struct):
    """When the next bar of an instrument is overdue.

    Attributes:
        interval_ns: length of the shortest bars that come.
        at_ns: UTC ns.
    """

    interval_ns: int
    at_ns: int


class Contact(msgspec.Struct):
    """How contact stands.

    Attributes:
        now_ns: the clock as it was told last, UTC ns; 0: never.
        lost_ns: since when the venue is not heard or does not answer; 0: it is.
        stale: instruments without fresh bars -> since when; 0: since before the clock was told.
        due: by instrument: who would say that bars are stale may be silent itself.
    """

    now_ns: int = 0
    lost_ns: int = 0
    stale: dict[InstrumentId, int] = msgspec.field(default_factory=dict)
    due: dict[InstrumentId, Due] = msgspec.field(default_factory=dict)

    def heard(self, event: VenueContact) -> None:
        """Takes down how the venue stands, and what time it is."""
        self.now_ns = max(self.now_ns, event.at_ns)
        self.lost_ns = 0 if event.connected else self.lost_ns or self.now_ns
        for instrument, since_ns in self.stale.items():
            self.stale[instrument] = since_ns or self.now_ns

    def saw(self, bar: BarClosed) -> None:
        """Takes down that a bar came; one of the past says nothing about when the next is due."""
        at_ns = bar.time_ns + LATE * bar.interval_ns
        known = self.due.get(bar.instrument)
        if not self.now_ns or at_ns <= self.now_ns:
            self.due.pop(bar.instrument, None)
        elif known is None:
            self.due[bar.instrument] = Due(bar.interval_ns, at_ns)
        elif bar.interval_ns <= known.interval_ns:
            known.interval_ns, known.at_ns = bar.interval_ns, at_ns

    def begin(self) -> None:
        """After a restart: bars were not listened to, and none is due before the next one came."""
        self.due.clear()

    def is_lost(self, after_ns: int) -> bool:
        """Whether the venue has been away for at least so long."""
        return bool(self.lost_ns) and self.now_ns - self.lost_ns >= after_ns

    def blind(self, after_ns: int) -> Collection[InstrumentId]:
        """Instruments without fresh bars for at least so long."""
        limit_ns = self.now_ns - after_ns
        told = {name for name, since_ns in self.stale.items() if 0 < since_ns <= limit_ns}
        return told | {name for name, due in self.due.items() if due.at_ns <= limit_ns}
