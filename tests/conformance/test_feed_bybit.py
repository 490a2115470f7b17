"""A live feed of a venue whose books come in the stream, and whose trades have no numbers.

ccxt checks nothing of its books (their `u` may jump), so the feed does.
"""

import pytest

from goalkick.common.events.market import (
    BarClosed,
    BookSnapshotTaken,
    FeedRecovered,
    FeedStale,
    GapDetected,
    QuoteChanged,
    TradePrinted,
    VenueStatus,
    VenueStatusChanged,
)
from goalkick.venue.engine.model import Phase, Side
from goalkick.venue.faults import Action, Point
from tests.conformance.feed_listener import (
    BTC,
    BYBIT_BTC,
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

BOOK = "stream:orderbook.50.*"


async def test_everything_is_heard() -> None:
    async with lively_venue() as venue, listening(venue, BYBIT_BTC) as heard:
        await heard.event(BarClosed)
        await settled(venue, heard)
        place(venue, Side.BUY, "59999.5")
        await heard.event(QuoteChanged)
        await heard.until(lambda: books_agree(venue, heard, BYBIT_BTC))
        assert not heard.feed.tally.rebuilt
        assert not heard.feed.tally.refused


async def test_f9_a_jump_of_the_books_numbers_is_noticed_and_mended() -> None:
    async with lively_venue() as venue, listening(venue, BYBIT_BTC) as heard:
        await settled(venue, heard)
        arm_preset(venue, "F9", where=BOOK)
        place(venue, Side.BUY, "59990.5")
        await heard.until(lambda: not venue.faults.armed())
        place(venue, Side.BUY, "59990.6")
        await heard.event(GapDetected, stream="book")
        await heard.event(FeedRecovered, stream="book")
        await heard.until(lambda: books_agree(venue, heard, BYBIT_BTC))
        assert heard.feed.tally.rebuilt == {("bybit", "book"): 1}


async def test_f9_a_repeated_change_of_a_book_changes_nothing() -> None:
    async with lively_venue() as venue, listening(venue, BYBIT_BTC) as heard:
        await settled(venue, heard)
        arm_preset(venue, "F9-repeat", where=BOOK)
        place(venue, Side.BUY, "59990.5")
        await heard.until(lambda: not venue.faults.armed())
        place(venue, Side.BUY, "59990.6")
        await heard.until(lambda: books_agree(venue, heard, BYBIT_BTC))
        assert not heard.told(GapDetected)


async def test_a_book_that_never_begins_is_subscribed_to_again() -> None:
    patience = {"bar": "500ms", "trade": None, "quote": None, "book": "400ms", "all": "10s"}
    async with lively_venue() as venue:
        # The first frame of the book is its snapshot.
        arm(venue, Point.FRAME, BOOK, Action.DROP)
        async with listening(venue, BYBIT_BTC, patience=patience) as heard:
            await heard.event(BookSnapshotTaken)
            assert set(heard.feed.tally.rebuilt) <= {("bybit", "book"), ("bybit", "stale")}
            assert heard.feed.tally.rebuilt


@pytest.mark.parametrize("action", [Action.RESET, Action.CLOSE])
async def test_f1_trades_of_a_break_are_fetched(action: Action) -> None:
    async with lively_venue() as venue, listening(venue, BYBIT_BTC) as heard:
        await settled(venue, heard)
        arm(venue, Point.NOW, "socket:stream", action, count=None)
        await heard.until(lambda: bool(heard.feed.tally.rebuilt))
        for _ in range(3):
            trade(venue)
        await heard.event(FeedStale, stream="bar")
        await heard.event(FeedRecovered, stream="bar")
        await heard.event(FeedRecovered, stream="book")
        trade(venue)
        await heard.event(TradePrinted, trade_id="5")
        assert trade_ids(heard, BYBIT_BTC) == ["1", "2", "3", "4", "5"]
        assert not heard.told(GapDetected, stream="trade")


async def test_f1_trades_of_a_break_that_the_venue_does_not_tell_are_a_gap() -> None:
    async with lively_venue() as venue, listening(venue, BYBIT_BTC) as heard:
        await settled(venue, heard)
        arm_preset(venue, "F12-503", where="rest:GET /v5/market/recent-trade")
        arm(venue, Point.NOW, "socket:stream", Action.RESET, count=None)
        await heard.until(lambda: bool(heard.feed.tally.rebuilt))
        trade(venue)
        # Books are subscribed to last.
        await heard.event(FeedRecovered, stream="book")
        trade(venue)
        gap = await heard.event(GapDetected, stream="trade")
        assert gap.missing == 1
        assert trade_ids(heard, BYBIT_BTC)[-1] == "3"


async def test_d9_half_open_sockets_are_noticed_by_the_silence_of_bars() -> None:
    async with lively_venue() as venue, listening(venue, BYBIT_BTC) as heard:
        await settled(venue, heard)
        arm(venue, Point.NOW, "socket:stream", Action.HALF_OPEN, count=None)
        await heard.event(FeedStale, stream="bar")
        await heard.event(FeedRecovered, stream="bar")
        await heard.until(lambda: books_agree(venue, heard, BYBIT_BTC))


@pytest.mark.parametrize("frame", ["{bad", "[]", '{"topic":7}', '{"topic":"kline.1.BTCUSDT"}'])
async def test_d1_bad_frames_do_not_make_it_deaf(frame: str) -> None:
    async with lively_venue() as venue, listening(venue, BYBIT_BTC) as heard:
        await settled(venue, heard)
        arm(venue, Point.FRAME, "stream:kline*", Action.CORRUPT, text=frame)
        await heard.until(lambda: not venue.faults.armed())
        place(venue, Side.BUY, "59990.5")
        await heard.until(lambda: books_agree(venue, heard, BYBIT_BTC))


async def test_d11_a_refused_subscription_is_made_again() -> None:
    async with lively_venue() as venue:
        arm(venue, Point.SUBSCRIBE, "stream:publicTrade*", Action.REJECT)
        async with listening(venue, BYBIT_BTC) as heard:
            await heard.event(FeedRecovered, stream="bar")
            await settled(venue, heard)
            assert heard.feed.tally.rebuilt == {("bybit", "refused"): 1}


async def test_f17_a_halt_is_told() -> None:
    async with lively_venue() as venue, listening(venue, BYBIT_BTC, rules_every="100ms") as heard:
        await heard.event(BookSnapshotTaken)
        venue.exchange.set_phase("BTC/USDT", Phase.HALT)
        halted = await heard.event(VenueStatusChanged)
        assert (halted.instrument, halted.status) == (BYBIT_BTC, VenueStatus.HALTED)


async def test_two_venues_in_one_process_fail_each_for_itself() -> None:
    async with lively_venue() as venue, listening(venue, BTC, BYBIT_BTC) as heard:
        await heard.event(BookSnapshotTaken, instrument=BTC)
        await heard.event(BookSnapshotTaken, instrument=BYBIT_BTC)
        heard.forget()
        arm_preset(venue, "F9", where=BOOK)
        place(venue, Side.BUY, "59990.5")
        await heard.until(lambda: not venue.faults.armed())
        place(venue, Side.BUY, "59990.6")
        await heard.event(FeedRecovered, stream="book", instrument=BYBIT_BTC)
        await heard.until(lambda: books_agree(venue, heard, BTC))
        await heard.until(lambda: books_agree(venue, heard, BYBIT_BTC))
        assert set(heard.feed.tally.rebuilt) == {("bybit", "book")}
        assert not heard.told(GapDetected, instrument=BTC)
        assert not heard.told(FeedStale, instrument=BTC)
