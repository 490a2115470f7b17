"""Paper trading live: pace, stops, and state that survives a restart."""

import asyncio
import math
import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from decimal import Decimal

import pytest

from goalkick.common.adapters.state.memory import MemoryStateStore
from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event
from goalkick.common.events.market import BarClosed, InstrumentListed
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_MINUTE
from goalkick.embedded.picture import Decision
from goalkick.embedded.run import Ending, Market, Session, StateError, StopRequest, keep_trading
from goalkick.embedded.settings import GoalkickSettings

BTC = InstrumentId("test:BTC/USDT")
START_NS = 1_700_000_000 * 10**9 // NS_PER_MINUTE * NS_PER_MINUTE


class Waves:
    """A recorded feed: one instrument whose price goes up and down for ever (or `count` bars)."""

    def __init__(self, count: int) -> None:
        self.count = count

    def steps(self, from_ns: int) -> Iterator[Sequence[Event]]:
        return (step for step in self.all_steps() if step[0].time_ns >= from_ns)

    def all_steps(self) -> Iterator[Sequence[Event]]:
        rules = Instrument(id=BTC, base="BTC", quote="USDT")
        yield [InstrumentListed(time_ns=START_NS, instrument=BTC, rules=rules)]
        for number in range(self.count):
            price = Decimal(str(round(100 + 10 * math.sin(number / 5), 2)))
            yield [
                BarClosed(
                    time_ns=START_NS + (number + 1) * NS_PER_MINUTE,
                    instrument=BTC,
                    interval_ns=NS_PER_MINUTE,
                    open=price,
                    high=price,
                    low=price,
                    close=price,
                    volume=Decimal(1),
                )
            ]


class Live:
    """A live feed: the same steps, and then nothing more, but it does not end."""

    def __init__(self, count: int) -> None:
        self.recorded = Waves(count)
        self.waiting = asyncio.Event()

    async def steps(self, from_ns: int) -> AsyncIterator[Sequence[Event]]:
        for step in self.recorded.all_steps():
            yield step
        self.waiting.set()
        await asyncio.Event().wait()


def market(feed: "Waves | Live | Broken", speed: float = math.inf, identity: str = "a") -> Market:
    return Market(name="test", pace="test", identity=identity, steps=feed.steps, speed=speed)


def settings(**execution: object) -> GoalkickSettings:
    cross = {"strategy": "ema_cross", "params": {"fast": 3, "slow": 8}}
    return GoalkickSettings.model_validate(
        {"strategy": {"strategies": {"cross": cross}}, "execution": execution}
    )


def quiet(decision: Decision) -> None:
    pass


def trade(
    feed: "Waves | Broken", entries: dict[str, bytes], duration: float | None = None
) -> tuple[Session, list[Decision], Ending]:
    told: list[Decision] = []
    session = Session(settings(), market(feed), MemoryStateStore(entries), told.append)
    with StopRequest() as stop:
        ending = asyncio.run(keep_trading(session, stop, duration_seconds=duration))
    return session, told, ending


def test_trades_until_the_market_is_over() -> None:
    session, told, ending = trade(Waves(200), {})
    assert ending == "market over"
    assert session.picture.counts.bars == 200
    assert {"approved", "filled"} <= {decision.kind for decision in told}


@pytest.mark.parametrize("cut", [1, 57, 100, 199])
def test_a_restart_is_invisible_in_decisions_and_balances(cut: int) -> None:
    whole, told, _ = trade(Waves(200), {})
    kept: dict[str, bytes] = {}
    _, before, _ = trade(Waves(cut), kept)
    rest, after, _ = trade(Waves(200), kept)
    assert rest.resumed
    assert [d.id for d in before + after] == [d.id for d in told]
    assert rest.picture == whole.picture


def test_a_market_that_was_handled_to_its_end_has_nothing_left() -> None:
    kept: dict[str, bytes] = {}
    trade(Waves(50), kept)
    session, told, ending = trade(Waves(50), kept)
    assert (told, ending, session.picture.counts.bars) == ([], "market over", 50)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_between_steps_and_saves(number: signal.Signals) -> None:
    kept: dict[str, bytes] = {}
    feed = Live(100)
    session = Session(settings(), market(feed), MemoryStateStore(kept), quiet)
    with StopRequest() as stop:
        trading = asyncio.create_task(keep_trading(session, stop, duration_seconds=None))
        await feed.waiting.wait()
        os.kill(os.getpid(), number)
        assert await trading == "interrupted"
    assert resumed_with(kept, settings()).moment_ns == session.moment_ns


async def test_the_duration_ends_a_market_that_waits() -> None:
    session = Session(settings(), market(Live(10)), MemoryStateStore(), quiet)
    ending = await keep_trading(session, StopRequest(), duration_seconds=0.01)
    assert ending == "duration over"
    assert session.picture.counts.bars == 10


async def test_the_pace_is_the_market_time_over_the_speed() -> None:
    loop = asyncio.get_running_loop()
    session = Session(settings(), market(Waves(4), speed=60 * 50), MemoryStateStore(), quiet)
    begin = loop.time()
    await keep_trading(session, StopRequest(), duration_seconds=None)
    assert loop.time() - begin >= 4 / 50


async def test_a_screen_is_redrawn_while_the_market_waits() -> None:
    drawn = asyncio.Event()
    session = Session(settings(), market(Live(1)), MemoryStateStore(), quiet)
    with StopRequest() as stop:
        trading = asyncio.create_task(
            keep_trading(
                session, stop, duration_seconds=None, redraw=drawn.set, redraw_seconds=0.001
            )
        )
        await drawn.wait()
        os.kill(os.getpid(), signal.SIGINT)
        assert await trading == "interrupted"


async def test_who_asked_before_trading_began_is_heard() -> None:
    session = Session(settings(), market(Live(10)), MemoryStateStore(), quiet)
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert await keep_trading(session, stop, duration_seconds=60) == "interrupted"


def test_signals_are_given_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with StopRequest():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def resumed_with(kept: dict[str, bytes], changed: GoalkickSettings, identity: str = "a") -> Session:
    return Session(changed, market(Waves(1), identity=identity), MemoryStateStore(kept), quiet)


def test_where_nothing_was_handled_nothing_is_kept() -> None:
    kept: dict[str, bytes] = {}
    empty = Market(name="test", pace="test", identity="a", steps=lambda _: iter(()))
    session = Session(settings(), empty, MemoryStateStore(kept), quiet)
    assert asyncio.run(keep_trading(session, StopRequest(), duration_seconds=None)) == "market over"
    assert kept == {}


def test_limits_may_change_between_runs() -> None:
    kept: dict[str, bytes] = {}
    trade(Waves(50), kept)
    changed = settings().model_copy(
        update={"risk": settings().risk.model_copy(update={"max_positions": 1})}
    )
    assert resumed_with(kept, changed).resumed


@pytest.mark.parametrize(
    ("what", "changed", "identity"),
    [
        ("expected market b, found a", settings(), "b"),
        ("expected execution.initial_cash 5, found 100000", settings(initial_cash=5), "a"),
        ("expected feature/1 with settings", GoalkickSettings(), "a"),
    ],
)
def test_a_state_of_something_else_is_refused_and_says_what_to_do(
    what: str, changed: GoalkickSettings, identity: str
) -> None:
    kept: dict[str, bytes] = {}
    trade(Waves(50), kept)
    with pytest.raises(StateError, match=f"{what}.*--fresh"):
        resumed_with(kept, changed, identity)


def test_a_broken_state_is_refused() -> None:
    kept: dict[str, bytes] = {}
    trade(Waves(50), kept)
    with pytest.raises(InvalidDataError, match="--fresh"):
        resumed_with(kept | {"run": b"\x00"}, settings())
    with pytest.raises(InvalidDataError, match="--fresh"):
        resumed_with(kept | {"pipeline": b"\x00"}, settings())


class Broken:
    """A feed that goes back in time."""

    def steps(self, from_ns: int) -> Iterator[Sequence[Event]]:
        steps = list(Waves(20).all_steps())
        yield from steps
        moved = steps[-1][0]
        yield [moved, InstrumentListed(time_ns=1, instrument=BTC, rules=steps[0][0].rules)]  # type: ignore[attr-defined]


def test_a_broken_invariant_ends_the_run_and_saves_nothing_of_it() -> None:
    kept: dict[str, bytes] = {}
    with pytest.raises(Exception, match="expected time"):
        trade(Broken(), kept)
    assert kept == {}
