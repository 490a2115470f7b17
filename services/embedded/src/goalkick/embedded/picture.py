"""What a person wants to know while the platform runs, gathered from the events that go by.

Only looks: nothing here changes what is decided. It is plain data, so it survives a restart
together with the cores.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from goalkick.common.events.base import Event
from goalkick.common.events.control import ControlEvent, TradingHalted, TradingResumed
from goalkick.common.events.market import BarClosed, InstrumentListed
from goalkick.common.events.order import (
    BalanceChanged,
    Fill,
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
from goalkick.common.events.signal import Signal
from goalkick.common.values.ids import EventId, InstrumentId, StrategyId, name_of
from goalkick.common.values.money import ZERO, plain
from goalkick.common.values.time import NS_PER_SECOND

REMEMBERED = 50
"""Decisions kept for the screen: as many as the tallest terminal shows."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Something that risk decided, or that became of an order; one line in a log.

    Attributes:
        time_ns: event time.
        kind: `approved`, `refused`, `filled`, `partly filled`, `rejected`, `cancelled`,
            `expired`, `unknown`, `worked`, `halted`, `resumed`.
        id: of the event.
        fields: what else is to say, exact numbers as text.
    """

    time_ns: int
    kind: str
    id: EventId
    fields: dict[str, str]


class Holding(msgspec.Struct):
    """One instrument: price, what the strategies want, what is held.

    Attributes:
        price: last close, quote currency; None before the first bar.
        first: the first close that was seen.
        targets: in [-1, 1], by strategy: the latest signals.
        quantity: signed, base currency.
        cost: signed cost of the open quantity, quote currency.
        realised: before fees, quote currency.
        fees: paid, quote currency.
    """

    price: Decimal | None = None
    first: Decimal | None = None
    targets: dict[StrategyId, float] = msgspec.field(default_factory=dict)
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO

    @property
    def profit(self) -> Decimal:
        """Realised and unrealised less fees, quote currency."""
        return self.realised + self.quantity * (self.price or ZERO) - self.cost - self.fees


class Counts(msgspec.Struct):
    """How many there were."""

    bars: int = 0
    signals: int = 0
    approved: int = 0
    refused: int = 0
    fills: int = 0
    halts: int = 0


class Picture(msgspec.Struct):
    """The whole picture.

    Attributes:
        moment_ns: event time of the last bar; 0 before the first.
        opening: cash at the start; None before it is reported.
        cash: quote currency.
        holdings: by instrument, in the order in which they were listed.
        working: orders that have not ended, what each is.
        halted: scopes in which new risk is refused -> why.
        counts: since the account was opened.
        recent: the latest decisions, newest last.
    """

    moment_ns: int = 0
    opening: Decimal | None = None
    cash: Decimal = ZERO
    holdings: dict[InstrumentId, Holding] = msgspec.field(default_factory=dict)
    working: dict[EventId, str] = msgspec.field(default_factory=dict)
    halted: dict[str, str] = msgspec.field(default_factory=dict)
    counts: Counts = msgspec.field(default_factory=Counts)
    recent: list[Decision] = msgspec.field(default_factory=list)

    @property
    def equity(self) -> Decimal:
        """Cash and positions at the last closes, quote currency."""
        held = (h.quantity * h.price for h in self.holdings.values() if h.price is not None)
        return self.cash + sum(held, ZERO)

    @property
    def profit(self) -> Decimal:
        """Equity less the opening balance, quote currency."""
        return self.equity - (self.cash if self.opening is None else self.opening)

    @property
    def fees(self) -> Decimal:
        """Paid in all, quote currency."""
        return sum((holding.fees for holding in self.holdings.values()), ZERO)


class Observer:
    """Keeps a picture up to date, and says each decision aloud."""

    def __init__(self, picture: Picture, tell: Callable[[Decision], object]) -> None:
        """Begins with a picture.

        Args:
            picture: fresh, or of an earlier run; it is changed in place.
            tell: hears each decision, in order.
        """
        self.picture = picture
        self._tell = tell

    def sinks(self) -> Sequence[tuple[type[Event], Any]]:
        """What the pipeline needs to be built with."""
        ended = (OrderRejected, OrderCancelled, OrderExpired)
        return (
            (InstrumentListed, self._on_listed),
            (BarClosed, self._on_bar),
            (Signal, self._on_signal),
            (OrderApproved, self._on_approved),
            (OrderRefused, self._on_refused),
            (OrderPartiallyFilled, self._on_fill),
            (OrderFilled, self._on_fill),
            *((kind, self._on_ended) for kind in ended),
            (OrderUnknown, self._on_unknown),
            (OrderWorked, self._on_worked),
            (PositionChanged, self._on_position),
            (BalanceChanged, self._on_balance),
            (TradingHalted, self._on_halted),
            (TradingResumed, self._on_resumed),
        )

    def _on_listed(self, event: InstrumentListed) -> None:
        self.picture.holdings.setdefault(event.instrument, Holding())

    def _on_bar(self, bar: BarClosed) -> None:
        picture = self.picture
        holding = picture.holdings[bar.instrument]
        if holding.first is None:
            holding.first = bar.close
        holding.price = bar.close
        picture.moment_ns = bar.time_ns
        picture.counts.bars += 1

    def _on_signal(self, signal: Signal) -> None:
        self.picture.counts.signals += 1
        self.picture.holdings[signal.instrument].targets[signal.strategy] = signal.target

    def _on_approved(self, order: OrderApproved) -> None:
        self.picture.counts.approved += 1
        what = f"{order.side} {plain(order.quantity)} {name_of(order.instrument)}"
        self.picture.working[order.order] = what
        self._decide(
            "approved",
            order,
            order=order.order,
            instrument=order.instrument,
            strategy=order.strategy,
            side=order.side,
            quantity=plain(order.quantity),
            algo=order.algo.name if order.algo is not None else "",
            reason=order.reason,
        )

    def _on_refused(self, refusal: OrderRefused) -> None:
        self.picture.counts.refused += 1
        self._decide(
            "refused",
            refusal,
            instrument=refusal.instrument,
            strategy=refusal.strategy,
            side=refusal.side,
            quantity=plain(refusal.quantity),
            code=refusal.code,
            reason=refusal.detail,
        )

    def _on_fill(self, fill: Fill) -> None:
        self.picture.counts.fills += 1
        if not fill.remaining:
            self.picture.working.pop(fill.order, None)
        self._decide(
            "partly filled" if fill.remaining else "filled",
            fill,
            order=fill.order,
            parent=fill.parent or "",
            instrument=fill.instrument,
            strategy=fill.strategy,
            side=fill.side,
            quantity=plain(fill.quantity),
            price=plain(fill.price),
            fee=plain(fill.fee),
        )

    def _on_ended(self, report: OrderRejected | OrderCancelled | OrderExpired) -> None:
        self.picture.working.pop(report.order, None)
        kind = type(report).__name__.removeprefix("Order").lower()
        self._on_trouble(kind, report, report.reason)

    def _on_unknown(self, report: OrderUnknown) -> None:
        self._on_trouble("unknown", report, report.reason)

    def _on_worked(self, report: OrderWorked) -> None:
        self.picture.working.pop(report.order, None)
        price, share = report.average_price, report.participation
        self._decide(
            "worked",
            report,
            order=report.order,
            instrument=report.instrument,
            strategy=report.strategy,
            algo=report.algo,
            side=report.side,
            quantity=plain(report.filled),
            price="" if price is None else plain(price),
            arrival_price=plain(report.arrival_price),
            shortfall=plain(report.shortfall),
            shortfall_bps=plain(report.shortfall_bps),
            participation="" if share is None else plain(share),
            seconds=plain(Decimal(report.duration_ns) / NS_PER_SECOND),
            children=str(report.children),
            leftover=plain(report.leftover) if report.leftover else "",
            reason=_worked_reason(report),
        )

    def _on_trouble(self, kind: str, report: OrderReport, reason: str) -> None:
        self._decide(
            kind,
            report,
            order=report.order,
            parent=report.parent or "",
            instrument=report.instrument,
            reason=reason,
        )

    def _on_position(self, change: PositionChanged) -> None:
        holding = self.picture.holdings[change.instrument]
        holding.quantity, holding.cost = change.quantity, change.cost
        holding.realised, holding.fees = change.realised, change.fees

    def _on_balance(self, change: BalanceChanged) -> None:
        self.picture.cash = change.total
        if self.picture.opening is None:
            self.picture.opening = change.total

    def _on_halted(self, event: TradingHalted) -> None:
        self.picture.counts.halts += 1
        self.picture.halted[event.scope] = event.reason
        self._on_control("halted", event)

    def _on_resumed(self, event: TradingResumed) -> None:
        self.picture.halted.pop(event.scope, None)
        self._on_control("resumed", event)

    def _on_control(self, kind: str, event: ControlEvent) -> None:
        self._decide(kind, event, scope=event.scope, reason=event.reason)

    def _decide(self, kind: str, event: Event, **fields: str) -> None:
        said = {name: str(value) for name, value in fields.items() if value}
        decision = Decision(time_ns=event.time_ns, kind=kind, id=event.id, fields=said)
        recent = self.picture.recent
        recent.append(decision)
        if len(recent) > REMEMBERED:
            del recent[0]
        self._tell(decision)


def _worked_reason(report: OrderWorked) -> str:
    """What it cost, in a few words; the figures stand beside it."""
    cost = f"{report.algo}: {report.shortfall_bps:+.1f} bps against {plain(report.arrival_price)}"
    left = f", {plain(report.leftover)} left: {report.leftover_reason}" if report.leftover else ""
    return f"{cost}{left}"
