"""Every row of the catalogues of faults has a test that carries its name.

D1 to D11: what makes ccxt deaf without a word. C1 to C12: what it gets wrong, or loses. F1 to F22:
what networks and venues do. Rows that cannot touch our feed have a test that shows why.
"""

import ast
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
import pytest

from goalkick.common.events.market import (
    BarClosed,
    BookSnapshotTaken,
    FeedRecovered,
    TradePrinted,
)
from goalkick.venue.engine.model import Side
from goalkick.venue.faults import Action, Point
from tests.conformance.feed_listener import (
    BTC,
    arm,
    books_agree,
    listening,
    lively_venue,
    place,
    settled,
    trade,
    trade_ids,
)

pytestmark = pytest.mark.slow

HERE: Final = Path(__file__).parent
OUR_FEED: Final = (
    "test_fault_rows.py",
    "test_feed_bybit.py",
    "test_feed_deafness.py",
    "test_feed_recovery.py",
)
"""Where our own feed meets a fault; elsewhere in this folder it is the venue that is tested."""
MARKET_DATA: Final = (
    *(f"d{number}" for number in range(1, 12)),
    *("c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11", "c12"),
    *("f1", "f2", "f5", "f9", "f10", "f11", "f12", "f13", "f14", "f17", "f18", "f19", "f22"),
)
ORDERS: Final = ("f3", "f4", "f6", "f7", "f8", "f15", "f16", "f20", "f21")
"""What happens to orders alone: the scenarios of the faults' campaign."""


def names_in(paths: Iterable[Path]) -> list[str]:
    return [
        node.name
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


@pytest.mark.parametrize("row", MARKET_DATA)
def test_a_row_that_could_touch_market_data_has_a_test_of_our_feed(row: str) -> None:
    names = names_in(HERE / name for name in OUR_FEED)
    assert [name for name in names if re.match(rf"test_(\w+_)?{row}_", name)], row


@pytest.mark.parametrize("row", ORDERS)
def test_a_row_of_orders_is_among_the_scenarios_of_the_campaign(row: str) -> None:
    text = (HERE.parent / "faults" / "scenario.py").read_text(encoding="utf-8")
    assert f'"{row.upper()}"' in text


@pytest.mark.parametrize(
    "row", [*(f"D{n}" for n in range(1, 12)), *(f"F{n}" for n in range(1, 23))]
)
def test_an_operator_can_look_a_row_up(row: str) -> None:
    page = (HERE.parent.parent / "docs" / "operations.md").read_text(encoding="utf-8")
    assert re.search(rf"\b{row}\b", page), row


async def test_d2_d3_d4_d6_d7_f5_a_feed_asks_for_nothing_private_that_could_go_deaf() -> None:
    """These rows are of private streams and of orders over a socket: a feed opens neither."""
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        arm(venue, Point.NOW, "socket:stream", Action.RESET, count=None)
        await heard.event(FeedRecovered, stream="bar")
        trade(venue)
        await heard.event(TradePrinted, trade_id="2")
        asked = venue.context.requests.entries()
        assert asked
        for entry in asked:
            assert not entry.account, entry
            assert not {"signature", "apiKey", "listenKey"} & set(entry.params), entry
            assert "userData" not in entry.method, entry
            assert "order" not in entry.method, entry


async def test_d3_a_lost_acknowledgement_of_one_stream_is_made_good_by_a_new_connection() -> None:
    """On a public stream: whoever waits for an acknowledgement waits no longer than patience."""
    async with lively_venue() as venue:
        arm(venue, Point.SUBSCRIBE, "stream:*@kline*", Action.LOSE_ACK, count=1)
        arm(venue, Point.FRAME, "stream:*@kline*", Action.DROP, count=20)
        async with listening(venue) as heard:
            await heard.event(FeedRecovered, stream="bar")
            await settled(venue, heard)


async def test_c1_a_book_of_few_levels_stays_whole_when_its_best_ones_are_taken() -> None:
    """ccxt cuts the book itself to what is asked for: what was below does not come up."""
    async with lively_venue() as venue, listening(venue, book_levels=3) as heard:
        await settled(venue, heard)
        for _ in range(2):
            trade(venue, "1")
        depth = venue.exchange.depth("BTC/USDT", 3)
        await heard.until(
            lambda: (
                heard.told(BookSnapshotTaken)[-1:] != []
                and heard.told(BookSnapshotTaken)[-1].asks == tuple(depth.asks)
            )
        )
        book = heard.told(BookSnapshotTaken)[-1]
        assert len(book.asks) == 3
        assert len(book.bids) == 3


async def test_c2_what_was_told_does_not_change_under_who_keeps_it() -> None:
    """ccxt hands out its cache: books and trades that change while somebody holds them."""
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        place(venue, Side.BUY, "59998.5")
        await heard.event(BookSnapshotTaken)
        kept = list(heard.events)
        pictures = [msgspec.msgpack.encode(event) for event in kept]
        place(venue, Side.BUY, "59998.6")
        trade(venue, "1")
        await heard.until(lambda: books_agree(venue, heard))
        await heard.event(TradePrinted)
        assert [msgspec.msgpack.encode(event) for event in kept] == pictures
        assert len(heard.events) > len(kept)


async def test_c4_each_of_many_updates_between_two_looks_is_told() -> None:
    """ccxt keeps the last state; each trade and each closed bar is an event of its own here."""
    async with lively_venue(seconds=True) as venue, listening(venue, interval="1s") as heard:
        await heard.event(BarClosed)
        for _ in range(30):
            trade(venue, "0.001")
        await heard.until(lambda: len(trade_ids(heard)) >= 30)
        told = [int(number) for number in trade_ids(heard)]
        assert told == list(range(told[0], told[0] + len(told)))


async def test_c5_c6_trades_told_again_and_out_of_order_are_told_once_and_in_order() -> None:
    """These rows are of orders' reports; on market data the same frames are trades."""
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        arm(venue, Point.FRAME, "stream:*@trade", Action.DUPLICATE)
        trade(venue)
        arm(venue, Point.FRAME, "stream:*@trade", Action.SWAP)
        for _ in range(3):
            trade(venue)
        await heard.event(TradePrinted, trade_id="5")
        assert trade_ids(heard) == ["1", "2", "3", "4", "5"]


async def test_c7_a_reconnect_subscribes_to_everything_again_and_fetches_what_was_missed() -> None:
    """ccxt replays nothing; its next look alone dials again."""
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        arm(venue, Point.NOW, "socket:stream", Action.CLOSE, count=None)
        await heard.until(lambda: bool(heard.feed.tally.rebuilt))
        trade(venue)
        await heard.event(FeedRecovered, stream="bar")
        await heard.event(FeedRecovered, stream="book")
        trade(venue)
        await heard.event(TradePrinted, trade_id="3")
        assert trade_ids(heard) == ["1", "2", "3"]
        await heard.until(lambda: books_agree(venue, heard))


async def test_c9_c11_c12_a_feed_says_nothing_of_balances_and_orders() -> None:
    """These rows are of accounts: whatever an account does, a feed tells what all can see."""
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        place(venue, Side.BUY, 59_000)
        trade(venue)
        await heard.event(TradePrinted)
        assert {event.key for event in heard.events} == {BTC}
        fields = {name for event in heard.events for name in event.__struct_fields__}
        assert not fields & {"account", "order", "client_order_id", "balance"}


async def test_f18_an_acknowledgement_that_never_comes_and_a_refusal_are_both_mended() -> None:
    async with lively_venue() as venue:
        arm(venue, Point.SUBSCRIBE, "stream:*@depth*", Action.LOSE_ACK)
        arm(venue, Point.SUBSCRIBE, "stream:*@trade", Action.REJECT)
        async with listening(venue) as heard:
            await heard.event(FeedRecovered, stream="bar")
            await settled(venue, heard)
            await heard.until(lambda: books_agree(venue, heard))


async def test_f2_a_half_open_socket_is_noticed_by_silence_and_replaced() -> None:
    async with lively_venue() as venue, listening(venue) as heard:
        await settled(venue, heard)
        arm(venue, Point.NOW, "socket:stream", Action.HALF_OPEN, count=None)
        trade(venue)
        await heard.event(FeedRecovered, stream="bar")
        await heard.until(lambda: books_agree(venue, heard))
        # The next trade's number shows that one was missed.
        trade(venue)
        await heard.event(TradePrinted, trade_id="3")
        assert trade_ids(heard) == ["1", "2", "3"]
        assert heard.feed.tally.rebuilt["binance", "stale"] >= 1
