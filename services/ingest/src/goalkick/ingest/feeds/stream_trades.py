"""Whether each trade that a venue streams follows the one before it: pure.

Where trades are numbered one by one a missing number shows a hole; where they are not, whatever
happened between two connections may be missing. Messages that come after a hole are put aside
until the venue has been asked for its last trades; what even those do not hold is told as a gap.
"""

from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from goalkick.common.events.base import Event
from goalkick.common.events.market import GapDetected, TradePrinted
from goalkick.common.values.ids import InstrumentId


class _Line(msgspec.Struct):
    """One instrument's trades.

    Attributes:
        last: the last one that was told.
        doubtful: the connection was built anew since.
        asking: the venue is being asked; what comes is put aside.
        waiting: what was put aside.
    """

    last: TradePrinted | None = None
    doubtful: bool = False
    asking: bool = False
    waiting: deque[TradePrinted] = msgspec.field(default_factory=deque)


class TradeLines:
    """The trades of one venue's instruments.

    Attributes:
        late: trades that came again, or after a later one; they are dropped.
        mended: trades that were missing and fetched.
    """

    def __init__(self, *, numbered: bool) -> None:
        """Has heard none; `numbered`: ids are consecutive numbers."""
        self.late = self.mended = 0
        self._numbered = numbered
        self._lines: dict[InstrumentId, _Line] = {}

    def disconnected(self) -> None:
        """Trades may be missed from now on, until the venue has been asked."""
        for line in self._lines.values():
            line.doubtful = line.last is not None

    def sure(self, instrument: InstrumentId) -> bool:
        """Whether every trade up to now was heard, as far as anybody can know."""
        line = self._lines.get(instrument)
        return line is not None and not line.doubtful and not line.asking

    def take(self, trade: TradePrinted) -> Sequence[Event] | None:
        """A trade came; what is to be told, or None: it waits until the venue has been asked."""
        line = self._lines.get(trade.instrument)
        if line is None:
            line = self._lines[trade.instrument] = _Line()
        if line.asking:
            line.waiting.append(trade)
            return ()
        last = line.last
        if last is None:
            line.last = trade
            return (trade,)
        if self._numbered:
            step = int(trade.trade_id) - int(last.trade_id)
            if step == 1:
                line.last, line.doubtful = trade, False
                return (trade,)
            if step <= 0:
                self.late += 1
                return ()
        elif not line.doubtful:
            line.last = trade
            return (trade,)
        line.asking = True
        line.waiting.append(trade)
        return None

    def missing(self, instrument: InstrumentId) -> int:
        """How many trades are known to be missing; at least 1, for what is asked about."""
        line = self._lines[instrument]
        if not self._numbered or line.last is None or not line.waiting:
            return 1
        return int(line.waiting[0].trade_id) - int(line.last.trade_id) - 1

    def answered(self, instrument: InstrumentId, fetched: Iterable[TradePrinted]) -> list[Event]:
        """The venue answered with its last trades, oldest first, or with none: what is to be told.

        Each trade once, in order, and a gap where neither the answer nor the stream has it.
        """
        line = self._lines[instrument]
        line.asking = line.doubtful = False
        known = {trade.trade_id: trade for trade in fetched}
        came = {trade.trade_id for trade in line.waiting}
        last = line.last
        joined = last is None or last.trade_id in known or self._joins(last, [*known.values()])
        newer = self._newer(list(known.values()), last)
        self.mended += sum(trade.trade_id not in came for trade in newer)
        fresh = {trade.trade_id for trade in newer}
        trades = newer + [trade for trade in line.waiting if trade.trade_id not in fresh]
        line.waiting.clear()
        if self._numbered:
            trades.sort(key=_number)
        told: list[Event] = []
        for place, trade in enumerate(trades):
            gap = self._gap(line.last, trade, joined=joined or place > 0)
            if gap is not None:
                told.append(gap)
            told.append(trade)
            line.last = trade
        return told

    def _newer(
        self, fetched: Sequence[TradePrinted], last: TradePrinted | None
    ) -> list[TradePrinted]:
        if last is None:
            return []
        if self._numbered:
            return [trade for trade in fetched if _number(trade) > _number(last)]
        ids = [trade.trade_id for trade in fetched]
        if last.trade_id in ids:
            return list(fetched[ids.index(last.trade_id) + 1 :])
        return [trade for trade in fetched if trade.time_ns > last.time_ns]

    def _joins(self, last: TradePrinted, fetched: Sequence[TradePrinted]) -> bool:
        return self._numbered and bool(fetched) and _number(fetched[0]) == _number(last) + 1

    def _gap(
        self, last: TradePrinted | None, trade: TradePrinted, *, joined: bool
    ) -> GapDetected | None:
        if last is None:
            return None
        missing = _number(trade) - _number(last) - 1 if self._numbered else int(not joined)
        if missing <= 0:
            return None
        from_ns, to_ns = sorted((last.time_ns, trade.time_ns))
        return GapDetected(
            time_ns=trade.time_ns,
            instrument=trade.instrument,
            from_ns=from_ns,
            to_ns=to_ns + 1,
            missing=missing,
            stream="trade",
        )


def _number(trade: TradePrinted) -> int:
    return int(trade.trade_id)
