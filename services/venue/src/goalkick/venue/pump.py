"""Keeps the exchange alive: moves its time on, and lets the flow trade, on a timer."""

from collections.abc import Callable

from goalkick.venue.context import Context
from goalkick.venue.rounds import Rounds


class Pump(Rounds):
    """A task that advances the exchange and runs rounds of the flow.

    Attributes:
        paused: whether the flow stands still; the exchange's time goes on.
        rounds: rounds since the start.
    """

    def __init__(
        self, context: Context, trade: Callable[[int], None] | None, *, interval_s: float
    ) -> None:
        """Not running yet.

        Args:
            context: whose exchange is kept alive.
            trade: a round of the flow at a time in nanoseconds; None: nobody trades.
            interval_s: seconds between two rounds.
        """
        super().__init__(interval_s)
        self._context = context
        self._trade = trade
        self.paused = False
        self.rounds = 0

    def round(self) -> None:
        """One round, at the clock's time."""
        # The flow first: it makes each event at its own time, up to now.
        if self._trade is not None and not self.paused:
            self._trade(max(self._context.clock.now_ns(), self._context.exchange.now_ns))
        self._context.advance()
        self.rounds += 1
