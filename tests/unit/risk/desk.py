"""A risk core at a desk: bars and signals in, a venue that fills what is approved."""

from decimal import Decimal
from typing import Any

from goalkick.common.events.base import Event, Side
from goalkick.common.events.market import (
    BarClosed,
    InstrumentListed,
)
from goalkick.common.events.order import (
    BalanceChanged,
    OrderApproved,
    OrderCancelled,
    OrderFilled,
    OrderPartiallyFilled,
    OrderRefused,
    PositionChanged,
)
from goalkick.common.events.signal import Signal
from goalkick.common.values.ids import AccountId, EventId, InstrumentId, StrategyId
from goalkick.common.values.instruments import Instrument
from goalkick.risk.core import RiskCore
from goalkick.risk.settings import RiskSettings

D = Decimal
MINUTE = 60_000_000_000
DAY = 24 * 60
BTC, ETH = InstrumentId("test:BTC/USDT"), InstrumentId("test:ETH/USDT")
MAIN = AccountId("main")


class Desk:
    """A risk core with a venue that fills each order at once at the last price."""

    def __init__(self, cash: str = "10000", *, live: bool = False, **options: Any) -> None:
        options.setdefault("sizing", "fixed_quantity")
        self.core = RiskCore(RiskSettings(**options), live=live)
        self.cash = D(cash)
        self.minute = 0
        self.prices: dict[InstrumentId, Decimal] = {}
        self.held: dict[InstrumentId, Decimal] = {}
        self.fills = True
        for name in (BTC, ETH):
            self.list_instrument(name)
        self.say(self._balance())

    def list_instrument(self, name: InstrumentId, **rules: Any) -> None:
        base, quote = name.split(":")[1].split("/")
        rules = {"base": base, "quote": quote, "lot_size": D("0.001"), "taker_fee": D(0), **rules}
        self.say(
            InstrumentListed(
                time_ns=self.minute * MINUTE,
                instrument=name,
                rules=Instrument(id=name, **rules),
            )
        )

    def say(self, event: Event) -> list[Event]:
        """Hands an event to the core; fills what it approves; returns what it said."""
        answers = list(self.core.handlers[type(event)](event))
        for answer in answers:
            if isinstance(answer, OrderApproved) and self.fills:
                self.fill(answer)
        return answers

    def fill(self, order: OrderApproved) -> None:
        name, price = order.instrument, self.prices[order.instrument]
        signed = order.side.sign * order.quantity
        self.held[name] = self.held.get(name, D(0)) + signed
        self.cash -= signed * price
        for report in (
            OrderFilled(
                time_ns=order.time_ns,
                account=MAIN,
                order=order.order,
                instrument=name,
                strategy=order.strategy,
                trade_id="1",
                venue_time_ns=order.time_ns,
                side=order.side,
                quantity=order.quantity,
                price=price,
                fee=D(0),
                fee_currency="USDT",
                slippage=D(0),
                filled=order.quantity,
                remaining=D(0),
            ),
            PositionChanged(
                time_ns=order.time_ns,
                account=MAIN,
                cause=EventId("fill"),
                instrument=name,
                quantity=self.held[name],
                cost=self.held[name] * price,
                realised=D(0),
                fees=D(0),
            ),
            self._balance(),
        ):
            assert not self.say(report), "risk must not answer a report"

    def bar(
        self,
        close: str,
        *,
        low: str = "",
        high: str = "",
        name: InstrumentId = BTC,
        minute: int | None = None,
        minutes: int = 1,
    ) -> list[Event]:
        """The next minute's bar, or one that lasts so many minutes."""
        self.minute = self.minute + 1 if minute is None else minute
        self.prices[name] = D(close)
        return self.say(
            BarClosed(
                time_ns=self.minute * MINUTE,
                instrument=name,
                interval_ns=minutes * MINUTE,
                open=D(close),
                high=D(high or close),
                low=D(low or close),
                close=D(close),
                volume=D(1),
            )
        )

    def want(
        self,
        target: float,
        *,
        name: InstrumentId = BTC,
        strategy: str = "s",
        expires: int = 1,
    ) -> list[Event]:
        """A signal at the present minute."""
        return self.say(
            Signal(
                time_ns=self.minute * MINUTE,
                instrument=name,
                cause=EventId(f"{self.minute}"),
                strategy=StrategyId(strategy),
                target=target,
                expires_at_ns=(self.minute + expires) * MINUTE,
                reason="test",
            )
        )

    def buy_a_part(self, part: str) -> OrderApproved:
        """Orders one unit at 100, of which only a part trades."""
        self.fills = False
        self.bar("100")
        (entry,) = self.want(1.0)
        assert isinstance(entry, OrderApproved)
        name, quantity = entry.instrument, D(part)
        self.say(
            OrderPartiallyFilled(
                time_ns=entry.time_ns,
                account=MAIN,
                order=entry.order,
                instrument=name,
                strategy=entry.strategy,
                trade_id="1",
                venue_time_ns=entry.time_ns,
                side=entry.side,
                quantity=quantity,
                price=self.prices[name],
                fee=D(0),
                fee_currency="USDT",
                slippage=D(0),
                filled=quantity,
                remaining=entry.quantity - quantity,
            )
        )
        self.say(
            PositionChanged(
                time_ns=entry.time_ns,
                account=MAIN,
                cause=EventId("part"),
                instrument=name,
                quantity=quantity,
                cost=quantity * self.prices[name],
                realised=D(0),
                fees=D(0),
            )
        )
        return entry

    def end(self, order: OrderApproved) -> None:
        """The venue has taken the rest of an order out of its book."""
        self.say(
            OrderCancelled(
                time_ns=order.time_ns,
                account=MAIN,
                order=order.order,
                instrument=order.instrument,
                filled=D(0),
                reason="cancelled at our wish",
            )
        )

    def _balance(self) -> BalanceChanged:
        return BalanceChanged(
            time_ns=self.minute * MINUTE,
            account=MAIN,
            cause="c",
            currency="USDT",
            total=self.cash,
        )


def approved(events: list[Event]) -> tuple[Side, Decimal]:
    """The one order in what was said."""
    (order,) = events
    assert isinstance(order, OrderApproved)
    return order.side, order.quantity


def refused(events: list[Event]) -> OrderRefused:
    """The one refusal in what was said."""
    (refusal,) = events
    assert isinstance(refusal, OrderRefused)
    return refusal
