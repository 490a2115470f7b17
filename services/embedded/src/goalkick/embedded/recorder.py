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

from goalkick.common.codec.json import canonical_all
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
    OrderWorked,
    PositionChanged,
)
from goalkick.common.topics import TOPIC_OF
from goalkick.common.values.ids import EventId, InstrumentId
from goalkick.common.values.money import ZERO
from goalkick.embedded.performance import Curve, Floats, Times

_DECISIONS, _REPORTS = TOPIC_OF[OrderApproved], TOPIC_OF[OrderFilled]

Prices = Mapping[InstrumentId, tuple[Times, Floats]]
"""Instrument -> (time_ns, close): closes of bars in order of time, UTC, and in quote currency."""

T = TypeVar("T", bound=np.generic)

_HASHED_AT_ONCE = 500
"""Events: both their bytes and the hash are faster by the block."""


class OrderRecord(msgspec.Struct, kw_only=True):
    """One decision of risk, and what became of it.

    Attributes:
        decision: the approval or the refusal.
        outcome: `refused`, `approved` (nothing heard yet), or the last report's word: `accepted`,
            `partially filled`, `filled`, `rejected`, `cancelled`, `expired`, `unknown`; `worked`
            of one that an algo worked and that something is left of.
        reason: why it was refused or ended; "" for an order that filled.
        fills: its trades, in order; those of its child orders on its side.
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
        return sum((fill.quantity for fill in self.fills), ZERO)

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
        self._unhashed: list[Event] = []

    @property
    def decisions_sha256(self) -> str:
        """Of all events on the topics of decisions and reports, in their order; hexadecimal."""
        self._hash_rest()
        return self._hash.hexdigest()

    def sinks(self) -> Sequence[tuple[type[Event], Callable[..., object]]]:
        """What to connect to the bus."""
        listeners: list[tuple[type[Event], Callable[..., object]]] = [
            (kind, self._unhashed.append)
            for topic in (_DECISIONS, _REPORTS)
            for kind in topic.events
        ]
        listeners += [
            (OrderApproved, self._on_approved),
            (OrderRefused, self._on_refused),
            (OrderPartiallyFilled, self._on_fill),
            (OrderFilled, self._on_fill),
            (OrderWorked, self._on_worked),
            (GapDetected, self._on_gap),
        ]
        for kind, outcome in _OUTCOMES.items():
            listeners.append((kind, self._noting(outcome)))
        return listeners

    def _hash_rest(self) -> None:
        self._hash.update(canonical_all(self._unhashed))
        self._unhashed.clear()

    def _hash_block(self) -> None:
        # Asked for at each decision: reports come a handful for each.
        if len(self._unhashed) > _HASHED_AT_ONCE:
            self._hash_rest()

    def _on_approved(self, event: OrderApproved) -> None:
        self._hash_block()
        record = OrderRecord(decision=event, outcome="approved", updated_ns=event.time_ns)
        self.orders.append(record)
        self._open[event.order] = record

    def _on_refused(self, event: OrderRefused) -> None:
        self._hash_block()
        reason = f"{event.code}: {event.detail}"
        self.orders.append(
            OrderRecord(decision=event, outcome="refused", reason=reason, updated_ns=event.time_ns)
        )

    def _on_fill(self, fill: Fill) -> None:
        self.fills.append(fill)
        record = self._open.get(fill.parent or fill.order)
        if record is None:
            return
        record.updated_ns = fill.time_ns
        if fill.parent is not None:
            record.outcome = "partially filled"
            if fill.side is record.decision.side:
                record.fills += (fill,)
            return
        record.outcome = "partially filled" if fill.remaining else "filled"
        record.fills += (fill,)
        if not fill.remaining:
            del self._open[fill.order]

    def _on_worked(self, event: OrderWorked) -> None:
        record = self._open.pop(event.order, None)
        if record is not None:
            record.outcome = "worked" if event.leftover else "filled"
            record.reason = event.detail or (event.leftover_reason if event.leftover else "")
            record.updated_ns = event.time_ns

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
    """Cash and positions whenever they change: with the closes, the equity of every moment.

    Only changes are noted. What a bar is worth is worked out afterwards, for all bars at once.
    """

    def __init__(self, initial: Decimal) -> None:
        """Before the first bar.

        Args:
            initial: the opening balance.
        """
        self._initial = float(initial)
        self._cash = _Changes()
        self._held: dict[InstrumentId, _Changes] = {}

    def sinks(self) -> Sequence[tuple[type[Event], Callable[..., object]]]:
        """What to connect to the bus."""
        return [(PositionChanged, self._on_position), (BalanceChanged, self._on_balance)]

    def curve(self, prices: Prices) -> Curve:
        """The whole curve: a point for each moment that closed a bar.

        In float64, so a point may be some 1e-15 of its value beside the exact equity.

        Args:
            prices: the closes that were reached, of every instrument; at least one.
        """
        time_ns = _moments([times for times, _ in prices.values()])
        equity = self._cash.at(time_ns, self._initial)
        invested = np.zeros(len(time_ns), dtype=np.bool_)
        for instrument, changes in self._held.items():
            held = changes.at(time_ns, 0.0)
            invested |= held != 0
            held *= _latest(prices[instrument], time_ns)
            equity += held
        return Curve(time_ns=time_ns, equity=equity, invested=invested, initial=self._initial)

    def _on_position(self, event: PositionChanged) -> None:
        changes = self._held.get(event.instrument)
        if changes is None:
            changes = self._held[event.instrument] = _Changes()
        changes.note(event.time_ns, event.quantity)

    def _on_balance(self, event: BalanceChanged) -> None:
        self._cash.note(event.time_ns, event.total)


class _Changes:
    """A figure that stands still between the moments at which it changes."""

    def __init__(self) -> None:
        self._time_ns = array("q")
        self._value = array("d")

    def note(self, time_ns: int, value: Decimal) -> None:
        self._time_ns.append(time_ns)
        self._value.append(float(value))

    def at(self, time_ns: Times, before: float) -> Floats:
        """(n,) its value after each of the moments; `before` until the first change."""
        value = np.append(before, _view(self._value, np.float64))
        found: Floats = value[
            np.searchsorted(_view(self._time_ns, np.int64), time_ns, side="right")
        ]
        return found


def _latest(prices: tuple[Times, Floats], time_ns: Times) -> Floats:
    """(n,) the last close at each of the moments; 0 before the first."""
    times, close = prices
    if len(times) == len(time_ns):
        # Each of its closes is one of the moments, so these are all.
        return close
    return np.append(0.0, close)[np.searchsorted(times, time_ns, side="right")]


def _moments(times: Sequence[Times]) -> Times:
    """All times, rising, each once."""
    return times[0] if len(times) == 1 else np.unique(np.concatenate(times))


class PriceRecorder:
    """The closes of every instrument, for the curve and charts; where no table has them anyway.

    Of bars of several lengths only the shortest are noted.
    """

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
        elif bar.open_time_ns < series[0][-1]:
            # A longer bar: shorter ones have told of its time already.
            return
        series[0].append(bar.time_ns)
        series[1].append(float(bar.close))


def _view(values: "array[int] | array[float]", kind: type[T]) -> npt.NDArray[T]:
    """An array over the same memory: nothing may be added to `values` while it is used."""
    return np.frombuffer(values, dtype=kind)
