"""The ccxt feed against a Binance on loopback, through ccxt as it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from goalkick.common.adapters.clock.manual import ManualClock
from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.events.market import (
    BarClosed,
    FeedRecovered,
    FeedStale,
    GapDetected,
    InstrumentListed,
)
from goalkick.common.ports.feed import Step
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND
from goalkick.ingest.feeds.aggregate import live_with_intervals
from goalkick.ingest.feeds.ccxt import CcxtFeed
from goalkick.ingest.feeds.ccxt_venue import read_bar, step_of
from goalkick.ingest.feeds.retries import retry_delay_s
from goalkick.ingest.settings import CcxtSettings
from tests.unit.ingest.binance_rest import MINUTE_MS, BinanceRest, price_at

pytestmark = pytest.mark.slow

D = Decimal
NOW_MS = 1_700_000_040_000 + 30_000
"""Half a minute after a full one."""
BTC, ETH = InstrumentId("binance:BTC/USDT"), InstrumentId("binance:ETH/USDT")


class Market:
    """A venue and our clock, moved together."""

    def __init__(self, venue: BinanceRest) -> None:
        self.venue = venue
        self.clock = ManualClock(NOW_MS * NS_PER_MS)
        self.retries = 0
        self.retried = asyncio.Event()

    def pass_minutes(self, minutes: int) -> None:
        self.venue.now_ms += minutes * MINUTE_MS
        self.clock.advance(minutes * NS_PER_MINUTE)

    def feed(self, **options: Any) -> CcxtFeed:
        usual = {
            "endpoints": {"binance": self.venue.url},
            "instruments": ("binance:BTC/USDT",),
            "warmup": 3,
            "poll": "1ms",
            "retry_delay": "1ms",
            "max_retry_delay": "2ms",
            "timeout": "5s",
        }
        return CcxtFeed(CcxtSettings(**usual | options), self.clock, self._jitter)

    def _jitter(self) -> float:
        self.retries += 1
        self.retried.set()
        return 0.0


@pytest_asyncio.fixture
async def market() -> AsyncIterator[Market]:
    async with BinanceRest(NOW_MS).serving() as venue:
        yield Market(venue)


async def take(steps: AsyncIterator[Step], count: int) -> list[Step]:
    async with asyncio.timeout(20):
        return [await anext(steps) for _ in range(count)]


def closes(steps: list[Step]) -> list[int]:
    """Minutes from the last full one before NOW to each bar's close."""
    full_ns = (NOW_MS - 30_000) * NS_PER_MS
    return [
        (e.time_ns - full_ns) // NS_PER_MINUTE for s in steps for e in s if isinstance(e, BarClosed)
    ]


async def test_first_step_lists_the_rules_of_the_venue_exactly(market: Market) -> None:
    async with aclosing(
        market.feed(instruments=("binance:ETH/USDT", "binance:BTC/USDT")).steps()
    ) as steps:
        (listing,) = await take(steps, 1)
    btc, eth = (event.rules for event in listing if isinstance(event, InstrumentListed))
    assert (btc.id, eth.id) == (BTC, ETH)
    assert (btc.base, btc.quote) == ("BTC", "USDT")
    assert (btc.tick_size, eth.tick_size) == (D("0.01"), D("0.1"))
    assert (btc.lot_size, btc.min_quantity) == (D("0.00001"), D("0.00001"))
    assert btc.min_notional == 5
    assert (btc.maker_fee, btc.taker_fee) == (D("0.001"), D("0.001"))


async def test_warms_up_with_closed_bars_only_and_reads_them_exactly(market: Market) -> None:
    async with aclosing(market.feed().steps()) as steps:
        told = await take(steps, 5)
        assert closes(told) == [-2, -1, 0]
        (stale,), (recovered, bar) = told[1], told[-1]
        assert (type(stale), type(recovered)) == (FeedStale, FeedRecovered)
        price = price_at(NOW_MS - NOW_MS % MINUTE_MS - MINUTE_MS)
        assert bar == BarClosed(
            time_ns=(NOW_MS - 30_000) * NS_PER_MS,
            instrument=BTC,
            interval_ns=NS_PER_MINUTE,
            open=D(f"{price}.10000000"),
            high=D(f"{price}.90000000"),
            low=D(f"{price}.00000000"),
            close=D(f"{price}.50000000"),
            volume=D("0.12345678"),
        )
        assert told[0][0].time_ns == told[2][0].time_ns - NS_PER_MINUTE


async def test_tells_bars_as_they_close(market: Market) -> None:
    async with aclosing(
        market.feed(instruments=("binance:BTC/USDT", "binance:ETH/USDT")).steps()
    ) as steps:
        await take(steps, 5)
        for minute in (1, 2):
            market.pass_minutes(1)
            (step,) = await take(steps, 1)
            assert [event.key for event in step] == [BTC, ETH]
            assert closes([step]) == [minute, minute]


async def test_a_bar_that_ended_just_now_waits_until_it_has_settled(market: Market) -> None:
    market.venue.now_ms = NOW_MS + 29_999  # the venue has not begun the next minute
    market.clock.advance(30 * NS_PER_SECOND)  # by our clock it has
    async with aclosing(market.feed(settle="2s").steps()) as steps:
        assert closes(await take(steps, 3)) == [-1, 0]
        market.venue.volume = "9"  # the last trade of the minute comes late
        market.clock.advance(3 * NS_PER_SECOND)
        ((bar,),) = await take(steps, 1)
    assert isinstance(bar, BarClosed)
    assert closes([[bar]]) == [1]
    assert bar.volume == D(9)


async def test_a_long_warm_up_is_fetched_page_by_page(market: Market) -> None:
    async with aclosing(market.feed(warmup=2500).steps()) as steps:
        told = await take(steps, 2502)
    assert closes(told) == list(range(-2499, 1))
    assert len(market.venue.requests) == 3


async def test_missing_candles_are_a_gap_before_the_next(market: Market) -> None:
    full_ms = NOW_MS - 30_000
    market.venue.missing = {full_ms - 3 * MINUTE_MS, full_ms - 2 * MINUTE_MS}
    async with aclosing(market.feed(warmup=5).steps()) as steps:
        told = await take(steps, 5)
    assert closes(told) == [-4, -3, 0]
    gap = told[-1][0]
    assert isinstance(gap, GapDetected)
    assert (gap.missing, gap.time_ns) == (2, full_ms * NS_PER_MS)


async def test_goes_on_after_an_earlier_run_without_losing_a_bar(market: Market) -> None:
    last_ns = (NOW_MS - 30_000 - 7 * MINUTE_MS) * NS_PER_MS
    async with aclosing(market.feed().steps(after_ns=last_ns)) as steps:
        told = await take(steps, 9)
    assert told[0][0].time_ns == last_ns + 1
    assert closes(told) == [-6, -5, -4, -3, -2, -1, 0]
    assert not any(isinstance(event, GapDetected) for step in told for event in step)


@pytest.mark.parametrize("fault", [500, 503, 429, 418, "<html>", "{}", "null"])
async def test_a_venue_in_trouble_is_asked_again(market: Market, fault: int | str) -> None:
    async with aclosing(market.feed().steps()) as steps:
        await take(steps, 5)
        market.venue.faults.extend([fault] * 3)
        market.pass_minutes(1)
        assert closes(await take(steps, 1)) == [1]
    assert not market.venue.faults
    # What has the form of an answer, and no candles in it, is no reason to hold back.
    assert market.retries == (3 if isinstance(fault, int) else 0)


@pytest.mark.parametrize(
    ("failures", "jitter", "seconds"),
    [(1, 0, 0.5), (1, 1, 1), (2, 1, 2), (5, 1, 16), (7, 1, 60), (10_000, 0, 30)],
)
def test_waits_twice_as_long_after_each_failure_up_to_a_bound(
    failures: int, jitter: float, seconds: float
) -> None:
    assert retry_delay_s(failures, NS_PER_SECOND, NS_PER_MINUTE, jitter) == seconds


async def test_nonsense_in_a_candle_makes_it_missing(market: Market) -> None:
    async with aclosing(market.feed().steps()) as steps:
        await take(steps, 5)
        full_ms = NOW_MS - 30_000
        row = f'[{full_ms},"100","90","95","99","1",0,"0",1,"0","0","0"]'
        later = f'[{full_ms + MINUTE_MS},"100","101","95","99","1",0,"0",1,"0","0","0"]'
        market.venue.faults.append(f"[{row},{later}]")
        market.pass_minutes(2)
        (step,) = await take(steps, 1)
    assert [type(event) for event in step] == [GapDetected, BarClosed]
    assert closes([step]) == [2]


async def test_silence_is_stale_and_its_end_is_recovery(market: Market) -> None:
    async with aclosing(market.feed(stale_after="3m").steps()) as steps:
        told = await take(steps, 5)
        market.venue.silent.add("BTCUSDT")
        market.pass_minutes(4)
        ((stale,),) = await take(steps, 1)
        assert isinstance(stale, FeedStale)
        assert stale.last_ns == told[-1][0].time_ns
        market.venue.silent.clear()
        backlog = await take(steps, 4)
    assert closes(backlog) == [1, 2, 3, 4]
    assert [type(event) for event in backlog[-1]] == [FeedRecovered, BarClosed]


async def test_close_ends_the_steps_at_once(market: Market) -> None:
    feed = market.feed(poll="1h")
    steps = feed.steps()
    await take(steps, 5)
    waiting = asyncio.ensure_future(anext(steps, None))
    await asyncio.sleep(0)
    feed.close()
    async with asyncio.timeout(5):
        assert await waiting is None


async def test_starts_although_the_venue_was_down_for_a_moment(market: Market) -> None:
    market.venue.info_faults.extend([503, 503])
    async with aclosing(market.feed().steps()) as steps:
        assert isinstance((await take(steps, 1))[0][0], InstrumentListed)


async def test_gives_up_at_the_start_when_nobody_answers(market: Market) -> None:
    feed = market.feed(endpoints={"binance": "http://127.0.0.1:9"}, start_attempts=2)
    with pytest.raises(TransientError, match=r"binance at http://127\.0\.0\.1:9: expected an"):
        await take(feed.steps(), 1)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            {"instruments": ("binanse:BTC/USDT",), "endpoints": {}},
            "venue that ccxt knows, found 'binanse'; near: binance",
        ),
        ({"instruments": ("binance:BTC/USDC",)}, "found 'BTC/USDC'; near: BTC/USDT"),
        ({"interval": "7m"}, "expected one of binance's (1s, 1m, 3m, "),
    ],
)
async def test_refuses_settings_that_the_venue_cannot_meet(
    market: Market, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        await take(market.feed(**options).steps(), 1)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "row",
    [
        None,
        [],
        [60_000, "1", "1", "1", "1"],
        [60_000, "1", "1", "1", "1", None],
        [60_000, "1", "1", "1", "1", "nan"],
        [60_000, "0", "0", "0", "0", "0"],
        [60_000, "1", "2", "1.5", "2", "1"],
        [60_000, "1", "1", "1", "1", "-1"],
        [60_001, "1", "1", "1", "1", "1"],
        ["x", "1", "1", "1", "1", "1"],
    ],
)
def test_a_row_that_makes_no_sense_is_no_bar(row: Any) -> None:
    assert read_bar(row, BTC, NS_PER_MINUTE) is None


@pytest.mark.parametrize(
    ("precision", "mode", "step"),
    [("0.01000000", 4, "0.01"), ("1e-8", 4, "0.00000001"), (2, 2, "0.01"), ("0", 2, "1")],
)
def test_reads_steps_in_ccxts_ways_to_tell_them(precision: object, mode: int, step: str) -> None:
    assert step_of(precision, mode, "price of x") == D(step)


@pytest.mark.parametrize(("precision", "mode"), [(5, 3), (None, 4), (None, 2), ("0", 4)])
def test_refuses_a_step_that_is_not_told(precision: object, mode: int) -> None:
    with pytest.raises(SettingsError, match="price of x: expected its step as a tick size"):
        step_of(precision, mode, "price of x")


async def test_longer_bars_come_with_the_last_of_their_parts(market: Market) -> None:
    feed = live_with_intervals(market.feed(warmup=15), [5 * NS_PER_MINUTE])
    async with aclosing(feed.steps()) as steps:
        told = await take(steps, 16)
        longer = [step for step in told if len(step) == 2]
        assert len(longer) in (2, 3)
        for _, bar in longer:
            assert isinstance(bar, BarClosed)
            assert bar.volume == 5 * D("0.12345678")
            assert bar.time_ns % (5 * NS_PER_MINUTE) == 0
    feed.close()


async def test_close_ends_the_wait_for_a_venue_that_is_down(market: Market) -> None:
    market.venue.info_faults.extend([503] * 3)
    feed = market.feed(retry_delay="1h", max_retry_delay="1h")
    waiting = asyncio.ensure_future(anext(feed.steps(), None))
    await market.retried.wait()
    feed.close()
    async with asyncio.timeout(5):
        assert await waiting is None
