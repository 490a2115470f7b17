"""A live run that dies anywhere: nothing is lost, nothing is placed twice, and it goes on."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from goalkick.common.adapters.state.memory import MemoryStateStore
from goalkick.common.adapters.venue.memory import MemoryAccount
from goalkick.common.events.base import Event
from goalkick.common.events.market import BarClosed, InstrumentListed
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_MINUTE
from goalkick.embedded import run
from goalkick.embedded.order_log import Given
from goalkick.embedded.picture import Decision
from goalkick.embedded.run import Market, Session, StateError
from goalkick.embedded.settings import GoalkickSettings

BTC = MemoryAccount().instrument
START_NS = (time.time_ns() // NS_PER_MINUTE + 60) * NS_PER_MINUTE
"""By the clock, and ahead of it: what is decided about prices of the past is not placed, and the
tests may begin long after this was read."""

BARS = 45


class KilledError(BaseException):
    """The process is gone."""


class MortalStore(MemoryStateStore):
    """Dies at one of its writes: before it, or after it."""

    def __init__(self, entries: dict[str, bytes], log: dict[int, bytes], dies: float) -> None:
        super().__init__(entries, log)
        self.left = dies
        self.saved = 0
        self.appended: list[int] = []

    def save(self, entries: dict[str, bytes], *, covers: int = 0) -> None:
        self._come_near()
        super().save(entries, covers=covers)
        self.saved += 1
        self._come_near()

    def append(self, entries: Mapping[int, bytes]) -> None:
        self._come_near()
        super().append(entries)
        self.appended.append(sum(map(len, entries.values())))
        self._come_near()

    def _come_near(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise KilledError


class Life:
    """What survives: the exchange, and what is stored."""

    def __init__(self) -> None:
        self.exchange = MemoryAccount()
        self.entries: dict[str, bytes] = {}
        self.log: dict[int, bytes] = {}

    async def live(
        self, dies: float = math.inf, *, keeps_at: Sequence[int] = (), **changes: Any
    ) -> tuple[Session, MortalStore]:
        """One run to the end of the market, or to its death.

        Args:
            dies: how many moments of writing it survives.
            keeps_at: bars after which the state is kept.
            changes: of the settings of risk.
        """
        store = MortalStore(self.entries, self.log, dies)
        session = self.session(store, **changes)
        session._market = Market(
            name="test",
            pace="test",
            identity="a",
            steps=lambda from_ns: self._steps(session, from_ns, keeps_at),
        )
        await session.trade()
        return session, store

    def session(self, store: MemoryStateStore | None = None, **changes: Any) -> Session:
        """A session that goes on from what is stored."""
        market = Market(name="test", pace="test", identity="a", steps=lambda _: iter(()))
        return Session(
            settings(**changes),
            market,
            store or MemoryStateStore(self.entries, self.log),
            lambda _: None,
            venue=self.exchange.adapter(),
        )

    async def _steps(
        self, session: Session, from_ns: int, keeps_at: Sequence[int]
    ) -> AsyncIterator[Sequence[Event]]:
        for number, step in enumerate(steps()):
            if step[0].time_ns >= from_ns:
                yield step
                await settled(session)
                if number in keeps_at:
                    session.keep()


async def settled(session: Session) -> None:
    """Returns when every order has ended, and what was said was heard."""
    for _ in range(10_000):
        await asyncio.sleep(0)
        if not session._pipeline.working:
            break
    for _ in range(3):
        await asyncio.sleep(0)


def steps() -> list[Sequence[Event]]:
    """A price that goes up and down."""
    rules = Instrument(id=BTC, base="BTC", quote="USDT")
    found: list[Sequence[Event]] = [
        [InstrumentListed(time_ns=START_NS, instrument=BTC, rules=rules)]
    ]
    for number in range(BARS):
        price = Decimal(str(round(60_000 + 100 * math.sin(number), 2)))
        bar = BarClosed(
            time_ns=START_NS + (number + 1) * NS_PER_MINUTE,
            instrument=BTC,
            interval_ns=NS_PER_MINUTE,
            open=price,
            high=price,
            low=price,
            close=price,
            volume=Decimal(1),
        )
        found.append([bar])
    return found


def settings(**risk: Any) -> GoalkickSettings:
    cross = {"strategy": "ema_cross", "params": {"fast": 2, "slow": 3}}
    return GoalkickSettings.model_validate(
        {
            "strategy": {"strategies": {"cross": cross}},
            "risk": {"sizing": "fixed_quantity", "quantity": "0.01", **risk},
        }
    )


def placed(life: Life) -> list[str]:
    return [order.asked.client_order_id for order in life.exchange.orders]


def agrees(life: Life, session: Session) -> None:
    """The exchange and the session believe the same, and no order was placed twice."""
    assert max(Counter(placed(life)).values()) == 1
    assert not session._pipeline.working
    assert session._pipeline.ledger.cash == life.exchange.balances["USDT"]
    held = session._pipeline.ledger.positions[BTC].quantity
    assert held == life.exchange.balances["BTC"] - 10


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
async def test_a_run_that_dies_at_any_write_places_every_order_once_and_agrees(every: int) -> None:
    whole = Life()
    session, store = await whole.live(keeps_at=[10, 20])
    agrees(whole, session)
    orders, writes = placed(whole), 2 * (store.saved + len(store.appended))
    assert len(orders) > 10
    for dies in range(0, writes, every):
        life = Life()
        with pytest.raises(KilledError):
            await life.live(dies, keeps_at=[10, 20])
        session, _ = await life.live()
        agrees(life, session)
        # One decision may have died before it was durable, and with it what came of it.
        assert len(set(orders) - set(placed(life))) <= 2


async def test_every_order_at_the_venue_was_durable_before() -> None:
    for dies in range(0, 30, 3):
        life = Life()
        with pytest.raises(KilledError):
            await life.live(dies)
        session = life.session()
        for handle in placed(life):
            assert session._pipeline._outside.execution.knows(handle)  # type: ignore[arg-type]


async def test_a_kill_after_a_write_is_invisible_in_the_state() -> None:
    life = Life()
    with pytest.raises(KilledError):
        await life.live(25)
    entries, log = dict(life.entries), dict(life.log)
    assert log
    session = life.session()
    assert session.resumed
    before = msgspec.msgpack.encode(session.picture), session._pipeline.snapshot()
    # What the log made of it, saved as a snapshot, is the same without any log.
    session.save()
    assert not life.log
    again = life.session()
    assert (msgspec.msgpack.encode(again.picture), again._pipeline.snapshot()) == before
    # And the log gives the same each time that it is handled.
    life.entries, life.log = entries, log
    third = life.session()
    assert (msgspec.msgpack.encode(third.picture), third._pipeline.snapshot()) == before


async def test_an_intent_costs_an_entry_and_no_snapshot() -> None:
    life = Life()
    _, store = await life.live()
    assert len(store.appended) > 10
    assert store.saved == 1
    assert max(store.appended) < 5_000


async def test_a_long_log_and_an_old_one_become_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    life = Life()
    session, store = await life.live(keeps_at=[BARS - 1])
    assert (store.saved, session._log.length > 10) == (1, True)
    monkeypatch.setattr(run, "SNAPSHOT_ENTRIES", session._log.length)
    session.keep()
    assert (store.saved, life.log) == (2, {})
    monkeypatch.setattr(run, "SNAPSHOT_SECONDS", 0.0)
    session.keep()
    assert store.saved == 2
    session._take(Given(kind="heard"))
    session.keep()
    assert store.saved == 3


async def test_what_was_handled_is_durable_once_it_is_kept() -> None:
    life = Life()
    session, _ = await life.live(keeps_at=[BARS - 1])
    session._take(Given(kind="heard"))
    assert session._log.last not in life.log
    session.keep()
    assert session._log.last in life.log


async def test_decisions_of_the_log_are_not_told_again() -> None:
    life = Life()
    with pytest.raises(KilledError):
        await life.live(25)
    told: list[Decision] = []
    store = MemoryStateStore(life.entries, life.log)
    market = Market(name="test", pace="test", identity="a", steps=lambda _: iter(()))
    session = Session(settings(), market, store, told.append, venue=life.exchange.adapter())
    assert session.picture.counts.approved > 0
    assert told == []


async def test_limits_may_change_after_a_kill() -> None:
    life = Life()
    with pytest.raises(KilledError):
        await life.live(25)
    before = set(placed(life))
    # With this limit none of the orders of the log would have been approved.
    session, _ = await life.live(max_gross_exposure="0.0001")
    agrees(life, session)
    # Only what brings the position nearer to zero.
    assert len(set(placed(life)) - before) <= 1


async def killed(dies: int = 25) -> Life:
    life = Life()
    with pytest.raises(KilledError):
        await life.live(dies)
    assert len(life.log) > 5
    return life


async def test_a_log_without_its_snapshot_is_refused() -> None:
    life = await killed()
    life.entries.clear()
    with pytest.raises(StateError, match=r"expected a snapshot before the order log.*--fresh"):
        life.session()


async def test_a_log_with_a_gap_is_refused() -> None:
    life = await killed()
    first, last = min(life.log), max(life.log)
    del life.log[first + 1]
    with pytest.raises(StateError, match=f"expected entry {first + 1}, found {first + 2}.*--fresh"):
        life.session()
    life.log = {last + 5: b""}
    with pytest.raises(StateError, match=f"found {last + 5}"):
        life.session()


async def test_an_entry_that_cannot_be_read_is_refused() -> None:
    for broken in (b"", b"\xff", msgspec.msgpack.encode(["fed", 0, {}, [["None", {}]], []])):
        life = await killed()
        last = max(life.log)
        life.log[last] = broken
        with pytest.raises(StateError, match=f"expected entry {last} in the present layout"):
            life.session()


async def test_a_log_that_leads_to_other_orders_now_is_refused() -> None:
    life = await killed()
    saved: dict[str, Any] = msgspec.msgpack.decode(life.entries["run"])
    saved["decides"] = settings(quantity="0.02").model_dump_json(
        include={"feature", "prediction", "strategy", "risk", "execution"},
        exclude={"execution": {"venue"}},
    )
    life.entries["run"] = msgspec.msgpack.encode(saved)
    with pytest.raises(StateError, match=r"to lead to PlaceOrder gk-.* as it did.*--fresh"):
        life.session()


async def test_entries_that_the_snapshot_covers_are_passed_over() -> None:
    life = await killed()
    log = dict(life.log)
    session = life.session()
    session.save()
    before = session._pipeline.snapshot()
    # As if the log of an older copy of the file had come back.
    life.log.update(log)
    again = life.session()
    assert again._pipeline.snapshot() == before
    assert again._log.last == session._log.last


async def test_a_state_of_the_version_before_is_read_and_one_of_the_next_refused() -> None:
    life = await killed()
    session = life.session()
    old: dict[str, Any] = {
        "market": "a",
        "opening": "of memory/main",
        "picture": msgspec.to_builtins(session.picture),
    }
    life.log.clear()
    life.entries = {
        "run": msgspec.msgpack.encode({"version": 1, **old}),
        "pipeline": session._pipeline.snapshot(),
    }
    assert life.session().resumed
    resumed, _ = await life.live()
    agrees(life, resumed)
    life.log.clear()
    life.entries["run"] = msgspec.msgpack.encode({"version": 3, **old})
    with pytest.raises(StateError, match="expected version 2, found 3"):
        life.session()
