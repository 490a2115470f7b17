"""Risk and execution in real time: doubt stops trading within the configured time, and ends it.

The test is ingest, strategy and operator; the clock moves only when it says so.
"""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from goalkick.common.events.base import Event
from goalkick.common.events.control import Halt, Resume, TradingHalted, TradingResumed
from goalkick.common.events.market import BarClosed, InstrumentListed
from goalkick.common.events.order import (
    OrderApproved,
    OrderFilled,
    OrderRefused,
    PositionChanged,
    RefusalCode,
)
from goalkick.common.events.signal import Signal
from goalkick.common.runtime.settings import RuntimeSettings
from goalkick.common.runtime.wiring import Service
from goalkick.common.values.ids import InstrumentId, StrategyId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.execution.paper import PaperExecution
from goalkick.execution.service import has_working_orders
from goalkick.execution.settings import ExecutionSettings
from goalkick.risk.core import RiskCore
from goalkick.risk.service import awaits_reports
from goalkick.risk.settings import RiskSettings
from tests.unit.common.runtime_bench import Bench
from tests.unit.common.runtime_parts import BARS, COMMANDS, DECISIONS, REPORTS, SIGNALS

SECOND = NS_PER_SECOND
MAX_AGE = 3 * SECOND
STALL = 2 * SECOND
INSTRUMENT = InstrumentId("test:A/USDT")
RUNTIME = RuntimeSettings(clock="wall", stall_after=STALL, poll_for="5ms")
RISK = RiskSettings(max_data_age=MAX_AGE, stop_loss=None)


class Market:
    """Ingest, strategy and operator, by hand."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.last_bar = 0
        self.start()

    def start(self) -> None:
        """Risk and execution, once more if they were stopped."""
        risk = Service("risk", lambda: RiskCore(RISK), awaits_reports, "main")
        execution = Service(
            "execution",
            lambda: PaperExecution(ExecutionSettings()),
            account="main",
            reports=has_working_orders,
        )
        self.risk = self.bench.start(risk, RUNTIME)
        self.execution = self.bench.start(execution, RUNTIME)

    @property
    def now(self) -> int:
        return self.bench.clock.now_ns()

    def signal(self, target: float, strategy: str = "s") -> Signal:
        return Signal(
            time_ns=self.now,
            instrument=INSTRUMENT,
            cause="a look",
            strategy=StrategyId(strategy),
            target=target,
            expires_at_ns=self.now + 60 * SECOND,
        )

    async def list_instrument(self) -> None:
        rules = Instrument(id=INSTRUMENT, base="A", quote="USDT", lot_size=Decimal("0.001"))
        await self.moment(InstrumentListed(time_ns=self.now, instrument=INSTRUMENT, rules=rules))

    async def moment(self, event: Event, *signals: Signal) -> None:
        """Something that happened now, and what strategies make of it; waits for the decisions."""
        self.bench.tell(BARS, 0, self.now, event)
        self.bench.tell(SIGNALS, 0, self.now, *signals)
        await self.bench.until(lambda: self.decided_until >= self.now)

    async def bar(self, *targets: float) -> None:
        """A second passes and a bar closes."""
        self.bench.clock.advance(SECOND)
        self.last_bar = self.now
        price = Decimal(100)
        bar = BarClosed(
            time_ns=self.now, instrument=INSTRUMENT, interval_ns=SECOND,
            open=price, high=price, low=price, close=price, volume=Decimal(10),
        )  # fmt: skip
        await self.moment(bar, *(self.signal(target) for target in targets))

    async def silence(self, until: int) -> None:
        """Time goes on, and nothing comes from upstream; execution does not care for the time."""
        (risk,) = self.risk.tasks.values()
        while self.now < until:
            self.bench.clock.advance(min(SECOND, until - self.now))
            await self.bench.until(lambda: risk.moment > self.now - STALL - SECOND)

    async def forge(self, moment: int) -> None:
        """A signal that answers nothing; risk has seen it, and waits for the market if it must."""
        self.bench.tell(SIGNALS, 0, moment, self.signal(1.0))
        (risk,) = self.risk.tasks.values()
        await self.bench.until(lambda: risk.blocked or risk.moment >= moment)

    @property
    def decided_until(self) -> int:
        tasks = [*self.risk.tasks.values(), *self.execution.tasks.values()]
        return min((task.moment for task in tasks), default=-1) if len(tasks) == 2 else -1

    def decisions(self, *kinds: type[Event]) -> list[Event]:
        return [event for event in self.bench.said(DECISIONS) if isinstance(event, kinds)]

    def reports(self, *kinds: type[Event]) -> list[Event]:
        return [event for event in self.bench.said(REPORTS) if isinstance(event, kinds)]

    async def decision(self, *kinds: type[Event]) -> Event:
        """The next decision of some kinds."""
        before = len(self.decisions(*kinds))
        await self.bench.until(lambda: len(self.decisions(*kinds)) > before)
        return self.decisions(*kinds)[-1]


@pytest.fixture
async def market() -> AsyncIterator[Market]:
    """A market in which a bar closed just now and nothing is held."""
    market = Market()
    await market.list_instrument()
    await market.bar()
    yield market
    await market.bench.stop()


async def test_a_signal_on_fresh_data_becomes_an_order_and_a_position(market: Market) -> None:
    await market.bar(1.0)
    await market.bar()
    (approved,) = market.decisions(OrderApproved)
    assert approved.time_ns == market.last_bar - SECOND
    await market.bench.until(lambda: market.reports(PositionChanged))
    assert len(market.reports(OrderFilled)) == 1
    assert (market.risk.stalled, market.execution.stalled) == (False, False)


async def test_a_signal_after_upstream_has_stopped_is_refused_within_the_configured_time(
    market: Market,
) -> None:
    await market.silence(market.last_bar + MAX_AGE + 1)
    await market.forge(market.now)
    market.bench.clock.advance(STALL)
    refused = await market.decision(OrderRefused, OrderApproved)
    assert market.now == market.last_bar + MAX_AGE + STALL + 1
    assert isinstance(refused, OrderRefused)
    assert refused.code is RefusalCode.STALE_DATA
    assert refused.numbers == {"age_ns": MAX_AGE + 1, "max_data_age_ns": MAX_AGE}
    assert market.risk.stalled


@pytest.mark.parametrize("late_by", [0, 1, SECOND], ids=["now", "just before", "a second before"])
async def test_a_signal_in_the_midst_of_silence_is_judged_by_the_time_it_is_not_by_old_bars(
    market: Market, late_by: int
) -> None:
    await market.silence(market.last_bar + MAX_AGE + STALL + 2 * SECOND)
    await market.forge(market.now - late_by)
    market.bench.clock.advance(STALL + SECOND)
    refused = await market.decision(OrderRefused, OrderApproved)
    assert isinstance(refused, OrderRefused)
    assert refused.code is RefusalCode.STALE_DATA
    assert refused.numbers["age_ns"] >= MAX_AGE + STALL


async def test_old_bars_that_come_late_do_not_pass_for_fresh_ones(market: Market) -> None:
    await market.silence(market.last_bar + 20 * SECOND)
    then = market.last_bar + SECOND
    price = Decimal(100)
    old = BarClosed(
        time_ns=then, instrument=INSTRUMENT, interval_ns=SECOND,
        open=price, high=price, low=price, close=price, volume=Decimal(10),
    )  # fmt: skip
    market.bench.tell(BARS, 0, then, old)
    market.bench.tell(SIGNALS, 0, then, market.signal(1.0))
    market.bench.clock.advance(SECOND)
    refused = await market.decision(OrderRefused, OrderApproved)
    assert isinstance(refused, OrderRefused)
    assert refused.code is RefusalCode.STALE_DATA


async def test_orders_flow_again_once_upstream_is_back(market: Market) -> None:
    await market.silence(market.last_bar + MAX_AGE + 1)
    await market.forge(market.now)
    market.bench.clock.advance(STALL + SECOND)
    await market.decision(OrderRefused)
    await market.bar(1.0)
    await market.bar(0.5)
    await market.bar()
    assert [type(e) for e in market.decisions(OrderRefused, OrderApproved)] == [
        OrderRefused,
        OrderApproved,
        OrderApproved,
    ]
    await market.bench.until(lambda: len(market.reports(OrderFilled)) == 2)
    assert not market.risk.stalled


async def test_a_halt_refuses_new_risk_until_a_resume_ends_it(market: Market) -> None:
    market.bench.command(COMMANDS, Halt(time_ns=market.now, issuer="ann", reason="lunch"))
    await market.bar(1.0)
    (halted,) = market.decisions(TradingHalted)
    assert (halted.reason, halted.key) == ("lunch", "main")  # type: ignore[attr-defined]
    (refused,) = market.decisions(OrderRefused, OrderApproved)
    assert isinstance(refused, OrderRefused)
    assert refused.code is RefusalCode.TRADING_HALTED
    market.bench.command(COMMANDS, Resume(time_ns=market.now, issuer="ann"))
    await market.bar(1.0)
    assert len(market.decisions(TradingResumed)) == 1
    assert len(market.decisions(OrderApproved)) == 1


async def test_a_halt_is_obeyed_while_upstream_is_silent(market: Market) -> None:
    await market.silence(market.last_bar + 10 * SECOND)
    market.bench.command(COMMANDS, Halt(time_ns=market.now, issuer="ann"))
    market.bench.clock.advance(SECOND)
    halted = await market.decision(TradingHalted)
    assert halted.time_ns <= market.now


async def test_nothing_is_forgotten_or_ordered_again_after_a_restart_in_the_midst(
    market: Market,
) -> None:
    await market.bar(1.0)
    await market.bench.stop()
    market.start()
    await market.bar(1.0)
    await market.bar(1.0)
    assert len(market.decisions(OrderApproved)) == 1
    await market.bench.until(lambda: market.reports(OrderFilled))
    assert len(market.reports(OrderFilled)) == 1
