"""Six services over a partitioned log decide what one process decides, whatever dies on the way."""

import asyncio
import random
from collections.abc import Sequence
from decimal import Decimal

import pytest

from goalkick.common.events.market import BarClosed, InstrumentListed
from goalkick.common.ports.feed import Step
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from tests.embedded.recordings import Recorded
from tests.replay.cluster import (
    Form,
    Live,
    Member,
    decided,
    embedded,
    new_broker,
    services,
    settled,
)

MINUTE = 60_000_000_000
START = 1_700_000_040_000_000_000


def market(names: str, minutes: int, seed: int = 7) -> list[Step]:
    """Random walks; each instrument has a bar in most minutes."""
    chance = random.Random(seed)
    prices = {name: Decimal(100 + 10 * index) for index, name in enumerate(names)}
    ids = {name: InstrumentId(f"test:{name}/USDT") for name in names}
    steps: list[Step] = [
        [
            InstrumentListed(
                time_ns=START,
                instrument=ids[name],
                rules=Instrument(id=ids[name], base=name, quote="USDT", lot_size=Decimal("0.001")),
            )
            for name in names
        ]
    ]
    for minute in range(1, minutes + 1):
        step = []
        for name in names:
            if len(names) > 1 and chance.random() < 0.1:
                continue
            before = prices[name]
            after = max(Decimal(1), before + Decimal(chance.randint(-150, 150)) / 100)
            prices[name] = after
            step.append(
                BarClosed(
                    time_ns=START + minute * MINUTE,
                    instrument=ids[name],
                    interval_ns=MINUTE,
                    open=before,
                    high=max(before, after),
                    low=min(before, after),
                    close=after,
                    volume=Decimal(chance.randint(1, 100)),
                )
            )
        if step:
            steps.append(step)
    return steps


def ids(events: Sequence[object]) -> set[tuple[str, str]]:
    return {(type(event).__name__, event.id) for event in events}  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", ["each", "fused"])
@pytest.mark.parametrize("names", ["A", "ABCD"])
async def test_decisions_equal_those_of_one_process(names: str, form: Form) -> None:
    steps = market(names, 300)
    expected = embedded(steps)
    assert len({type(event).__name__ for event in expected}) >= 6
    broker = new_broker()
    members = [Member(broker, service, service.name) for service in services(form=form)]
    members.append(Member(broker, Recorded(steps), "ingest"))
    await settled(broker, steps[-1][0].time_ns)
    for member in members:
        await member.end()
    assert ids(decided(broker)) == ids(expected)
    assert sorted(decided(broker), key=lambda e: e.id) == sorted(expected, key=lambda e: e.id)


class Died(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


class Fate:
    """Kills at random operations, a bounded number of times."""

    def __init__(self, seed: int, deaths: int) -> None:
        self.chance = random.Random(seed)
        self.left = deaths
        self.died: dict[str, int] = {}

    def __call__(self, operation: str) -> None:
        if self.left and self.chance.random() < 0.02:
            self.left -= 1
            self.died[operation] = self.died.get(operation, 0) + 1
            raise Died(operation)


async def run_with_deaths(
    names: str,
    seed: int,
    deaths: int,
    copies: int,
    feed: type[Recorded | Live] = Recorded,
    form: Form = "each",
) -> None:
    steps = market(names, 120, seed)
    expected = embedded(steps)
    # With one partition a moment has many records, so that deaths fall between them.
    broker = new_broker(1 if feed is Live else 3)
    fate = Fate(seed, deaths)
    ended = asyncio.Event()

    async def keep_alive(service: object, name: str) -> None:
        generation = 0
        while not ended.is_set():
            generation += 1
            member = Member(broker, service, f"{name}-{generation}", batch=7, fault=fate)  # type: ignore[arg-type]
            waiting = asyncio.create_task(ended.wait())
            await asyncio.wait((member.task, waiting), return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if not member.task.done():
                fate.left = 0
                await member.end()
            elif not isinstance(member.task.exception(), Died):
                member.task.result()
            else:
                await member.log.vanish()

    async with asyncio.TaskGroup() as group:
        for service in services(form=form):
            for copy in range(copies):
                group.create_task(keep_alive(service, f"{service.name}-{copy}"))
        group.create_task(keep_alive(feed(steps), "ingest"))
        await settled(broker, steps[-1][0].time_ns)
        ended.set()
    assert sum(fate.died.values()) == deaths or fate.left == 0
    assert sorted(decided(broker), key=lambda e: e.id) == sorted(expected, key=lambda e: e.id)


@pytest.mark.parametrize("form", ["each", "fused"])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("copies", [1, 2])
async def test_deaths_at_any_operation_change_no_decision(
    seed: int, copies: int, form: Form
) -> None:
    await run_with_deaths("ABCD", seed, deaths=25, copies=copies, form=form)


@pytest.mark.parametrize("form", ["each", "fused"])
@pytest.mark.parametrize("seed", range(6, 10))
async def test_a_live_feed_that_dies_leaves_no_hole_and_says_nothing_twice(
    seed: int, form: Form
) -> None:
    await run_with_deaths("ABCD", seed, deaths=25, copies=1, feed=Live, form=form)
