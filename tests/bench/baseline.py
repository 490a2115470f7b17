"""What the interpreter itself costs: W1 by the plainest chain of events that still gets it right.

No checks, no ledger, no ids, no hash, one instrument. Every figure of the pipeline is also given
as a ratio to this one, run beside it, which says more on a busy machine than bars a second do.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from goalkick.ingest.candles import CandleTable
from tests.bench.workload import CASH

_FEE_PARTS = 1000
"""The fee is one part of so many of the notional."""

_CENT_PARTS = 1000
"""Cash is counted in thousandths of a cent, so that fees of whole cents stay whole."""


class Bar(msgspec.Struct, gc=False):
    """Prices in cents."""

    time_ns: int
    open: int
    close: int


class Averages(msgspec.Struct, gc=False):
    """After one bar."""

    fast: float
    slow: float


class Wish(msgspec.Struct, gc=False):
    """How much to hold."""

    target: int


class Order(msgspec.Struct, gc=False):
    """How much to buy; negative: to sell."""

    quantity: int


class Chain:
    """Four stages that hand each other events over one queue."""

    def __init__(self, fast: int, slow: int) -> None:
        self.cash = CASH * 100 * _CENT_PARTS
        self.held = self.trips = self.seen = 0
        self._slow_bars = slow
        self._weights = 2 / (fast + 1), 2 / (slow + 1)
        self._fast = self._slow = 0.0
        self._target = 0
        self._waiting: Order | None = None
        self._stages: dict[type, Callable[[Any], Iterable[object]]] = {
            Bar: self._on_bar,
            Averages: self._on_averages,
            Wish: self._on_wish,
            Order: self._on_order,
        }

    def run(self, table: CandleTable) -> tuple[int, float]:
        """Round trips and final equity."""
        queue: deque[object] = deque()
        stages = self._stages
        close = 0
        for time_ns, open_, close in zip(
            table.time_ns.tolist(),
            table.open.mantissas.tolist(),
            table.close.mantissas.tolist(),
            strict=True,
        ):
            queue.append(Bar(time_ns, open_, close))
            while queue:
                event = queue.popleft()
                for caused in stages[type(event)](event):
                    queue.append(caused)
        return self.trips, (self.cash / _CENT_PARTS + self.held * close) / 100

    def _on_bar(self, bar: Bar) -> Iterable[object]:
        if self._waiting is not None:
            self._trade(self._waiting.quantity, bar.open)
        price = bar.close / 100
        if not self.seen:
            self._fast = self._slow = price
        self.seen += 1
        self._fast += self._weights[0] * (price - self._fast)
        self._slow += self._weights[1] * (price - self._slow)
        return (Averages(self._fast, self._slow),) if self.seen >= self._slow_bars else ()

    def _on_averages(self, averages: Averages) -> Iterable[object]:
        return (Wish(1 if averages.fast > averages.slow else 0),)

    def _on_wish(self, wish: Wish) -> Iterable[object]:
        if wish.target == self._target:
            return ()
        quantity = wish.target - self._target
        self._target = wish.target
        return (Order(quantity),)

    def _on_order(self, order: Order) -> Iterable[object]:
        self._waiting = order
        return ()

    def _trade(self, quantity: int, price: int) -> None:
        value = quantity * price * _CENT_PARTS
        self.cash -= value + abs(value) // _FEE_PARTS
        self.held += quantity
        self.trips += quantity < 0
        self._waiting = None
