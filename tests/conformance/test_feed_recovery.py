"""A live feed after what breaks its connection or its requests: whole again, and said so.

Rows of the catalogue of faults: broken sockets (F1), half-open ones (F2), refused requests (F10 to
F12), wrong clocks (F13), the daily cut (F14), halts and new rules (F17), new fields (F19), slow
networks (F22); and rows C3, C8, C10 of what ccxt would get wrong about market data.
"""

from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from goalkick.common.events.market import (
    BarClosed,
    BookSnapshotTaken,
    FeedRecovered,
    FeedStale,
    GapDetected,
    InstrumentListed,
    QuoteChanged,
    TradePrinted,
    VenueStatus,
    VenueStatusChanged,
)
from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND
from goalkick.ingest.feeds.recording import RecordingFeed, instruments_in
from goalkick.ingest.recorder import recordings_in
from goalkick.ingest.recording import Recording
from goalkick.venue.engine.model import Phase, Side
from goalkick.venue.faults import Action, Point
from tests.conformance.feed_listener import (
    BTC,
    ETH,
    Listener,
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

KLINES, DEPTH = "rest:GET /api/v3/klines", "rest:GET /api/v3/depth"


def bars_are_whole(heard: Listener, interval_ns: int = NS_PER_SECOND) -> bool:
    """Whether the bars that were told follow each other, each once."""
    closes = [event.time_ns for event in heard.events if isinstance(event, BarClosed)]
    return closes == list(range(closes[0], closes[-1] + 1, interval_ns))


@pytest.mark.parametrize("action", [Action.RESET, Action.CLOSE])
async def test_f1_a_broken_socket_is_replaced_and_what_was_missed_is_told(action: Action) -> None:
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        arm(venue, Point.NOW, "socket:stream", action, count=None)
        await heard.until(lambda: bool(heard.feed.tally.rebuilt))
        # Nobody is connected now: these are missed, and found again.
        for _ in range(3):
            trade(venue)
        await heard.event(FeedStale, stream="bar")
        await heard.event(FeedStale, stream="quote")
        await heard.event(GapDetected, stream="book")
        await heard.event(FeedRecovered, stream="bar")
        await heard.event(FeedRecovered, stream="book")
        trade(venue)
        await heard.event(TradePrinted, trade_id="5")
        await heard.event(FeedRecovered, stream="quote")
        await heard.until(lambda: books_agree(venue, heard))
        assert trade_ids(heard) == ["1", "2", "3", "4", "5"]
        assert not heard.told(GapDetected, stream="trade")
        assert heard.feed.tally.rebuilt == {("binance", "disconnected"): 1}


async def test_f1_moments_rise_whatever_happens() -> None:
    async with (
        lively_venue(seconds=True) as venue,
        listening(venue, BTC, ETH, interval="1s") as heard,
    ):
        for _ in range(3):
            await heard.event(BookSnapshotTaken, instrument=ETH)
            heard.forget()
            arm(venue, Point.NOW, "socket:stream", Action.RESET, count=None)
            await heard.event(FeedRecovered, stream="bar", instrument=ETH)
        assert heard.moments == sorted(set(heard.moments))


async def test_f1_promised_quiet_moments_are_kept_and_follow_the_clock() -> None:
    options: dict[str, Any] = {"interval": "1s", "quiet_every": "50ms"}
    async with lively_venue(seconds=True) as venue, listening(venue, BTC, ETH, **options) as heard:
        await heard.event(BarClosed)
        arm(venue, Point.NOW, "socket:stream", Action.RESET, count=None)
        await heard.event(FeedRecovered, stream="bar", instrument=ETH)
        known = heard.promises
        await heard.until(lambda: heard.promises > known + 20)
        assert heard.moments == sorted(set(heard.moments))
        # A bar comes a moment after its end; in between is the last promise before it.
        assert heard.clock.now_ns() - heard.moments[-1] < 2 * NS_PER_SECOND


async def test_f1_trades_that_the_venue_does_not_tell_again_are_a_gap() -> None:
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        arm_preset(venue, "F12-503", where="rest:GET /api/v3/trades")
        arm(venue, Point.NOW, "socket:stream", Action.RESET, count=None)
        await heard.until(lambda: bool(heard.feed.tally.rebuilt))
        for _ in range(3):
            trade(venue)
        await heard.event(FeedRecovered, stream="bar")
        await heard.event(FeedRecovered, stream="book")
        trade(venue)
        gap = await heard.event(GapDetected, stream="trade")
        last = await heard.event(TradePrinted, trade_id="5")
        assert gap.missing == 3
        assert gap.from_ns < gap.to_ns == last.time_ns + 1
        assert trade_ids(heard) == ["1", "5"]


async def test_c3_c10_a_lost_trade_is_found_by_its_number_and_told_in_its_place() -> None:
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        arm(venue, Point.FRAME, "stream:*@trade", Action.DROP, count=2)
        for _ in range(4):
            trade(venue)
        await heard.event(TradePrinted, trade_id="5")
        assert trade_ids(heard) == ["1", "2", "3", "4", "5"]
        await heard.until(lambda: heard.feed.tally.mended["binance"] == 2)
        assert not heard.told(GapDetected)
        assert not heard.feed.tally.rebuilt


async def test_a_trade_that_comes_again_is_told_once_and_counted() -> None:
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        arm(venue, Point.FRAME, "stream:*@trade", Action.DUPLICATE)
        trade(venue)
        trade(venue)
        await heard.event(TradePrinted, trade_id="3")
        await heard.until(lambda: heard.feed.tally.late["binance"] == 1)
        assert trade_ids(heard) == ["1", "2", "3"]


async def test_c8_bars_are_told_when_the_venue_says_that_they_are_closed() -> None:
    async with lively_venue(seconds=True) as venue, listening(venue, interval="1s") as heard:
        trade(venue)
        await heard.until(lambda: len(heard.told(BarClosed)) > 5)
        assert bars_are_whole(heard)
        assert sum(bar.volume for bar in heard.told(BarClosed)) >= Decimal("0.1")


@pytest.mark.parametrize(
    ("settle", "grace", "dropped"),
    [("100ms", "200ms", 8), ("2s", "3s", 20)],
    ids=["before another came", "when another came"],
)
async def test_c8_a_closed_bar_that_the_stream_lost_is_asked_for(
    settle: str, grace: str, dropped: int
) -> None:
    options: dict[str, Any] = {"interval": "1s", "settle": settle, "grace": grace}
    options["patience"] = {"bar": "3s", "trade": None, "quote": None, "book": None, "all": "10s"}
    async with lively_venue(seconds=True) as venue, listening(venue, **options) as heard:
        await heard.until(lambda: len(heard.told(BarClosed)) > 2)
        arm(venue, Point.FRAME, "stream:*@kline_1s", Action.DROP, count=dropped)
        seen = len(heard.told(BarClosed))
        await heard.until(lambda: len(heard.told(BarClosed)) > seen + 2)
        assert bars_are_whole(heard)
        assert not heard.told(GapDetected, stream="bar")


async def test_f9_a_stale_snapshot_is_not_taken_for_the_book() -> None:
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        arm_preset(venue, "F9-stale", where=DEPTH)
        arm_preset(venue, "F9", where="stream:*@depth*")
        place(venue, Side.BUY, 59_900)
        await heard.until(lambda: len(venue.faults.armed()) == 1)
        place(venue, Side.BUY, 59_901)
        await heard.event(GapDetected, stream="book")
        await heard.event(FeedRecovered, stream="book")
        await heard.until(lambda: books_agree(venue, heard))
        assert not venue.faults.armed()


async def test_f9_a_repeated_change_of_a_book_changes_nothing() -> None:
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        arm_preset(venue, "F9-repeat", where="stream:*@depth*")
        place(venue, Side.BUY, "59998.5")
        await heard.until(lambda: not venue.faults.armed())
        place(venue, Side.BUY, "59998.6")
        await heard.until(lambda: books_agree(venue, heard))
        assert not heard.told(GapDetected)


async def test_f10_snapshots_are_asked_for_again_when_the_venue_allows_it() -> None:
    async with lively_venue() as venue:
        arm_preset(venue, "F10", count=2, params={"headers": {"Retry-After": "1"}})
        async with listening(venue) as heard:
            await heard.event(BookSnapshotTaken)
            await heard.until(lambda: books_agree(venue, heard))
            asked = venue.context.requests.entries(method="/depth")
            assert [entry.status for entry in asked] == [429, 429, 200]
            waits_s = [
                (later.time_ns - before.time_ns) / NS_PER_SECOND
                for before, later in pairwise(asked)
            ]
            assert min(waits_s) > 0.9


@pytest.mark.parametrize("fault", ["F12", "F12-503", "F12-empty", "F12-html", "F12-text"])
@pytest.mark.parametrize("where", [DEPTH, KLINES])
async def test_f12_answers_that_are_none_are_asked_for_again(fault: str, where: str) -> None:
    async with lively_venue() as venue:
        arm_preset(venue, fault, where=where, count=2)
        async with listening(venue) as heard:
            await heard.event(BookSnapshotTaken)
            await heard.until(lambda: len(heard.told(BarClosed)) >= 2)
            await heard.until(lambda: books_agree(venue, heard))
            assert not heard.feed.tally.rebuilt


@pytest.mark.parametrize("status", [429, 418])
async def test_f11_the_venue_is_left_in_peace_for_as_long_as_it_says(status: int) -> None:
    async with lively_venue() as venue:
        arm(
            venue, Point.REQUEST, KLINES, Action.ANSWER,
            status=status, body='{"code":-1003,"msg":"Too much"}', headers={"Retry-After": "1"},
        )  # fmt: skip
        began_ns = venue.clock.now_ns()
        async with listening(venue) as heard:
            bar = await heard.event(BarClosed)
            assert bar.time_ns % NS_PER_SECOND == 0
            assert venue.clock.now_ns() - began_ns > NS_PER_SECOND
            assert not heard.feed.tally.rebuilt


async def test_f11_a_handshake_that_is_put_off_is_made_later() -> None:
    async with lively_venue() as venue:
        arm_preset(venue, "F11-handshake", params={"headers": {"Retry-After": "1"}})
        began_ns = venue.clock.now_ns()
        async with listening(venue) as heard:
            await heard.event(FeedStale, stream="bar")
            await heard.event(FeedRecovered, stream="bar")
            assert venue.clock.now_ns() - began_ns > NS_PER_SECOND
            await settled(venue, heard)


@pytest.mark.parametrize("skew_s", [5, -5])
async def test_f13_a_clock_that_is_a_little_wrong_stops_nothing(skew_s: int) -> None:
    skew_ns = skew_s * NS_PER_SECOND
    async with lively_venue() as venue, listening(venue, skew_ns=skew_ns) as heard:
        await settled(venue, heard)
        place(venue, Side.BUY, "59998.5")
        await heard.until(lambda: books_agree(venue, heard))
        assert not heard.feed.tally.rebuilt


async def test_f13_what_a_very_wrong_clock_makes_unbelievable_is_counted_and_mended() -> None:
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        # What the venue says is from the future now.
        heard.clock.by_ns = -2 * NS_PER_MINUTE
        trade(venue)
        await heard.until(lambda: heard.feed.tally.refused["binance"] >= 2)
        heard.clock.by_ns = 0
        trade(venue)
        await heard.event(GapDetected, stream="book")
        await heard.event(FeedRecovered, stream="book")
        await heard.event(TradePrinted, trade_id="3")
        await heard.until(lambda: books_agree(venue, heard))
        assert trade_ids(heard) == ["1", "2", "3"]


async def test_f14_the_daily_cut_is_one_short_break() -> None:
    cut = {"connection_lifetime": 2 * NS_PER_SECOND, "shutdown_notice": 500 * NS_PER_MS}
    async with (
        lively_venue(binance=cut, seconds=True) as venue,
        listening(venue, interval="1s") as heard,
    ):
        await heard.until(lambda: heard.feed.tally.rebuilt["binance", "shutdown"] >= 2)
        await heard.event(FeedRecovered, stream="bar")
        assert set(heard.feed.tally.rebuilt) == {("binance", "shutdown")}
        assert bars_are_whole(heard)


async def test_f17_a_halt_and_its_end_are_told() -> None:
    async with lively_venue() as venue, listening(venue, BTC, ETH, rules_every="100ms") as heard:
        await heard.event(BookSnapshotTaken)
        venue.exchange.set_phase("ETH/USDT", Phase.HALT)
        halted = await heard.event(VenueStatusChanged)
        assert (halted.instrument, halted.status) == (ETH, VenueStatus.HALTED)
        heard.forget()
        venue.exchange.set_phase("ETH/USDT", Phase.TRADING)
        opened = await heard.event(VenueStatusChanged)
        assert (opened.instrument, opened.status) == (ETH, VenueStatus.TRADING)


async def test_f17_a_delisted_instrument_does_not_hold_up_the_others() -> None:
    options: dict[str, Any] = {"rules_every": "100ms", "interval": "1s", "stale_after": "2s"}
    # The venue's list says it before its silence does, on a busy machine too.
    options["patience"] = {"bar": "4s", "trade": None, "quote": None, "book": None, "all": "10s"}
    async with lively_venue(seconds=True) as venue, listening(venue, BTC, ETH, **options) as heard:
        await heard.until(lambda: len(heard.told(BarClosed)) > 4)
        venue.exchange.delist("ETH/USDT")
        gone = await heard.event(VenueStatusChanged)
        assert (gone.instrument, gone.status, gone.reason) == (
            ETH, VenueStatus.HALTED, "delisted",
        )  # fmt: skip
        await heard.event(FeedRecovered, stream="bar", instrument=BTC)
        heard.forget()
        await heard.until(lambda: len(heard.told(BarClosed, instrument=BTC)) > 2)
        assert not heard.told(BarClosed, instrument=ETH)
        assert set(heard.feed.tally.rebuilt) == {("binance", "listing")}


async def test_f17_new_rules_are_told() -> None:
    async with lively_venue() as venue, listening(venue, rules_every="100ms") as heard:
        await heard.event(BookSnapshotTaken)
        heard.forget()
        listing = venue.exchange.listings["BTC/USDT"]
        venue.exchange.list_instrument(msgspec.structs.replace(listing, tick_size=Decimal("0.1")))
        listed = await heard.event(InstrumentListed)
        assert listed.rules.tick_size == Decimal("0.1")
        assert not heard.told(VenueStatusChanged)


async def test_f19_new_fields_change_nothing() -> None:
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        arm(venue, Point.FRAME, "stream:*", Action.CORRUPT, count=None, merge={"zz": "new"})
        trade(venue)
        await heard.event(TradePrinted, trade_id="2")
        await heard.event(QuoteChanged)
        await heard.until(lambda: books_agree(venue, heard))
        assert not heard.feed.tally.refused


async def test_f22_a_burst_after_a_pause_is_told_whole_and_in_order() -> None:
    async with lively_venue() as venue, listening(venue, patience={"bar": "10s"}) as heard:
        await settled(venue, heard)
        arm(venue, Point.FRAME, "stream:*@trade", Action.DELAY, seconds=1)
        for _ in range(50):
            trade(venue, "0.001")
        await heard.event(TradePrinted, trade_id="51")
        assert trade_ids(heard) == [str(number) for number in range(1, 52)]
        assert not heard.told(GapDetected)


async def test_a_full_queue_is_said_and_mended() -> None:
    async with lively_venue() as venue, listening(venue, queue=20) as heard:
        await settled(venue, heard)
        for step in range(200):
            place(venue, Side.BUY, "59990", "0.001") if step % 2 else trade(venue, "0.001")
        await heard.event(GapDetected, stream="book")
        await heard.event(FeedRecovered, stream="book")
        trade(venue)
        await heard.event(TradePrinted, trade_id="102")
        await heard.until(lambda: books_agree(venue, heard))
        assert heard.feed.tally.dropped["binance"] > 0
        assert heard.feed.tally.rebuilt["binance", "overflow"] >= 1
        assert trade_ids(heard) == [str(number) for number in range(1, 103)]


async def test_a_recording_of_the_feed_tells_the_same_trades_again(tmp_path: Path) -> None:
    async with lively_venue() as venue, listening(venue, record=tmp_path) as heard:
        await settled(venue, heard)
        for number in (2, 3):
            trade(venue)
            await heard.event(TradePrinted, trade_id=str(number))
    recordings = [Recording(path) for path in recordings_in(tmp_path, "binance")]
    instruments = {"binance": instruments_in(recordings, "binance")}
    replay = RecordingFeed({"binance": recordings}, instruments, ())
    events = [event for step in replay.steps() for event in step]
    told = [event for event in events if isinstance(event, TradePrinted)]
    assert told == [event for event in heard.events if isinstance(event, TradePrinted)]
    assert any(isinstance(event, BookSnapshotTaken) for event in events)


def _more_trades(heard: Listener, than: int) -> bool:
    return len(trade_ids(heard)) > than


async def test_bars_from_trades_equal_the_venues_own() -> None:
    options: dict[str, Any] = {"bars_from": "trades", "streams": ("trades",), "interval": "1s"}
    async with lively_venue(seconds=True) as venue, listening(venue, **options) as heard:
        await heard.until(lambda: len(heard.told(BarClosed)) > 1)
        while len([bar for bar in heard.told(BarClosed) if bar.trades]) < 4:
            told = len(trade_ids(heard))
            trade(venue, "0.0001")
            await heard.until(partial(_more_trades, heard, told))
        own = {
            candle.open_ns: candle for candle in venue.exchange.candles("BTC/USDT", NS_PER_SECOND)
        }
        compared = [bar for bar in heard.told(BarClosed) if bar.trades]
        for bar in compared:
            candle = own[bar.open_time_ns]
            assert (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trades) == (
                candle.open, candle.high, candle.low, candle.close, candle.volume, candle.trades,
            )  # fmt: skip
            assert bar.quote_volume == candle.quote_volume
