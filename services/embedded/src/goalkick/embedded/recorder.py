"""What is kept of a run: the fate of every order, the fills, the equity, a hash of it all.

Listens to events only, so it sees what everybody sees and can change nothing.
"""

import hashlib
from array import array
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from goalkick.common.codec.json import canonical
from goalkick.common.events.base import Event
from goalkick.common.events.market import BarClosed, GapDetected
from goalkick.common.events.order import (
    BalanceChanged,
    Fill,
    OrderAccepted,
    OrderApproved,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderPartiallyFilled,
    OrderRefused,
    OrderRejected,
    OrderReport,
    OrderUnknown,
    PositionChanged,
)
from goalkick.common.topics import TOPIC_OF
from goalkick.common.values.ids import EventId, InstrumentId
from goalkick.common.values.money import ZERO
from goalkick.embedded.performance import Curve

_DECISIONS, _REPORTS = TOPIC_OF[OrderApproved], TOPIC_OF[OrderFilled]

Prices = Mapping[InstrumentId, tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]
"""Instrument -> (time_ns, close): closes of bars in order of time, UTC, and in quote currency."""

T = TypeVar("T", bound=np.generic)

_HASHED_AT_ONCE = 1 << 16
"""Bytes: a hash is faster by the block."""


class OrderRecord(msgspec.Struct, kw_only=True):
    """One decision of risk, and what became of it.

    Attributes:
        decision: the approval or the refusal.
        outcome: `refused`, `approved` (nothing heard yet), or the last report's word: `accepted`,
            `partially filled`, `filled`, `rejected`, `cancelled`, `expired`, `unknown`.
        reason: why it was refused or ended; "" for an order that filled.
        fills: its trades, in order.
        updated_ns: time of the last word on it.
    """

    decision: OrderApproved | OrderRefused
    outcome: str
    reason: str = ""
    fills: tuple[Fill, ...] = ()
    updated_ns: int

    @property
    def filled(self) -> Decimal:
        """Traded, base currency."""
        return self.fills[-1].filled if self.fills else ZERO

    @property
    def average_price(self) -> Decimal | None:
        """Of its trades, quote currency; None if there are none."""
        if not self.fills:
            return None
        return sum((fill.quantity * fill.price for fill in self.fills), ZERO) / self.filled

    @property
    def fees(self) -> Decimal:
        """Paid, quote currency."""
        return sum((fill.fee for fill in self.fills), ZERO)


class Recorder:
    """Listens to decisions and reports."""

    def __init__(self) -> None:
        """Nothing was said yet."""
        self.orders: list[OrderRecord] = []
        self.fills: list[Fill] = []
        self.gaps = 0
        self.missing = 0
        self._open: dict[EventId, OrderRecord] = {}
        self._hash = hashlib.sha256()
        self._unhashed = bytearray()

    @property
    def decisions_sha256(self) -> str:
        """Of all events on the topics of decisions and reports, in their order; hexadecimal."""
        self._hash_rest()
        return self._hash.hexdigest()

    def sinks(self) -> Sequence[tuple[type[Event], Callable[..., object]]]:
        """What to connect to the bus."""
        listeners: list[tuple[type[Event], Callable[..., object]]] = [
            (kind, self._digest) for topic in (_DECISIONS, _REPORTS) for kind in topic.events
        ]
        listeners += [
            (OrderApproved, self._on_approved),
            (OrderRefused, self._on_refused),
            (OrderPartiallyFilled, self._on_fill),
            (OrderFilled, self._on_fill),
            (GapDetected, self._on_gap),
        ]
        for kind, outcome in _OUTCOMES.items():
            listeners.append((kind, self._noting(outcome)))
        return listeners

    def _digest(self, event: Event) -> None:
        self._unhashed += canonical(event)
        if len(self._unhashed) > _HASHED_AT_ONCE:
            self._hash_rest()

    def _hash_rest(self) -> None:
        self._hash.update(self._unhashed)
        self._unhashed.clear()

    def _on_approved(self, event: OrderApproved) -> None:
        record = OrderRecord(decision=event, outcome="approved", updated_ns=event.time_ns)
        self.orders.append(record)
        self._open[event.order] = record

    def _on_refused(self, event: OrderRefused) -> None:
        reason = f"{event.code}: {event.detail}"
        self.orders.append(
            OrderRecord(decision=event, outcome="refused", reason=reason, updated_ns=event.time_ns)
        )

    def _on_fill(self, fill: Fill) -> None:
        self.fills.append(fill)
        record = self._open.get(fill.order)
        if record is None:
            return
        record.outcome = "partially filled" if fill.remaining else "filled"
        record.fills += (fill,)
        record.updated_ns = fill.time_ns
        if not fill.remaining:
            del self._open[fill.order]

    def _noting(self, outcome: str) -> Callable[[OrderReport], None]:
        def note(report: OrderReport) -> None:
            record = self._open.get(report.order)
            if record is not None:
                record.outcome = outcome
                record.reason = getattr(report, "reason", "")
                record.updated_ns = report.time_ns

        return note

    def _on_gap(self, gap: GapDetected) -> None:
        self.gaps += 1
        self.missing += gap.missing


_OUTCOMES: dict[type[Event], str] = {
    OrderAccepted: "accepted",
    OrderRejected: "rejected",
    OrderCancelled: "cancelled",
    OrderExpired: "expired",
    OrderUnknown: "unknown",
}


class EquityRecorder:
    """Equity at the end of every moment at which it may have changed: exact, kept as float64.

    While nothing is held equity stands still, so nothing is noted: `curve` fills the moments in
    between.
    """

    def __init__(self, initial: Decimal) -> None:
        """Before the first bar.

        Args:
            initial: the opening balance.
        """
        self._initial = float(initial)
        self._held: set[InstrumentId] = set()
        self._time_ns = array("q")
        self._equity = array("d")
        self._invested = bytearray()
        self.changing = True
        """Whether this moment's equity must be noted."""

    def sinks(self) -> Sequence[tuple[type[Event], Callable[..., object]]]:
        """What to connect to the bus."""
        return [(PositionChanged, self._on_position), (BalanceChanged, self._on_balance)]

    def note(self, time_ns: int, equity: Decimal) -> None:
        """Notes equity at the end of a moment."""
        self._time_ns.append(time_ns)
        self._equity.append(float(equity))
        self._invested.append(bool(self._held))
        self.changing = bool(self._held)

    def curve(self, time_ns: npt.NDArray[np.int64]) -> Curve:
        """The whole curve.

        Args:
            time_ns: (n,) the moments that closed a bar, rising; n >= 1.
        """
        noted = np.searchsorted(_view(self._time_ns, np.int64), time_ns, side="right") - 1
        return Curve(
            time_ns=time_ns,
            equity=_view(self._equity, np.float64)[noted],
            invested=_view(self._invested, np.bool_)[noted],
            initial=self._initial,
        )

    def _on_position(self, event: PositionChanged) -> None:
        if event.quantity:
            self._held.add(event.instrument)
        else:
            self._held.discard(event.instrument)

    def _on_balance(self, _: BalanceChanged) -> None:
        self.changing = True


class PriceRecorder:
    """The closes of every instrument, for charts; only where no table has them anyway."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._series: dict[InstrumentId, tuple[array[int], array[float]]] = {}

    def sinks(self) -> Sequence[tuple[type[Event], Callable[..., object]]]:
        """What to connect to the bus."""
        return [(BarClosed, self._on_bar)]

    def prices(self) -> Prices:
        """What was seen."""
        return {
            name: (_view(time_ns, np.int64), _view(close, np.float64))
            for name, (time_ns, close) in self._series.items()
        }

    def _on_bar(self, bar: BarClosed) -> None:
        series = self._series.get(bar.instrument)
        if series is None:
            series = self._series[bar.instrument] = (array("q"), array("d"))
        series[0].append(bar.time_ns)
        series[1].append(float(bar.close))


def _view(values: "array[int] | array[float] | bytearray", kind: type[T]) -> npt.NDArray[T]:
    """An array over the same memory: nothing may be added to `values` while it is used."""
    return np.frombuffer(values, dtype=kind)
