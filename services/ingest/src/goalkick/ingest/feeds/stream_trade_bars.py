"""Bars of a venue's trades, beside its stream: whole ones, or none.

What the trades do not tell for certain (a bar that had begun before they were heard, one that may
lack a trade) is left to the venue's own bars, which are asked for when they are overdue.
"""

from collections.abc import Iterable

from goalkick.common.events.market import BarClosed, GapDetected, TradePrinted
from goalkick.common.values.ids import InstrumentId
from goalkick.ingest.bars import Fate, TradeBars
from goalkick.ingest.feeds.live_bars import LiveBars
from goalkick.ingest.feeds.stream_trades import TradeLines


class BarsFromTrades:
    """The bars of one venue's instruments.

    Attributes:
        late: trades that came after their bar had closed.
    """

    def __init__(
        self,
        instruments: Iterable[InstrumentId],
        interval_ns: int,
        settle_ns: int,
        trades: TradeLines,
        bars: LiveBars,
        now_ns: int,
    ) -> None:
        """Builds bars from the first one that begins after `now_ns`.

        Args:
            instruments: whose.
            interval_ns: length of a bar.
            settle_ns: time after its end for which a bar waits for trades.
            trades: knows whether all trades have been heard.
            bars: where the bars go.
            now_ns: the clock's time.
        """
        self.late = 0
        self._interval_ns = interval_ns
        self._settle_ns = settle_ns
        self._trades = trades
        self._bars = bars
        self._cores: dict[InstrumentId, TradeBars] = {}
        self._whole_ns: dict[InstrumentId, int] = {}
        for instrument in instruments:
            core = TradeBars(instrument, (interval_ns,), grace_ns=settle_ns, numbered=False)
            core.advance(now_ns)
            self._cores[instrument] = core
            self._whole_ns[instrument] = self._next(now_ns)

    def on_trade(self, trade: TradePrinted) -> None:
        """Counts in a trade that is told."""
        outcome = self._cores[trade.instrument].on_trade(trade)
        self.late += outcome.fate is Fate.LATE
        self._tell(trade.instrument, outcome.told)

    def on_gap(self, gap: GapDetected) -> None:
        """Learns that trades are missing."""
        self._cores[gap.instrument].missed(gap.from_ns, gap.to_ns)
        self._whole_ns[gap.instrument] = self._next(gap.to_ns)

    def advance(self, now_ns: int) -> None:
        """Learns that it is `now_ns`: bars close, and spans without a trade have none."""
        for instrument, core in self._cores.items():
            if not self._trades.sure(instrument):
                continue
            self._tell(instrument, core.advance(now_ns))
            if self._bars.known_ns(instrument) >= self._whole_ns[instrument]:
                self._bars.reach(instrument, now_ns - self._settle_ns)

    def _tell(self, instrument: InstrumentId, told: Iterable[BarClosed | GapDetected]) -> None:
        for bar in told:
            whole = isinstance(bar, BarClosed) and bar.open_time_ns >= self._whole_ns[instrument]
            if whole and bar.time_ns - self._interval_ns <= self._bars.known_ns(instrument):
                assert isinstance(bar, BarClosed)  # noqa: S101 - for the type checker
                self._bars.add(instrument, (bar,))

    def _next(self, time_ns: int) -> int:
        """Where the next bar opens."""
        return time_ns - time_ns % self._interval_ns + self._interval_ns
