"""Risk and paper execution at a desk: bars and a strategy's targets in, everything said out."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from goalkick.common.adapters.bus.memory import MemoryBus, Sink
from goalkick.common.core.machine import Core
from goalkick.common.events.base import Event
from goalkick.common.events.market import BarClosed, InstrumentListed
from goalkick.common.events.order import Fill, OrderApproved, OrderIntended, OrderWorked
from goalkick.common.events.signal import Signal
from goalkick.common.topics import TOPIC_OF
from goalkick.common.values.ids import EventId, InstrumentId, StrategyId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_MINUTE
from goalkick.execution.paper import PaperExecution
from goalkick.execution.settings import ExecutionSettings
from goalkick.risk.core import RiskCore
from goalkick.risk.settings import RiskSettings

D = Decimal
BTC = InstrumentId("test:BTC/USDT")
RULES = Instrument(
    id=BTC,
    base="BTC",
    quote="USDT",
    tick_size=D("0.01"),
    lot_size=D("0.001"),
    min_quantity=D("0.001"),
    taker_fee=D("0.001"),
)


class WorkedDesk:
    """One account on one instrument, with a strategy `s`."""

    def __init__(
        self, orders: Mapping[str, Any], execution: Mapping[str, Any] | None = None, **risk: Any
    ) -> None:
        wanted = {"sizing": "fixed_quantity", "quantity": 5, "stop_loss": None} | risk
        self.risk_settings = RiskSettings(
            max_daily_loss=None, max_drawdown=None, orders=orders, **wanted
        )
        self.execution_settings = ExecutionSettings(**(execution or {}))
        self.minute = 0
        self.journal: list[Event] = []
        self.make()
        self.bus.feed([InstrumentListed(time_ns=0, instrument=BTC, rules=RULES)])

    def make(self) -> None:
        """Fresh cores, which know nothing."""
        sinks: list[tuple[type[Event], Sink]] = [(kind, self.journal.append) for kind in TOPIC_OF]
        self.risk = RiskCore(self.risk_settings)
        self.execution = PaperExecution(self.execution_settings)
        cores: dict[str, Core] = {"risk": self.risk, "execution": self.execution}
        self.bus = MemoryBus(cores, sinks)

    def restart(self) -> None:
        """The same from its snapshots."""
        saved, moment_ns = self.bus.snapshot(), self.bus.moment_ns
        self.make()
        self.bus.restore(saved, moment_ns)
        assert self.bus.snapshot() == saved

    @property
    def position(self) -> Decimal:
        """Held, as risk knows it."""
        return self.risk.account.books[BTC].position

    @property
    def now_ns(self) -> int:
        return self.minute * NS_PER_MINUTE

    def bar(
        self,
        price: str | int,
        target: float | None = None,
        *,
        volume: int = 100,
        low: str | int = "",
        high: str | int = "",
    ) -> Sequence[Event]:
        """A bar, and where a target is given, a strategy's look at it; what was said meanwhile."""
        begun = len(self.journal)
        self.minute += 1
        close = D(price)
        self.bus.feed(
            [
                BarClosed(
                    time_ns=self.now_ns,
                    instrument=BTC,
                    interval_ns=NS_PER_MINUTE,
                    open=close,
                    high=D(high or price),
                    low=D(low or price),
                    close=close,
                    volume=D(volume),
                )
            ]
        )
        if target is not None:
            self.bus.feed([self.signal(target)])
        return self.journal[begun:]

    def signal(self, target: float) -> Signal:
        return Signal(
            time_ns=self.now_ns,
            instrument=BTC,
            cause=EventId("test"),
            strategy=StrategyId("s"),
            target=target,
            expires_at_ns=self.now_ns + NS_PER_MINUTE,
        )

    def of(self, kind: type[Any]) -> list[Any]:
        """Everything of a type that was said."""
        return [event for event in self.journal if type(event) is kind]

    def fills(self, parent: EventId | None = None) -> list[Fill]:
        """All trades, or those for one order."""
        return [
            event
            for event in self.journal
            if isinstance(event, Fill) and parent in (None, event.parent, event.order)
        ]

    def worked(self) -> OrderWorked:
        """The only measurement that was told."""
        (event,) = self.of(OrderWorked)
        assert isinstance(event, OrderWorked)
        return event

    def parents(self) -> Iterator[OrderApproved]:
        return (event for event in self.of(OrderApproved) if event.algo is not None)

    def children(self, parent: EventId) -> list[OrderIntended]:
        return [event for event in self.of(OrderIntended) if event.parent == parent]
