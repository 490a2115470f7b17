"""Binance's recorded books against its recorded best quotes, and the broken TRX files."""

import csv
import gzip
from bisect import bisect_right
from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.market import (
    BookSnapshotTaken,
    GapDetected,
    QuoteChanged,
    TradePrinted,
)
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import parse_time
from goalkick.ingest.books import Publishing
from goalkick.ingest.wire.base import WireInstrument, WireSettings
from goalkick.ingest.wire.parser import WireParser, parser_for
from tests.unit.ingest.wire_sessions import hftbacktest

pytestmark = pytest.mark.data

D = Decimal
WHOLE = WireSettings(publishing=Publishing(levels=1000, interval_ns=10**18))


def listed(venue: str, symbol: str) -> WireInstrument:
    base = symbol.removesuffix("USDT")
    rules = Instrument(id=InstrumentId(f"{venue}:{base}/USDT"), base=base, quote="USDT")
    return WireInstrument(symbol, rules)


Best = tuple[Decimal, Decimal, Decimal, Decimal]


class PlainBook:
    """The obvious book: a dictionary of decimals a side."""

    def __init__(self, snapshot: Any) -> None:
        self.sides = {
            side: {D(p): D(q) for p, q in snapshot[name]}
            for side, name in (("b", "bids"), ("a", "asks"))
        }

    def apply(self, update: Any) -> None:
        for side, levels in self.sides.items():
            for price, quantity in update[side]:
                if D(quantity):
                    levels[D(price)] = D(quantity)
                else:
                    levels.pop(D(price), None)

    def best(self) -> Best:
        bid, ask = max(self.sides["b"]), min(self.sides["a"])
        return bid, self.sides["b"][bid], ask, self.sides["a"][ask]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("venue", "names", "points", "agreeing"),
    [
        ("binance", ("spot_btcusdt_20240808", "spot_btcusdt_20240809"), 5736, 5734),
        ("binanceusdm", ("usdm_btcusdt_20240808",), 5701, 5701),
    ],
)
def test_the_book_agrees_with_the_recorded_best_quotes(
    venue: str, names: tuple[str, ...], points: int, agreeing: int, recorded_data: Path
) -> None:
    """Compared after every change within whose numbers a best quote was told, with the last one.

    In the two spot cases that differ the recording holds no quote for the change's last numbers.
    """
    instrument = listed(venue, "BTCUSDT")
    parser = parser_for(venue, [instrument], WHOLE)
    quotes: dict[int, Best] = {}
    books: list[tuple[int, int, Best]] = []
    best: Best | None = None
    early: list[Any] = []
    plain: PlainBook | None = None
    for name in names:
        path = recorded_data / "ticks" / "raw" / f"binance_{name}.raw.gz"
        for message in hftbacktest(path):
            if message.url:
                plain, taken = PlainBook(message.body), message.body["lastUpdateId"]
                for update in early:
                    if update["u"] > taken:
                        plain.apply(update)
                events = parser.book(instrument.rules.id, message.body, message.received_ns)
            else:
                events = parser.parse(message.body, message.received_ns)
            told = [numbers_of(event) for event in events if isinstance(event, QuoteChanged)]
            data = message.body.get("data", {})
            if "B" in data:
                [quotes[data["u"]]] = told
                continue
            best = told[-1] if told else best
            if data.get("e") == "depthUpdate" and plain is None:
                early.append(data)
            elif data.get("e") == "depthUpdate" and plain and data["u"] > taken:
                plain.apply(data)
                assert best == plain.best()
                books.append((data["U"], data["u"], best))
    assert plain is not None
    assert parser.needs_snapshot == ()
    [picture] = parser.flush()
    assert isinstance(picture, BookSnapshotTaken)
    assert picture.bids == tuple(sorted(plain.sides["b"].items(), reverse=True)[:1000])
    assert picture.asks == tuple(sorted(plain.sides["a"].items())[:1000])
    numbers = sorted(quotes)
    compared = [
        quotes[number] == best
        for first, last, best in books
        if (number := numbers[bisect_right(numbers, last) - 1]) >= first
    ]
    assert (len(compared), sum(compared)) == (points, agreeing)


def numbers_of(quote: QuoteChanged) -> Best:
    return quote.bid, quote.bid_quantity, quote.ask, quote.ask_quantity


class Planted(NamedTuple):
    """A message made of some rows of a file, and the number of the first of them."""

    row: int
    received_ns: int
    body: dict[str, Any]


def rows_of(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with gzip.open(path, "rt") as lines:
        yield from enumerate(csv.DictReader(lines), 1)


def depth_messages(path: Path) -> Iterator[Planted]:
    def message_of(entry: tuple[int, dict[str, str]]) -> tuple[str, ...]:
        row = entry[1]
        return (
            row["TimestampOfReceive"],
            row["EventTime"],
            row["FirstUpdateId"],
            row["FinalUpdateId"],
        )

    for (received, event, first, last), rows in groupby(rows_of(path), key=message_of):
        sides: dict[str, list[list[str]]] = {"0": [], "1": []}
        numbers = []
        for number, row in rows:
            numbers.append(number)
            sides[row["IsAsk"]].append([row["Price"], row["Quantity"]])
        body = {"e": "depthUpdate", "E": int(event), "s": "TRXUSDT", "U": int(first)}
        body |= {"u": int(last), "b": sides["0"], "a": sides["1"]}
        yield Planted(numbers[0], int(received) * 1000, body)


def trade_messages(path: Path) -> Iterator[Planted]:
    for number, row in rows_of(path):
        body = {
            "e": "trade",
            "E": int(row["EventTime"]),
            "T": int(row["TransactionTime"]),
            "s": row["Symbol"],
            "t": int(row["TradeId"]),
            "p": row["Price"],
            "q": row["Quantity"],
            "m": row["IsBuyerMarketMaker"] == "1",
        }
        yield Planted(number, int(row["TimestampOfReceive"]) * 1000, body)


def trx(until: str = "2025-03-05") -> tuple[WireParser, InstrumentId]:
    instrument = listed("binance", "TRXUSDT")
    settings = WireSettings(from_ns=parse_time("2025-03-04"), until_ns=parse_time(until))
    return parser_for("binance", [instrument], settings), instrument.rules.id


def resynchronised(parser: WireParser, instrument: InstrumentId, number: int, now_ns: int) -> None:
    """A snapshot of levels that are never the best."""
    body = {"lastUpdateId": number, "bids": [["0.00001", "1"]], "asks": [["9", "1"]]}
    parser.book(instrument, body, now_ns)


def faults(parser: WireParser, instrument: InstrumentId, messages: list[Planted]) -> dict[int, str]:
    """What is wrong, by row; the book is mended by a snapshot whenever it is invalid."""
    found: dict[int, str] = {}
    for row, received_ns, body in messages:
        try:
            events = parser.parse(body, received_ns)
        except InvalidDataError as error:
            events = ()
            found[row] = str(error)
        for event in events:
            if isinstance(event, GapDetected):
                found[row] = f"{event.missing} missing in {event.stream}"
        if row in found and parser.needs_snapshot:
            resynchronised(parser, instrument, body["u"], received_ns)
    return found


def folder(recorded_data: Path) -> Path:
    return recorded_data / "ticks" / "binance_data_processor"


DEPTH = "binance_difference_depth_stream_spot_trxusdt_04-03-2025.csv.gz"
TRADES = "binance_trade_stream_spot_trxusdt_04-03-2025.csv.gz"


@pytest.mark.parametrize(("name", "read"), [(DEPTH, depth_messages), (TRADES, trade_messages)])
def test_the_good_files_have_no_fault(name: str, read: Any, recorded_data: Path) -> None:
    parser, instrument = trx()
    messages = list(read(folder(recorded_data) / f"test_positive_{name}"))
    resynchronised(parser, instrument, 5434434561, messages[0].received_ns)
    assert faults(parser, instrument, messages) == {}
    assert parser.counts["old"] == parser.counts["old trade"] == 0


def test_each_planted_fault_of_the_depth_file_is_refused_with_its_row(recorded_data: Path) -> None:
    parser, instrument = trx()
    messages = list(depth_messages(folder(recorded_data) / f"test_negative_{DEPTH}"))
    resynchronised(parser, instrument, 5434434561, messages[1].received_ns)
    found = faults(parser, instrument, messages)
    assert list(found) == [1, 8, 10000]
    assert "expected a time between 2009 and 2100, found 0" in found[1]
    assert found[8] == "1 missing in book"
    assert "expected a message received between" in found[10000]
    # Rows 2 to 4 and row 9 have the numbers of rows 1 and 8 again, with other times: they are old
    # to the snapshot that mends, as row 8 is, which was kept for it.
    assert [message.row for message in messages[:6]] == [1, 2, 5, 6, 8, 9]
    assert parser.counts["old"] == 3


def test_the_price_planted_in_row_1_is_refused_whatever_its_time(recorded_data: Path) -> None:
    parser, instrument = trx()
    first = next(depth_messages(folder(recorded_data) / f"test_negative_{DEPTH}"))
    resynchronised(parser, instrument, 5434434561, first.received_ns)
    mended = first._replace(body=first.body | {"E": 1741046400062507})
    found = faults(parser, instrument, [mended])
    assert "expected a price above 0, found '-1'" in found[1]
    assert parser.counts["lost"] == 1


def test_each_planted_fault_of_the_trade_file_is_refused_with_its_row(recorded_data: Path) -> None:
    parser, instrument = trx()
    messages = list(trade_messages(folder(recorded_data) / f"test_negative_{TRADES}"))
    found = faults(parser, instrument, messages)
    assert list(found) == [3, 4, 10000]
    assert "expected a trade of its own number, found 348656871 a second time" in found[3]
    # The trade of row 3 has no number of its own, so the number 348656872 never comes.
    assert found[4] == "1 missing in trade"
    assert "expected a time near its receipt" in found[10000]


def test_two_whole_snapshots_of_5000_levels_are_books(recorded_data: Path) -> None:
    path = folder(recorded_data) / (
        "test_positive_binance_depth_snapshot_spot_btcusdt_14-04-2025.csv.gz"
    )
    with gzip.open(path, "rt") as lines:
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    instrument = listed("binance", "BTCUSDT")
    parser = parser_for("binance", [instrument], WHOLE)
    tops = []
    for number, group in groupby(rows, key=lambda row: row["LastUpdateId"]):
        sides: dict[str, list[list[str]]] = {"0": [], "1": []}
        for row in group:
            sides[row["IsAsk"]].append([row["Price"], row["Quantity"]])
        body = {"lastUpdateId": int(number), "bids": sides["0"], "asks": sides["1"]}
        text = msgspec.json.decode(msgspec.json.encode(body))
        quote, *_ = parser.book(
            instrument.rules.id, text, int(row["TimestampOfReceive"]) * 1_000_000
        )
        assert isinstance(quote, QuoteChanged)
        tops.append((quote.sequence, quote.bid, quote.ask))
    assert tops == [
        (66711751276, D("83759.99"), D("83760")),
        (66813971942, D("84500"), D("84500.01")),
    ]


def test_recorded_trades_are_the_tables_trades(recorded_data: Path) -> None:
    instrument = listed("binance", "BTCUSDT")
    parser = parser_for("binance", [instrument])
    ticks = recorded_data / "ticks"
    trades = [
        event
        for day in ("08", "09")
        for message in hftbacktest(ticks / "raw" / f"binance_spot_btcusdt_202408{day}.raw.gz")
        if "@trade" in message.body.get("stream", "")
        for event in parser.parse(message.body, message.received_ns)
    ]
    with gzip.open(ticks / "binance_spot_BTCUSDT_trades_20240808-09.csv.gz", "rt") as lines:
        rows = list(csv.DictReader(lines))
    assert [
        (e.trade_id, e.price, e.quantity, e.side, e.time_ns)
        for e in trades
        if isinstance(e, TradePrinted)
    ] == [
        (r["trade_id"], D(r["price"]), D(r["qty"]), r["taker_side"], int(r["ts_ms"]) * 1_000_000)
        for r in rows
    ]
    assert len(trades) == 19904
