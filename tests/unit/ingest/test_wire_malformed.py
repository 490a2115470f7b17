"""Wrong messages: refused by one kind of error, whatever is wrong with them, and never believed."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event
from goalkick.common.events.market import (
    BarClosed,
    BookSnapshotTaken,
    GapDetected,
    QuoteChanged,
    TradePrinted,
)
from goalkick.common.values.ids import InstrumentId
from goalkick.ingest.books import RefusedMessageError
from goalkick.ingest.wire.base import WireSettings
from tests.unit.ingest.wire_examples import (
    ASKS,
    BIDS,
    EXAMPLES,
    NOW,
    binance_depth,
    parser_of,
)

CASES = [(venue, number) for venue, found in EXAMPLES.items() for number in range(len(found))]
POISON: list[Any] = [
    *(None, True, "", "nan", "NaN", "-1", "-0.5", "inf", "abc", "1e999", "1_0", " 1", "\x00", "١"),
    *(-1, 0, 1.5, 10**30, float("nan"), float("inf"), [], {}, [[]], ["1"], [None], {"a": 1}, "é"),
]


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(node, dict):
        for key, value in node.items():
            yield from places(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from places(value, (*path, index))


def changed(message: Any, path: tuple[Any, ...], poison: Any, drop: bool) -> Any:
    if not path:
        return poison
    made = copy.deepcopy(message)
    node = made
    for step in path[:-1]:
        node = node[step]
    if drop:
        del node[path[-1]]
    else:
        node[path[-1]] = poison
    return made


def sensible(event: Event) -> bool:
    if isinstance(event, TradePrinted):
        return event.price > 0 and event.quantity > 0
    if isinstance(event, QuoteChanged):
        return 0 < event.bid < event.ask and event.bid_quantity > 0 and event.ask_quantity > 0
    if isinstance(event, BarClosed):
        return 0 < event.low <= event.high and event.volume >= 0
    if isinstance(event, BookSnapshotTaken):
        return all(price > 0 and quantity > 0 for price, quantity in event.bids + event.asks)
    return True


@pytest.mark.parametrize(("venue", "number"), CASES)
def test_a_right_message_is_taken(venue: str, number: int) -> None:
    parser = parser_of(venue)
    for message in EXAMPLES[venue][: number + 1]:
        before = sum(parser.counts.values())
        parser.parse(copy.deepcopy(message), NOW)
        assert sum(parser.counts.values()) > before
    assert not any(what.startswith("ignored") for what in parser.counts)


@settings(max_examples=1000, deadline=None)
@given(st.data())
def test_a_wrong_message_is_refused_or_ignored_and_never_anything_else(data: st.DataObject) -> None:
    venue, number = data.draw(st.sampled_from(CASES))
    messages = EXAMPLES[venue]
    path = data.draw(st.sampled_from(list(places(messages[number]))))
    wrong = changed(
        messages[number], path, data.draw(st.sampled_from(POISON)), data.draw(st.booleans())
    )
    parser = parser_of(venue)
    for message in [*messages[:number], wrong, *messages[number:]]:
        before, told = sum(parser.counts.values()), f"{venue}: "
        try:
            events = parser.parse(message, NOW)
        except InvalidDataError as error:
            told = str(error)
            events = error.events if isinstance(error, RefusedMessageError) else ()
        assert told.startswith(f"{venue}: ")
        assert sum(parser.counts.values()) > before
        assert all(sensible(event) for event in events)


@pytest.mark.parametrize("what", ["book", "trades", "bars"])
@pytest.mark.parametrize("venue", EXAMPLES)
def test_a_wrong_answer_is_refused(venue: str, what: str) -> None:
    parser = parser_of(venue)
    instrument = InstrumentId(f"{venue}:BTC/USDT")
    for body in [*POISON, {"code": -1121, "msg": "no"}, {"data": 7}, {"result": {"list": 7}}]:
        try:
            if what == "book":
                events = parser.book(instrument, body, NOW)
            elif what == "trades":
                events = parser.trades(instrument, body, NOW)
            else:
                events = parser.bars(instrument, body, NOW, 60 * 10**9)
        except InvalidDataError as error:
            told = str(error)
        else:
            told = f"{venue}: "
            assert not events
            assert body == []
        assert told.startswith(f"{venue}: ")


@pytest.mark.parametrize("text", [b"", b"{", b'{"e":', b"\xff\xfe", "nonsense", b"[1,2"])
def test_what_is_no_json_is_refused(text: bytes | str) -> None:
    with pytest.raises(InvalidDataError, match="binance: expected a JSON message"):
        parser_of("binance").parse_text(text, NOW)


@pytest.mark.parametrize(
    ("venue", "wrong"),
    [
        ("binance", binance_depth(11, 11, [["-1", "1"]])),
        ("binance", binance_depth(11, 11, [["1", "-1"]])),
        ("binance", {"e": "depthUpdate", "s": "BTCUSDT"}),
        ("bybit", {"topic": "orderbook.50.BTCUSDT", "type": "delta"}),
        ("bybitv2", {"topic": "orderBookL2_25.BTCUSDT"}),
        ("okx", {"arg": {"channel": "books", "instId": "BTC-USDT"}}),
        ("kraken", [1, {"b": [["1"]], "c": "1"}, "book-10", "XBT/USDT"]),
        ("kraken", [1, {"b": []}, "book-10", "XBT/USDT"]),
        ("kraken", {"channel": "book", "data": [{"symbol": "BTC/USDT"}]}),
        ("kraken", {"channel": "book", "data": None}),
        ("coinbase", {"type": "l2update", "product_id": "BTC-USDT"}),
        ("coinbase", {"type": "l2update"}),
        ("coinbase", {"channel": "l2_data"}),
    ],
)
def test_a_book_message_that_cannot_be_read_makes_the_book_invalid(venue: str, wrong: Any) -> None:
    parser = parser_of(venue)
    instrument = InstrumentId(f"{venue}:BTC/USDT")
    if parser.snapshots_by_request:
        parser.book(instrument, {"lastUpdateId": 10, "bids": BIDS, "asks": ASKS}, NOW)
    else:
        parser.parse(EXAMPLES[venue][0], NOW)
    assert not parser.needs_snapshot
    with pytest.raises(RefusedMessageError) as refused:
        parser.parse(wrong, NOW)
    [gap] = refused.value.events
    assert isinstance(gap, GapDetected)
    assert gap.stream == "book"
    assert parser.needs_snapshot == (instrument,)


def test_a_message_from_another_day_is_refused() -> None:
    parser = parser_of("binance", WireSettings(from_ns=NOW, until_ns=NOW + 10))
    parser.parse(EXAMPLES["binance"][1], NOW)
    for received_ns in (NOW - 1, NOW + 10):
        with pytest.raises(InvalidDataError, match="expected a message received between"):
            parser.parse(EXAMPLES["binance"][3], received_ns)


@pytest.mark.parametrize("shift_s", [-61, 3601])
def test_a_time_far_from_its_receipt_is_refused(shift_s: int) -> None:
    with pytest.raises(InvalidDataError, match="expected a time near its receipt"):
        parser_of("binance").parse(EXAMPLES["binance"][1], NOW + shift_s * 10**9)
