"""Order books that are right or say that they are not.

A book starts at a snapshot and follows the venue's changes by the venue's own numbers or
checksums. At a gap, a wrong checksum, a crossed book or a change that cannot be read it becomes
invalid: it says so in `GapDetected`, publishes nothing, keeps the changes that come meanwhile and
asks for a snapshot. From the snapshot on, and those changes after it, it publishes again.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, Literal, NamedTuple

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event
from goalkick.common.events.market import (
    BookSnapshotTaken,
    FeedRecovered,
    GapDetected,
    QuoteChanged,
)
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.ingest.levels import Changes, Levels, Row, check_row, read_changes

STREAM: Final = "book"
MAX_OLD_IN_A_ROW: Final = 20
"""Old changes in a row after which the venue's numbers must have started anew: no reconnect
repeats more of a stream that sends ten messages a second."""

Checksum = Callable[[Levels], int]


class RefusedMessageError(InvalidDataError):
    """A message is wrong, and something must be published because of it.

    Attributes:
        events: that a book is invalid now.
    """

    def __init__(self, message: str, events: Sequence[Event] = ()) -> None:
        """What is wrong, and the events to publish."""
        super().__init__(message)
        self.events = tuple(events)


class Publishing(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a book is published.

    Attributes:
        levels: of each side in a `BookSnapshotTaken`; at least 1.
        interval_ns: least time between two of them, by event time; 0: one at every change.
    """

    levels: int = 20
    interval_ns: int = NS_PER_SECOND


class BookRules(msgspec.Struct, frozen=True, kw_only=True):
    """How a venue numbers and proves its books.

    Attributes:
        numbered: changes carry numbers that follow each other; else the book's number is the
            change's time in ns, made to rise.
        joins: which change may be the first after a snapshot: the one that `follows` it by its
            `previous`; also one that `covers_next` (first <= snapshot + 1 <= last: Binance's
            spot) or `covers_same` (first <= snapshot <= last: Binance's futures).
        checksum: computes what the venue sends with a change; None: it sends none.
        from_stream: snapshots come in the stream, so that changes before one are of no use and
            are not kept.
        max_levels: levels kept of each side; those farther from the best are dropped.
        max_waiting: changes kept while the book waits for a snapshot; the oldest are dropped.
    """

    numbered: bool = True
    joins: Literal["follows", "covers_next", "covers_same"] = "follows"
    checksum: Checksum | None = None
    from_stream: bool = True
    max_levels: int = 10_000
    max_waiting: int = 1_000


class Change(NamedTuple):
    """A change of a book as a venue says it.

    Attributes:
        time_ns: the venue's time of it.
        first: number of the first change in it; 0 where the venue has no numbers.
        last: number of the last change in it; 0 where the venue has no numbers.
        previous: `last` of the change before it, as far as the venue tells.
        bids, asks: rows of price and quantity, read already or not.
        checksum: of the book after it; None: the venue sent none.
    """

    time_ns: int
    first: int
    last: int
    previous: int
    bids: Sequence[Row] | Changes
    asks: Sequence[Row] | Changes
    checksum: int | None = None


class Book:
    """One instrument's book.

    Attributes:
        instrument: whose it is.
        levels: what is known of it; right only while `live`.
        live: it follows the venue without a gap, and publishes.
        sequence: the venue's number that it stands at.
        counts: what happened to changes and snapshots: `old`, `kept`, `dropped`, `gap`, ...
        max_levels: levels kept of each side; a venue's subscription may say how many.
    """

    def __init__(
        self,
        instrument: InstrumentId,
        rules: BookRules,
        publishing: Publishing,
        counts: Counter[str],
    ) -> None:
        """An empty book that waits for its first snapshot.

        Args:
            instrument: whose it is.
            rules: its venue's.
            publishing: how much of it is published.
            counts: where it counts; may be shared with other books.
        """
        self.instrument = instrument
        self.levels = Levels()
        self.live = False
        self.sequence = 0
        self.counts = counts
        self.max_levels = rules.max_levels
        self._rules = rules
        self._publishing = publishing
        self._waiting: deque[Change] = deque(maxlen=rules.max_waiting)
        self._fresh = False
        self._told = False
        self._old_in_a_row = 0
        self._time_ns = 0
        self._bid: Row | None = None
        self._ask: Row | None = None
        self._exact: tuple[Decimal, Decimal, Decimal, Decimal] | None = None
        self._pictured_ns: int | None = None
        self._pictured_sequence: int | None = None

    @property
    def needs_snapshot(self) -> bool:
        """Whether it waits for a snapshot (or, at venues that stream them, a new subscription)."""
        return not self.live

    def snapshot(
        self,
        time_ns: int,
        sequence: int,
        bids: Sequence[Row],
        asks: Sequence[Row],
        checksum: int | None = None,
    ) -> list[Event]:
        """Begins anew from the venue's whole book, then applies the changes kept since.

        Args:
            time_ns: the venue's time of it, or when it was received.
            sequence: the last number that it holds; ignored where the venue has none.
            bids: rows of price and quantity, in any order.
            asks: as `bids`.
            checksum: of the book; None: the venue sent none.

        Raises:
            RefusedMessageError: a row is wrong, or there are no levels at all.
        """
        rules, levels = self._rules, self.levels
        if self.live and not rules.from_stream and sequence < self.sequence:
            self.counts["old snapshot"] += 1
            return []
        if not bids and not asks:
            # An empty answer is the commonest broken one, and no book of a market.
            message = "expected levels in a snapshot, found an empty book"
            raise RefusedMessageError(message, self.lose(time_ns))
        try:
            levels.bids.load(read_changes(bids))
            levels.asks.load(read_changes(asks))
        except InvalidDataError as error:
            raise RefusedMessageError(str(error), self.lose(time_ns)) from None
        self.sequence = sequence if rules.numbered else self._risen(time_ns)
        self._fresh = True
        self._old_in_a_row = 0
        self.counts["snapshot"] += 1
        if wrong := self._wrong(checksum):
            return self._fail(time_ns, wrong)
        if self._waiting:
            # It came beside the changes, and later than most: it must not tell a later time.
            time_ns = min(time_ns, self._waiting[-1].time_ns)
        self._time_ns = time_ns
        return self._recovered() if self._caught_up() else []

    def change(self, change: Change) -> list[Event]:
        """Applies a change, or keeps it until there is a snapshot.

        Raises:
            RefusedMessageError: a row is wrong.
        """
        try:
            if not self.live:
                self._keep(change)
                return []
            found = self._apply(change)
        except InvalidDataError as error:
            raise RefusedMessageError(str(error), self.lose(change.time_ns)) from None
        if found is None:
            return self._publish()
        if not found:
            return []
        missing = max(1, change.first - self.sequence - 1) if found == "gap" else 1
        events = self._fail(change.time_ns, found, missing)
        try:
            self._keep(change)
        except InvalidDataError as error:
            raise RefusedMessageError(str(error), events) from None
        return events

    def lose(self, time_ns: int, missing: int = 1) -> list[Event]:
        """Makes the book invalid: its connection broke, or a change could not be read.

        Args:
            time_ns: when that was noticed, UTC.
            missing: changes known to be missing; at least 1.

        Returns:
            `GapDetected`, unless the book was invalid before.
        """
        self._waiting.clear()
        if not self.live:
            return []
        self.live = False
        self._told = True
        self._bid = self._ask = self._exact = None
        self._pictured_ns = self._pictured_sequence = None
        self.counts["lost"] += 1
        return [
            GapDetected(
                time_ns=time_ns,
                instrument=self.instrument,
                from_ns=min(self._time_ns, time_ns),
                to_ns=max(self._time_ns + 1, time_ns),
                missing=missing,
                stream=STREAM,
            )
        ]

    def flush(self) -> list[Event]:
        """The top of the book if it changed since it was last published."""
        if not self.live or self._pictured_sequence == self.sequence:
            return []
        return [self._picture(self._time_ns)]

    def _keep(self, change: Change) -> None:
        if self._rules.from_stream:
            self.counts["dropped"] += 1
            return
        for side in (change.bids, change.asks):
            # Now, while it is known whose fault it is: not when the snapshot comes.
            for row in side.rows if isinstance(side, Changes) else side:
                check_row(row)
        self.counts["dropped" if len(self._waiting) == self._rules.max_waiting else "kept"] += 1
        self._waiting.append(change)

    def _caught_up(self) -> bool:
        """Applies what was kept; False: the snapshot is too old for it, and another is needed."""
        waiting = list(self._waiting)
        self._waiting.clear()
        for number, change in enumerate(waiting):
            found = self._apply(change)
            if found:
                self.counts[found] += 1
                self._waiting.extend(waiting[number:])
                return False
        return True

    def _recovered(self) -> list[Event]:
        self.live = True
        if not self._told:
            return self._publish()
        self._told = False
        recovered = FeedRecovered(time_ns=self._time_ns, instrument=self.instrument, stream=STREAM)
        return [recovered, *self._publish()]

    def _apply(self, change: Change) -> str | None:
        """None: applied; "": old, dropped; else what is wrong with the book now."""
        numbered = self._rules.numbered
        if numbered and change.previous != self.sequence and not self._joins(change):
            return "gap" if change.last > self.sequence else self._old()
        bids, asks = change.bids, change.asks
        if not isinstance(bids, Changes):
            bids = read_changes(bids)
        if not isinstance(asks, Changes):
            asks = read_changes(asks)
        self.levels.bids.apply(bids)
        self.levels.asks.apply(asks)
        self.sequence = change.last if numbered else self._risen(change.time_ns)
        self._time_ns = change.time_ns
        self._fresh = False
        self._old_in_a_row = 0
        return self._wrong(change.checksum)

    def _old(self) -> str:
        self.counts["old"] += 1
        self._old_in_a_row += 1
        if self._fresh or self._old_in_a_row < MAX_OLD_IN_A_ROW:
            return ""
        return "numbers began anew"

    def _joins(self, change: Change) -> bool:
        """Whether a change that begins before a fresh snapshot goes on after it."""
        joins = self._rules.joins
        if not self._fresh or joins == "follows":
            return False
        needed = self.sequence + (joins == "covers_next")
        return change.first <= needed <= change.last

    def _wrong(self, checksum: int | None) -> str | None:
        levels = self.levels
        most = self.max_levels
        if len(levels.bids.rows) > most or len(levels.asks.rows) > most:
            levels.bids.keep(most)
            levels.asks.keep(most)
        if levels.crossed():
            return "crossed"
        if checksum is not None and self._rules.checksum is not None:
            if self._rules.checksum(levels) != checksum:
                return "wrong checksum"
            self.counts["checksum verified"] += 1
        return None

    def _risen(self, time_ns: int) -> int:
        return max(self.sequence + 1, time_ns)

    def _fail(self, time_ns: int, reason: str, missing: int = 1) -> list[Event]:
        self.counts[reason] += 1
        return self.lose(time_ns, missing)

    def _publish(self) -> list[Event]:
        events: list[Event] = []
        bid, ask = self.levels.bids.best(), self.levels.asks.best()
        if bid is None or ask is None:
            self._bid = self._ask = self._exact = None
        elif bid is not self._bid or ask is not self._ask:
            self._bid, self._ask = bid, ask
            exact = (Decimal(bid[0]), Decimal(bid[1]), Decimal(ask[0]), Decimal(ask[1]))
            # The venue may send the same numbers again, or 1.0 for 1.00.
            if exact != self._exact:
                self._exact = exact
                events.append(self._best(exact))
        pictured_ns = self._pictured_ns
        # A snapshot's time is that of its receipt: our clock may be well ahead of the venue's.
        if pictured_ns is None or abs(self._time_ns - pictured_ns) >= self._publishing.interval_ns:
            events.append(self._picture(self._time_ns))
        return events

    def _best(self, exact: tuple[Decimal, Decimal, Decimal, Decimal]) -> QuoteChanged:
        return QuoteChanged(
            time_ns=self._time_ns,
            instrument=self.instrument,
            bid=exact[0],
            bid_quantity=exact[1],
            ask=exact[2],
            ask_quantity=exact[3],
            sequence=self.sequence,
        )

    def _picture(self, time_ns: int) -> BookSnapshotTaken:
        self._pictured_ns = time_ns
        self._pictured_sequence = self.sequence
        count = self._publishing.levels
        return BookSnapshotTaken(
            time_ns=time_ns,
            instrument=self.instrument,
            bids=self.levels.bids.top(count),
            asks=self.levels.asks.top(count),
            sequence=self.sequence,
        )
