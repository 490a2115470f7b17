"""A live run that is stopped or halted: orders do not work on while nobody attends to them."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any

import pytest

from goalkick.common.adapters.state.memory import MemoryStateStore
from goalkick.common.adapters.venue.memory import MemoryAccount, MemoryVenue
from goalkick.common.events.base import Event, Side
from goalkick.common.events.control import Halt
from goalkick.common.events.market import InstrumentListed
from goalkick.common.events.order import OrderApproved, OrderKind
from goalkick.common.values.ids import (
    AccountId,
    EventId,
    StrategyId,
    client_order_id,
)
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_MINUTE
from goalkick.embedded.run import Market, Session
from goalkick.embedded.settings import GoalkickSettings

BTC = MemoryAccount().instrument
START_NS = (time.time_ns() // NS_PER_MINUTE + 60) * NS_PER_MINUTE
"""Ahead of the clock, so that no order is of the past however late the tests begin."""


def resting(letter: str, *, reduce_only: bool = False) -> OrderApproved:
    """An order that nobody meets."""
    order = EventId(letter * 32)
    return OrderApproved(
        time_ns=START_NS,
        account=AccountId("main"),
        order=order,
        cause=order,
        client_order_id=client_order_id(order),
        strategy=StrategyId("s"),
        instrument=BTC,
        side=Side.BUY,
        quantity=Decimal("0.01"),
        kind=OrderKind.LIMIT,
        limit_price=Decimal(10_000),
        reduce_only=reduce_only,
    )


class Running:
    """A live session with two orders in the venue's book."""

    def __init__(self, **cancel_all: Any) -> None:
        self.exchange = MemoryAccount()
        self.entries: dict[str, bytes] = {}
        self.log: dict[int, bytes] = {}
        self._changes = cancel_all
        self.more: asyncio.Queue[Sequence[Event]] = asyncio.Queue()
        self.session = self.new_session()

    def new_session(self) -> Session:
        strategies = {"cross": {"strategy": "ema_cross", "params": {"fast": 2, "slow": 3}}}
        return Session(
            GoalkickSettings.model_validate(
                {
                    "strategy": {"strategies": strategies},
                    "execution": {"cancel_all": self._changes},
                }
            ),
            Market(name="test", pace="test", identity="a", steps=self._steps),
            MemoryStateStore(self.entries, self.log),
            lambda _: None,
            venue=self.exchange.adapter(),
        )

    async def _steps(self, _: int) -> AsyncIterator[Sequence[Event]]:
        rules = Instrument(id=BTC, base="BTC", quote="USDT")
        yield [InstrumentListed(time_ns=START_NS, instrument=BTC, rules=rules)]
        yield [resting("a"), resting("b", reduce_only=True)]
        while True:
            yield await self.more.get()

    async def start(self) -> "asyncio.Task[None]":
        trading = asyncio.create_task(self.session.trade())
        await self.until_open(2)
        return trading

    async def until_open(self, count: int) -> None:
        async with asyncio.timeout(5):
            while self.exchange.open_orders() != count or self._is_behind():  # noqa: ASYNC110
                await asyncio.sleep(0)

    def _is_behind(self) -> bool:
        return len(self.session._pipeline.working) != self.exchange.open_orders()

    async def stop(self, trading: "asyncio.Task[None]") -> None:
        trading.cancel()
        await asyncio.wait([trading])
        assert trading.cancelled()
        self.session.save()


@pytest.mark.parametrize(("which", "stay"), [("none", 2), ("opening", 1), ("all", 0)])
async def test_a_stop_takes_back_the_chosen_orders_and_knows_their_ends(
    which: str, stay: int
) -> None:
    running = Running(on_stop=which)
    await running.stop(await running.start())
    assert running.exchange.open_orders() == stay
    assert len(running.session._pipeline.working) == stay
    assert len(running.new_session()._pipeline.working) == stay


async def test_a_stop_is_part_of_what_a_restart_handles_again() -> None:
    running = Running()
    trading = await running.start()
    running.session.keep()
    trading.cancel()
    await asyncio.wait([trading])
    running.session._log.write()
    assert running.log, "no snapshot covers the stop"
    assert len(running.new_session()._pipeline.working) == 1


async def test_a_stop_waits_for_a_venue_that_says_nothing_no_longer_than_was_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running = Running(grace="50ms")
    trading = await running.start()
    never = asyncio.Event()
    monkeypatch.setattr(MemoryVenue, "answers", lambda _: never.wait())
    began_s = time.monotonic()
    await running.stop(trading)
    assert 0.05 <= time.monotonic() - began_s < 2
    assert not running.session._pipeline.left


async def test_a_halt_by_command_takes_back_what_may_add_risk() -> None:
    running = Running()
    trading = await running.start()
    running.more.put_nowait([Halt(time_ns=START_NS + 1, scope="*", issuer="somebody", reason="")])
    await running.until_open(1)
    await running.stop(trading)
