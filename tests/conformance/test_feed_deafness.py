"""A live feed that cannot go deaf: what makes ccxt hear nothing any more, without an error.

Each test is named for a row of the catalogue of faults (D1, D5, ...), and shows that the feed
notices within its patience, says so in events and mends itself.
"""

import asyncio
import time
from typing import Any

import pytest

from goalkick.common.events.market import (
    BarClosed,
    BookSnapshotTaken,
    FeedRecovered,
    FeedStale,
    GapDetected,
    TradePrinted,
)
from goalkick.venue.engine.model import Side
from goalkick.venue.faults import Action, Point
from tests.conformance.feed_listener import (
    BTC,
    arm,
    arm_preset,
    books_agree,
    listening,
    lively_venue,
    place,
    settled,
    trade,
    trade_ids,
)

pytestmark = pytest.mark.slow


async def test_d1_a_list_where_an_object_belongs_is_survived_without_a_new_connection() -> None:
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        arm(venue, Point.FRAME, "stream:*@trade", Action.CORRUPT, text="[]", keep=True)
        trade(venue)
        trade(venue)
        await heard.event(TradePrinted, trade_id="3")
        assert heard.feed.tally.refused["binance"] == 1
        assert not heard.feed.tally.rebuilt
        assert not heard.told(FeedStale)


async def test_a_stall_of_our_own_process_is_not_taken_for_a_venues_silence() -> None:
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        for number in range(2, 5):
            time.sleep(0.7)  # noqa: ASYNC251 - longer than the patience with bars
            trade(venue)
            await heard.event(TradePrinted, trade_id=str(number))
        assert not heard.told(FeedStale)
        assert not heard.feed.tally.rebuilt


@pytest.mark.parametrize("frame", ["{bad", '{"e":"kline","s":"BTCUSDT","k":', "[1,"])
async def test_d1_a_socket_that_is_not_read_after_malformed_json_is_replaced(frame: str) -> None:
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        arm(venue, Point.FRAME, "stream:*@kline*", Action.CORRUPT, text=frame)
        stale = await heard.event(FeedStale, stream="bar")
        recovered = await heard.event(FeedRecovered, stream="bar")
        assert stale.time_ns < recovered.time_ns
        assert heard.feed.tally.rebuilt["binance", "stale"] == 1


@pytest.mark.parametrize(
    "frame",
    [
        '"text"',
        "null",
        "1",
        "{}",
        '{"e":["kline"]}',
        '{"e":"kline","s":"BTCUSDT"}',
        '{"e":"trade","s":"BTCUSDT","t":"x"}',
        '{"e":"trade","s":7}',
        '{"e":"depthUpdate"}',
        '{"result":1,"id":[]}',
    ],
)
async def test_d1_frames_that_make_no_sense_are_passed_over(frame: str) -> None:
    async with lively_venue() as venue, listening(venue, streams=("bars", "trades")) as heard:
        await heard.event(BarClosed)
        arm(venue, Point.FRAME, "stream:*@trade", Action.CORRUPT, text=frame, keep=True)
        trade(venue)
        trade(venue)
        await heard.event(TradePrinted, trade_id="2")
        assert not heard.feed.tally.rebuilt


async def test_d5_a_notice_of_shutdown_is_taken_at_its_word() -> None:
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        arm(venue, Point.NOW, "socket:stream", Action.SHUTDOWN, count=None, grace_s=30)
        await heard.event(GapDetected, stream="book")
        await heard.event(FeedRecovered, stream="book")
        await heard.event(FeedRecovered, stream="bar")
        # Well before the venue's close, which would have been the next one's reason.
        assert heard.feed.tally.rebuilt == {("binance", "shutdown"): 1}
        await heard.until(lambda: books_agree(venue, heard))


async def test_d5_unknown_events_are_passed_over() -> None:
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        news = '{"e":"newThing","E":1,"s":"BTCUSDT"}'
        arm(venue, Point.FRAME, "stream:*@trade", Action.CORRUPT, text=news, keep=True)
        trade(venue)
        await heard.event(TradePrinted, trade_id="2")
        assert not heard.feed.tally.rebuilt


async def test_d8_a_gap_in_the_depth_does_not_freeze_the_book() -> None:
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        arm_preset(venue, "F9", where="stream:*@depth*")
        place(venue, Side.BUY, "59998.5")
        await asyncio.sleep(0)
        await heard.until(lambda: not venue.faults.armed())
        place(venue, Side.BUY, "59998.6")
        gap = await heard.event(GapDetected, stream="book")
        await heard.event(FeedRecovered, stream="book")
        assert gap.from_ns < gap.to_ns
        await heard.until(lambda: books_agree(venue, heard))
        place(venue, Side.BUY, "59998.7")
        await heard.until(lambda: books_agree(venue, heard))
        assert not heard.feed.tally.rebuilt


@pytest.mark.parametrize("where", ["socket:stream"])
async def test_d9_half_open_sockets_are_noticed_by_the_silence_of_bars(where: str) -> None:
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        before_ns = venue.clock.now_ns()
        arm(venue, Point.NOW, where, Action.HALF_OPEN, count=None)
        await heard.event(FeedStale, stream="bar")
        noticed_s = (venue.clock.now_ns() - before_ns) / 1e9
        await heard.event(FeedRecovered, stream="bar")
        await heard.until(lambda: books_agree(venue, heard))
        trade(venue)
        await heard.event(TradePrinted, trade_id="2")
        assert 0.4 < noticed_s < 3


async def test_d9_a_half_open_socket_of_a_quiet_stream_is_noticed_by_its_pings() -> None:
    options: dict[str, Any] = {"streams": ("bars", "trades"), "keep_alive": "200ms"}
    lively = {"messages_per_second": 100}
    async with lively_venue(binance=lively) as venue, listening(venue, **options) as heard:
        await heard.event(BarClosed)
        trade(venue)
        await heard.event(TradePrinted, trade_id="1")
        # The trades' socket alone goes deaf: its next frame is its last.
        arm(venue, Point.FRAME, "stream:*@trade", Action.HALF_OPEN)
        trade(venue)
        await heard.until(lambda: bool(heard.feed.tally.rebuilt))
        await heard.event(FeedRecovered, stream="bar")
        trade(venue)
        await heard.event(TradePrinted, trade_id="3")
        assert trade_ids(heard) == ["1", "2", "3"]
        assert not heard.told(GapDetected)


async def test_d10_a_lost_acknowledgement_keeps_no_stream_from_beginning() -> None:
    async with lively_venue() as venue:
        arm(venue, Point.SUBSCRIBE, "stream:*", Action.LOSE_ACK, count=None)
        async with listening(venue) as heard:
            await heard.event(BookSnapshotTaken)
            trade(venue)
            await heard.event(TradePrinted, trade_id="1")
            await heard.until(lambda: books_agree(venue, heard))


async def test_d10_a_subscription_that_brings_nothing_is_made_again() -> None:
    async with lively_venue() as venue:
        arm(venue, Point.FRAME, "stream:*@kline*", Action.DROP, count=40)
        async with listening(venue) as heard:
            await heard.event(FeedStale, stream="bar", instrument=BTC)
            await heard.event(FeedRecovered, stream="bar", instrument=BTC)
            assert heard.feed.tally.rebuilt["binance", "stale"] >= 1


@pytest.mark.parametrize("stream", ["kline_1m", "trade", "bookTicker", "depth@100ms"])
async def test_d11_a_refused_subscription_is_made_again(stream: str) -> None:
    async with lively_venue() as venue:
        arm(venue, Point.SUBSCRIBE, f"stream:btcusdt@{stream}", Action.REJECT)
        async with listening(venue) as heard:
            await heard.event(FeedStale, stream="bar")
            await heard.event(FeedRecovered, stream="bar")
            await settled(venue, heard)
            assert heard.feed.tally.rebuilt == {("binance", "refused"): 1}
