"""Two live feeds as one: killed in turn, in the middle, with delays, and nothing is missing."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.events.base import Event, Side
from goalkick.common.events.market import BarClosed, GapDetected, TradePrinted
from goalkick.common.ports.feed import LiveFeed, Step, Tape
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.time import NS_PER_MINUTE as MINUTE
from goalkick.common.values.time import NS_PER_MS
from goalkick.ingest.feeds.redundant import RedundantFeed

BTC = InstrumentId("x:BTC/USDT")
D = Decimal
LONG = 10**12
"""A wait that no test sees the end of, ns."""


def step_of(minute: int) -> Step:
    return [
        BarClosed(
            time_ns=(minute + 1) * MINUTE,
            instrument=BTC,
            interval_ns=MINUTE,
            open=D(1),
            high=D(1),
            low=D(1),
            close=D(1),
            volume=D(1),
        )
    ]


def trade(number: int) -> Tape:
    return Tape(
        [
            TradePrinted(
                time_ns=number,
                instrument=BTC,
                trade_id=str(number),
                price=D(1),
                quantity=D(1),
                side=Side.BUY,
            )
        ]
    )


LINES: list[Step | Tape] = [line for n in range(8) for line in (trade(n), step_of(n))]


class Copy:
    """Says its lines, one at each turn of the loop that `pauses` leaves it, then ends or breaks."""

    def __init__(
        self,
        lines: Sequence[Step | Tape],
        pauses: Sequence[int] = (),
        error: Exception | None = None,
        *,
        stays: bool = False,
    ) -> None:
        self._lines = lines
        self._pauses = pauses
        self._error = error
        self._stays = stays
        self._closed = asyncio.Event()
        self.asked: list[int | None] = []
        self.left = 0

    def close(self) -> None:
        self._closed.set()

    async def steps(self, after_ns: int | None = None) -> AsyncGenerator[Step | Tape, None]:
        self.asked.append(after_ns)
        try:
            for number, line in enumerate(self._lines):
                if number < len(self._pauses):
                    for _ in range(self._pauses[number]):
                        await asyncio.sleep(0)
                yield line
            if self._error is not None and len(self.asked) == 1:
                raise self._error
            if self._stays:
                await self._closed.wait()
        finally:
            self.left += 1


class Again:
    """One copy the first time, another from then on."""

    def __init__(self, first: Copy, then: Copy) -> None:
        self._copies = [first, then, then]

    def close(self) -> None:
        for copy in self._copies:
            copy.close()

    def steps(self, after_ns: int | None = None) -> AsyncGenerator[Step | Tape, None]:
        return self._copies.pop(0).steps(after_ns)


def feed_of(
    *feeds: LiveFeed, wait_ns: int = LONG, delay_s: Callable[[int], float] = lambda _: 0.0
) -> RedundantFeed:
    return RedundantFeed(feeds, SystemClock(), wait_ns=wait_ns, delay_s=delay_s)


async def heard(feed: RedundantFeed) -> tuple[list[int], list[int], list[str]]:
    """Minutes of the bars, numbers of the trades, other events."""
    bars, trades, others = [], [], []
    async with asyncio.timeout(10), aclosing(feed.steps()) as steps:
        async for said in steps:
            for event in said:
                if isinstance(event, BarClosed):
                    bars.append(event.open_time_ns // MINUTE)
                elif isinstance(event, TradePrinted):
                    trades.append(int(event.trade_id))
                else:
                    others.append(type(event).__name__)
    return bars, trades, others


@pytest.mark.parametrize("dying", [0, 1])
@pytest.mark.parametrize("after", range(0, len(LINES) + 1, 3))
@pytest.mark.parametrize("broken", [True, False])
async def test_either_may_die_in_the_middle_without_a_gap(
    dying: int, after: int, broken: bool
) -> None:
    error = RuntimeError("the socket is gone") if broken else None
    feeds = [Copy(LINES, [1] * len(LINES)) for _ in range(2)]
    feeds[dying] = Copy(LINES[:after], error=error)
    feed = feed_of(*feeds)
    bars, trades, others = await heard(feed)
    assert (bars, trades) == (list(range(8)), list(range(8)))
    assert "GapDetected" not in others


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(0, 4), min_size=len(LINES), max_size=len(LINES)),
    st.lists(st.integers(0, 4), min_size=len(LINES), max_size=len(LINES)),
    st.integers(0, 1),
    st.integers(0, len(LINES)),
    st.sets(st.integers(0, len(LINES) - 1)),
)
def test_whatever_the_delays_and_what_one_lacks_all_is_told_in_order(
    pauses: list[int], others: list[int], dying: int, after: int, lost: set[int]
) -> None:
    async def run() -> tuple[list[int], list[int], list[str]]:
        whole = Copy(LINES, pauses)
        holed = Copy([line for n, line in enumerate(LINES[:after]) if n not in lost], others)
        return await heard(feed_of(*([whole, holed] if dying else [holed, whole])))

    bars, trades, told = asyncio.run(run())
    assert bars == sorted(set(bars))
    assert trades == sorted(set(trades))
    # Before the first that is said nobody can know that something is missing.
    assert bars[-1] == trades[-1] == 7
    assert set(range(trades[0], 8)) == set(trades)
    assert told == []


async def test_a_broken_feed_is_dialled_again_after_the_last_moment() -> None:
    broken = Copy(LINES[:6], error=TransientError("gone"))
    feed = feed_of(broken, Copy(LINES, [1] * len(LINES)))
    bars, trades, _ = await heard(feed)
    assert (bars, trades) == (list(range(8)), list(range(8)))
    assert broken.asked[0] is None
    assert broken.asked[1] is not None
    assert broken.asked[1] % MINUTE == 0


async def test_feeds_that_never_said_anything_raise_what_broke_them() -> None:
    feed = feed_of(Copy([], error=TransientError("one")), Copy([], error=TransientError("two")))
    with pytest.raises(TransientError):
        await heard(feed)


async def test_that_all_feeds_are_gone_is_told_but_not_that_all_have_ended() -> None:
    assert (await heard(feed_of(Copy(LINES), Copy(LINES))))[2] == []
    later = Copy([step_of(9)], [200])
    later_still = Copy([step_of(9)], [200])
    lost = [Copy(LINES, error=TransientError("gone")) for _ in range(2)]
    feed = feed_of(Again(lost[0], later), Again(lost[1], later_still))
    bars, _, others = await heard(feed)
    assert others == ["FeedStale", "FeedStale", "FeedRecovered"]
    assert bars == [*range(8), 9]


async def test_a_silent_copy_holds_up_nobody_longer_than_the_wait() -> None:
    silent = Copy([], stays=True)
    lines = [trade(1), trade(4), trade(5)]
    feed = feed_of(silent, Copy(lines, stays=True), wait_ns=20 * NS_PER_MS)
    told: list[Event] = []
    async with asyncio.timeout(10), aclosing(feed.steps()) as steps:
        async for said in steps:
            told += said
            if len(told) == 4:
                feed.close()
    assert [type(event) for event in told[:2]] == [TradePrinted, GapDetected]
    assert [type(event) for event in told[2:]] == [TradePrinted, TradePrinted]


async def test_leaving_early_leaves_both_feeds() -> None:
    feeds = [Copy(LINES, stays=True) for _ in range(2)]
    async with aclosing(feed_of(*feeds).steps()) as steps:
        await anext(steps)
        for _ in range(100):
            await asyncio.sleep(0)
    assert [feed.left for feed in feeds] == [1, 1]


def test_refuses_a_single_feed() -> None:
    with pytest.raises(SettingsError, match="2 copies or more"):
        RedundantFeed([Copy([])], SystemClock())
