"""Recorded sessions through the parsers: nothing lost in silence, every checksum right."""

from collections import Counter
from pathlib import Path

import pytest

from goalkick.common.events.market import QuoteChanged, TradePrinted
from goalkick.ingest.wire.parser import parser_for
from tests.unit.ingest.wire_sessions import cryptofeed, instruments_in, take

pytestmark = pytest.mark.data

SESSIONS = {
    "binance": (
        "BINANCE",
        ("http.0.0", "ws.1.0"),
        # 177 depth, 84 best quotes, 2 trades and 2 running klines are the 265 messages.
        {"depth": 177, "best": 84, "trade": 2, "running bar": 2, "snapshot": 4, "old": 5},
        {"QuoteChanged": 133, "BookSnapshotTaken": 46, "TradePrinted": 2},
    ),
    "okx": (
        "OKX",
        ("ws.1.0",),
        {"book": 290, "checksum verified": 290, "snapshot": 3, "trade": 74, "best": 28},
        {"QuoteChanged": 232, "BookSnapshotTaken": 33, "TradePrinted": 74},
    ),
    "kraken": (
        "KRAKEN",
        ("ws.48.0", "ws.49.0", "ws.50.0"),
        # v1 sends no checksum with a snapshot; all other book messages have one.
        {"book": 4279, "snapshot": 10, "checksum verified": 4269, "trade": 10, "best": 18},
        {"QuoteChanged": 828, "BookSnapshotTaken": 237, "TradePrinted": 10},
    ),
    "coinbaseexchange": (
        "COINBASE",
        ("ws.28.0",),
        {"book": 9729, "snapshot": 10, "trade": 107, "ignored ticker without quantities": 107},
        {"QuoteChanged": 1778, "BookSnapshotTaken": 257, "TradePrinted": 107},
    ),
    "bybitv2": (
        "BYBIT",
        ("ws.25.0", "ws.26.0"),
        {"book": 4278, "snapshot": 10, "trade": 251},
        {"QuoteChanged": 1972, "BookSnapshotTaken": 288, "TradePrinted": 251},
    ),
}
REPLIES = "ignored reply"


@pytest.mark.parametrize("venue", SESSIONS)
def test_a_recorded_session_becomes_events(venue: str, recorded_data: Path) -> None:
    name, parts, counts, kinds = SESSIONS[venue]
    folder = recorded_data / "payloads" / "cryptofeed"
    instruments = instruments_in(venue, folder / f"{name}.0.gz")
    parser = parser_for(venue, instruments)
    messages = sorted(
        (m for part in parts for m in cryptofeed(folder / f"{name}.{part}.gz")),
        key=lambda message: message.received_ns,
    )
    symbols = {entry.symbol: entry.rules.id for entry in instruments}
    found: Counter[str] = Counter()
    for message in messages:
        if message.url:
            symbol = message.url.partition("symbol=")[2].partition("&")[0]
            events = parser.book(symbols[symbol], message.body, message.received_ns)
        else:
            events = parser.parse(message.body, message.received_ns)
        found.update(type(event).__name__ for event in events)
    assert found == kinds
    assert {what: parser.counts[what] for what in counts} == counts
    ignored = {what for what in parser.counts if what.startswith("ignored")} - counts.keys()
    assert ignored <= {REPLIES, "ignored subscriptions"}
    assert parser.needs_snapshot == ()


@pytest.mark.parametrize("venue", SESSIONS)
def test_every_message_of_a_session_is_counted(venue: str, recorded_data: Path) -> None:
    name, parts, _, _ = SESSIONS[venue]
    folder = recorded_data / "payloads" / "cryptofeed"
    parser = parser_for(venue, instruments_in(venue, folder / f"{name}.0.gz"))
    streams = [part for part in parts if not part.startswith("http")]
    for part in streams:
        for message in cryptofeed(folder / f"{name}.{part}.gz"):
            before = sum(parser.counts.values())
            parser.parse(message.body, message.received_ns)
            assert sum(parser.counts.values()) > before


def test_coinbase_trades_have_the_takers_side(recorded_data: Path) -> None:
    folder = recorded_data / "payloads" / "cryptofeed"
    instruments = instruments_in("coinbaseexchange", folder / "COINBASE.0.gz")
    taken = take(
        parser_for("coinbaseexchange", instruments), cryptofeed(folder / "COINBASE.ws.28.0.gz")
    )
    quotes: dict[str, QuoteChanged] = {}
    near = Counter[bool]()
    for event in taken.events:
        if isinstance(event, QuoteChanged):
            quotes[event.instrument] = event
        elif isinstance(event, TradePrinted) and event.instrument in quotes:
            quote = quotes[event.instrument]
            middle = (quote.bid + quote.ask) / 2
            near[(event.price > middle) == (event.side == "buy")] += 1
    # A taker buys at the ask and sells at the bid; books and trades race, so not always.
    assert near[True] > 3 * near[False]
