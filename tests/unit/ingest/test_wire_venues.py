"""What is peculiar to each venue's messages."""

import json
from decimal import Decimal
from typing import Any

import pytest

from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.events.base import Event, Side
from goalkick.common.events.market import (
    BarClosed,
    BookSnapshotTaken,
    FeedRecovered,
    GapDetected,
    QuoteChanged,
    TradePrinted,
)
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_MS
from goalkick.ingest.books import RefusedMessageError
from goalkick.ingest.wire.parser import WireParser, instruments_of, parser_for
from tests.unit.ingest.wire_examples import (
    ASKS,
    BIDS,
    EXAMPLES,
    ISO,
    MS,
    NOW,
    binance_depth,
    bybit_book,
    coinbase_levels,
    okx_book,
    parser_of,
)

D = Decimal


def kinds(events: Any) -> list[str]:
    return [type(event).__name__ for event in events]


def run(parser: WireParser, *messages: Any) -> list[Event]:
    return [event for message in messages for event in parser.parse(message, NOW)]


def test_binance_synchronises_from_a_snapshot_that_was_asked_for() -> None:
    parser = parser_of("binance")
    instrument = InstrumentId("binance:BTC/USDT")
    assert parser.snapshots_by_request
    assert not parser.needs_snapshot
    assert run(parser, binance_depth(11, 12, [["100.5", "1"]]), binance_depth(13, 13)) == []
    assert list(parser.needs_snapshot) == [instrument]
    body = {"lastUpdateId": 11, "bids": BIDS, "asks": ASKS}
    quote, picture = parser.book(instrument, body, NOW + 5)
    assert isinstance(quote, QuoteChanged)
    assert isinstance(picture, BookSnapshotTaken)
    assert (quote.bid, quote.sequence, quote.time_ns) == (D("100.5"), 13, NOW)
    assert not parser.needs_snapshot


def test_binance_futures_follow_the_number_before() -> None:
    parser = parser_of("binanceusdm")
    body = {"lastUpdateId": 12, "bids": BIDS, "asks": ASKS}
    parser.book(InstrumentId("binanceusdm:BTC/USDT"), body, NOW)
    first = binance_depth(11, 20, [["100.5", "1"]]) | {"pu": 10}
    assert kinds(run(parser, first)) == ["QuoteChanged"]
    assert run(parser, binance_depth(25, 30) | {"pu": 20}) == []
    assert kinds(run(parser, binance_depth(31, 32) | {"pu": 29})) == ["GapDetected"]
    with pytest.raises(InvalidDataError, match="expected the number before"):
        parser.parse(binance_depth(33, 34), NOW)


def test_trades_have_the_takers_side_and_their_own_space_of_ids() -> None:
    trade, aggregate = run(parser_of("binance"), EXAMPLES["binance"][1], EXAMPLES["binance"][3])
    assert isinstance(trade, TradePrinted)
    assert isinstance(aggregate, TradePrinted)
    assert (trade.trade_id, trade.side) == ("7", Side.SELL)
    assert (aggregate.trade_id, aggregate.side) == ("a7", Side.BUY)


def test_missing_repeated_and_contradicting_trades_are_told_apart() -> None:
    parser = parser_of("binance")
    trade = EXAMPLES["binance"][1]
    assert kinds(run(parser, trade, trade, trade | {"t": 6})) == ["TradePrinted"]
    assert parser.counts["old trade"] == 2
    gap, _ = run(parser, trade | {"t": 11})
    assert isinstance(gap, GapDetected)
    assert (gap.stream, gap.missing) == ("trade", 3)
    with pytest.raises(InvalidDataError, match="expected a trade of its own number, found 11"):
        parser.parse(trade | {"t": 11, "q": "2"}, NOW)


def test_a_trade_of_no_market_is_no_trade() -> None:
    parser = parser_of("binanceusdm")
    assert run(parser, EXAMPLES["binance"][1] | {"X": "INSURANCE_FUND"}) == []
    assert parser.counts["ignored trade by INSURANCE_FUND"] == 1


@pytest.mark.parametrize(
    ("venue", "number", "path"),
    [
        ("binance", 4, ("k", "x", False)),
        ("bybit", 4, ("data", 0, "confirm", False)),
        ("okx", 3, ("data", 0, 8, "0")),
    ],
)
def test_a_bar_is_published_when_the_venue_says_that_it_is_closed(
    venue: str, number: int, path: tuple[Any, ...]
) -> None:
    message = json.loads(json.dumps(EXAMPLES[venue][number]))
    [bar] = run(parser_of(venue), message)
    assert isinstance(bar, BarClosed)
    assert bar.interval_ns == NS_PER_MINUTE
    assert bar.time_ns == (MS - 20_000) * NS_PER_MS
    assert (bar.open, bar.high, bar.low, bar.close) == (D(2), D(4), D(1), D(3))
    assert (bar.volume, bar.quote_volume) == (D(5), D(12))
    if venue == "binance":
        assert (bar.trades, bar.taker_volume) == (3, D(2))
    node = message
    for step in path[:-2]:
        node = node[step]
    node[path[-2]] = path[-1]
    parser = parser_of(venue)
    assert run(parser, message) == []
    assert parser.counts["running bar"] == 1


def test_a_bar_without_a_flag_is_closed_when_the_next_one_begins() -> None:
    parser = parser_of("kraken")
    message = EXAMPLES["kraken"][-1]
    first = message["data"][0]

    def candle(minute: int, close: float) -> dict[str, Any]:
        begin = f"2023-11-14T22:{13 + minute}:00.000000000Z"
        return {**message, "data": [{**first, "interval_begin": begin, "close": close}]}

    assert run(parser, candle(0, 2.5), candle(0, 3.5)) == []
    [bar] = run(parser, candle(1, 3.0), candle(0, 1.5))
    assert isinstance(bar, BarClosed)
    assert (bar.close, bar.trades) == (D("3.5"), 3)
    assert parser.counts["old bar"] == 1
    parser.disconnected(NOW)
    assert run(parser, candle(3, 3.0)) == []


def test_bars_of_an_answer_are_those_that_had_closed() -> None:
    row = [MS, "2", "4", "1", "3", "5", MS + 59_999, "12", 3, "2", "7", "0"]
    later = [MS + 60_000, *row[1:6], MS + 119_999, *row[7:]]
    parser = parser_of("binance")
    found = parser.bars(
        InstrumentId("binance:BTC/USDT"), [row, later], NOW + 60_000 * NS_PER_MS, NS_PER_MINUTE
    )
    assert [event.time_ns for event in found] == [NOW + 60_000 * NS_PER_MS]


def test_bybit_number_1_is_a_new_beginning() -> None:
    parser = parser_of("bybit")
    snapshot = bybit_book("snapshot", 10, 100, BIDS, ASKS)
    assert kinds(run(parser, snapshot)) == ["QuoteChanged", "BookSnapshotTaken"]
    assert kinds(run(parser, bybit_book("delta", 11, 105, [["100.0", "3"]]))) == ["QuoteChanged"]
    assert kinds(run(parser, bybit_book("delta", 1, 3, BIDS, ASKS))) == ["QuoteChanged"]
    assert run(parser, bybit_book("delta", 2, 4)) == []
    assert parser.needs_snapshot == ()


def test_bybit_gap_and_falling_seq_make_the_book_invalid() -> None:
    parser = parser_of("bybit")
    run(parser, bybit_book("snapshot", 1, 100, BIDS, ASKS))
    # ccxt takes a jump from 1 to 7 as if nothing were missing.
    [gap] = run(parser, bybit_book("delta", 7, 107))
    assert isinstance(gap, GapDetected)
    assert gap.missing == 5
    assert run(parser, bybit_book("delta", 8, 108)) == []
    found = run(parser, bybit_book("snapshot", 9, 109, BIDS, ASKS))
    assert kinds(found) == ["FeedRecovered", "QuoteChanged", "BookSnapshotTaken"]
    with pytest.raises(RefusedMessageError, match=r"expected `seq` of 109 or more"):
        parser.parse(bybit_book("delta", 10, 90), NOW)
    assert parser.needs_snapshot == (InstrumentId("bybit:BTC/USDT"),)


def test_bybit_depths_are_not_mixed() -> None:
    parser = parser_of("bybit")
    run(parser, bybit_book("snapshot", 10, 100, BIDS, ASKS))
    other = bybit_book("snapshot", 99, 1, [["1", "1"]], [["2", "1"]])
    assert run(parser, other | {"topic": "orderbook.200.BTCUSDT"}) == []
    assert parser.counts["ignored second depth of a book"] == 1
    [quote] = run(parser, other | {"topic": "orderbook.1.BTCUSDT"})
    assert isinstance(quote, QuoteChanged)
    assert quote.bid == 1
    assert kinds(run(parser, bybit_book("delta", 11, 101, [["100.0", "9"]]))) == ["QuoteChanged"]


def test_bybit_v2_changes_must_fit_the_levels_there_are() -> None:
    parser = parser_of("bybitv2")
    snapshot, delta, _ = EXAMPLES["bybitv2"]
    assert kinds(run(parser, snapshot, delta))[-1] == "QuoteChanged"
    with pytest.raises(RefusedMessageError, match="expected changes of the levels there are"):
        parser.parse(delta, NOW)
    with pytest.raises(InvalidDataError, match="knows the venue's streams alone"):
        parser.trades(InstrumentId("bybitv2:BTC/USDT"), [], NOW)


def test_okx_numbers_may_stand_still_and_begin_anew_but_not_jump() -> None:
    parser = parser_of("okx")
    run(parser, okx_book("snapshot", -1, 10, BIDS, ASKS))
    still = okx_book("update", 10, 10)
    anew = okx_book("update", 10, 3, [["100.0", "4"]])
    assert kinds(run(parser, still, still, anew)) == ["QuoteChanged"]
    assert kinds(run(parser, okx_book("update", 5, 7))) == ["GapDetected"]
    assert parser.needs_snapshot == (InstrumentId("okx:BTC/USDT"),)


def test_okx_change_with_neither_number_nor_checksum_is_not_believed() -> None:
    parser = parser_of("okx")
    run(parser, okx_book("snapshot", -1, 10, BIDS, ASKS))
    bare = okx_book("update", 10, 12)
    del bare["data"][0]["prevSeqId"], bare["data"][0]["seqId"]
    with pytest.raises(RefusedMessageError, match="expected numbers or a checksum"):
        parser.parse(bare, NOW)
    assert parser.needs_snapshot


KRAKEN_BOOK = {
    # The worked example of Kraken's documentation of checksums, v2.
    "bids": [
        *((45283.5, 0.1), (45283.4, 1.54582015), (45282.1, 0.1), (45281.0, 0.1)),
        *((45280.3, 1.54592586), (45279.0, 0.0799), (45277.6, 0.03310103), (45277.5, 0.3)),
        *((45277.3, 1.54602737), (45276.6, 0.15445238)),
    ],
    "asks": [
        *((45285.2, 0.001), (45286.4, 1.54571953), (45286.6, 1.54571109), (45289.6, 1.54560911)),
        *((45290.2, 0.1589066), (45291.8, 1.54553491), (45294.7, 0.04454749), (45296.1, 0.3538)),
        *((45297.5, 0.09945542), (45299.5, 0.18772827)),
    ],
}


def kraken_book(checksum: int, sides: Any, kind: str = "snapshot") -> dict[str, Any]:
    levels = {
        side: [{"price": price, "qty": quantity} for price, quantity in rows]
        for side, rows in sides.items()
    }
    entry = {"symbol": "BTC/USDT", "checksum": checksum, "timestamp": ISO} | levels
    return {"channel": "book", "type": kind, "data": [entry]}


def test_kraken_v2_checksum_is_that_of_its_documentation() -> None:
    parser = parser_of("kraken")
    found = run(parser, kraken_book(3310070434, KRAKEN_BOOK))
    assert kinds(found) == ["QuoteChanged", "BookSnapshotTaken"]
    wrong = kraken_book(3310070434, {"bids": [(45283.5, 0.2)], "asks": []}, "update")
    assert kinds(run(parser, wrong)) == ["GapDetected"]
    assert parser.counts["checksum verified"] == 1
    assert kinds(run(parser, kraken_book(3310070434, KRAKEN_BOOK)))[0] == "FeedRecovered"


@pytest.mark.parametrize(
    ("side", "better", "worst"), [("b", "100.5", "92.0"), ("a", "101.0", "110.0")]
)
def test_kraken_levels_below_the_subscribed_depth_are_dropped(
    side: str, better: str, worst: str
) -> None:
    parser = parser_of("kraken")
    bids, asks = (
        [[f"{price}.0", "1.0", "1700000000.0"] for price in prices]
        for prices in (range(100, 90, -1), range(102, 112))
    )
    run(parser, [1, {"bs": bids, "as": asks}, "book-10", "XBT/USDT"])
    change = {side: [[better, "1.0", "1700000000.1"]], "c": "0"}
    assert kinds(run(parser, [1, change, "book-10", "XBT/USDT"])) == ["GapDetected"]
    levels = parser._by_symbol["XBT/USDT"].book.levels  # type: ignore[attr-defined]
    changed = levels.bids if side == "b" else levels.asks
    assert len(changed) == 10
    assert (changed.top_rows(10)[0][0], changed.top_rows(10)[-1][0]) == (better, worst)


def test_kraken_number_with_more_places_than_the_instrument_has_is_refused() -> None:
    with pytest.raises(InvalidDataError, match=r"at most 1 places, found 100\.55"):
        parser_of("kraken").parse(kraken_book(1, {"bids": [(100.55, 1)], "asks": []}), NOW)


def test_coinbase_advanced_numbers_count_for_the_whole_connection() -> None:
    parser = parser_of("coinbase")
    levels = [("bid", "100", "1"), ("offer", "101", "1")]
    run(parser, coinbase_levels("snapshot", 4, levels))
    heartbeat = {"channel": "heartbeats", "timestamp": ISO, "sequence_num": 5, "events": [{}]}
    assert run(parser, heartbeat) == []
    [gap] = run(parser, heartbeat | {"sequence_num": 8})
    assert isinstance(gap, GapDetected)
    assert gap.missing == 2
    recovered = run(parser, coinbase_levels("snapshot", 9, levels))
    assert isinstance(recovered[0], FeedRecovered)
    parser.disconnected(NOW)
    run(parser, coinbase_levels("snapshot", 0, levels))
    assert parser.counts["gap"] == 1


def test_coinbase_side_is_the_makers() -> None:
    match, advanced = EXAMPLES["coinbase"][2], EXAMPLES["coinbase"][6]
    first, second = run(parser_of("coinbase"), match, advanced)
    assert isinstance(first, TradePrinted)
    assert isinstance(second, TradePrinted)
    assert (first.side, second.side) == (Side.BUY, Side.SELL)


def test_a_book_that_is_asked_for_where_books_are_streamed_is_published_alone() -> None:
    parser = parser_of("bybit")
    data = {"s": "BTCUSDT", "b": BIDS, "a": ASKS, "ts": MS, "u": 7, "seq": 1}
    [picture] = parser.book(InstrumentId("bybit:BTC/USDT"), {"retCode": 0, "result": data}, NOW)
    assert isinstance(picture, BookSnapshotTaken)
    assert (picture.sequence, len(picture.bids), picture.time_ns) == (7, 2, NOW)
    assert not parser.needs_snapshot


@pytest.mark.parametrize("venue", EXAMPLES)
def test_a_broken_connection_makes_all_books_invalid(venue: str) -> None:
    parser = parser_of(venue)
    instrument = InstrumentId(f"{venue}:BTC/USDT")
    if parser.snapshots_by_request:
        parser.book(instrument, {"lastUpdateId": 10, "bids": BIDS, "asks": ASKS}, NOW)
    else:
        run(parser, EXAMPLES[venue][0])
    assert kinds(parser.disconnected(NOW + 1)) == ["GapDetected"]
    assert parser.needs_snapshot == (instrument,)
    assert parser.disconnected(NOW + 2) == []


@pytest.mark.parametrize("venue", EXAMPLES)
def test_text_and_decoded_messages_lead_to_the_same_events(venue: str) -> None:
    by_text, by_bytes, decoded = (parser_of(venue) for _ in range(3))
    if decoded.snapshots_by_request:
        body = {"lastUpdateId": 10, "bids": BIDS, "asks": ASKS}
        for parser in (by_text, by_bytes, decoded):
            parser.book(InstrumentId(f"{venue}:BTC/USDT"), body, NOW)
    for message in EXAMPLES[venue]:
        events = decoded.parse(message, NOW)
        assert by_text.parse_text(json.dumps(message), NOW) == events
        assert by_bytes.parse_text(json.dumps(message).encode(), NOW) == events
    assert by_text.counts == by_bytes.counts == decoded.counts


def test_another_instrument_is_ignored_and_counted() -> None:
    parser = parser_of("binance")
    assert run(parser, EXAMPLES["binance"][1] | {"s": "ETHUSDT"}) == []
    assert parser.counts["ignored: another instrument"] == 1


def test_an_unknown_venue_is_told() -> None:
    with pytest.raises(SettingsError, match=r"expected one of the venues binance, .*'mtgox'"):
        parser_for("mtgox", [])
    with pytest.raises(SettingsError, match="'mtgox'"):
        instruments_of("mtgox", {})
    with pytest.raises(ValueError, match="at least one instrument"):
        parser_for("binance", [])


@pytest.mark.parametrize("venue", EXAMPLES)
@pytest.mark.parametrize("body", [None, 7, {"code": 1}, {"symbols": 7}, {"result": [1]}, "x"])
def test_a_wrong_list_of_instruments_is_refused(venue: str, body: Any) -> None:
    with pytest.raises(InvalidDataError, match=venue.removesuffix("usdm")):
        instruments_of(venue, body)
