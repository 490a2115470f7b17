"""A recording of the live feed, told again by the same intake: pages, holes, breaks, rules."""

import json
from pathlib import Path
from typing import Any

import pytest

from goalkick.common.events.base import Event
from goalkick.common.events.market import (
    BarClosed,
    FeedRecovered,
    FeedStale,
    GapDetected,
    InstrumentListed,
    TradePrinted,
    VenueStatusChanged,
)
from goalkick.common.ports.feed import Tape
from goalkick.common.values.time import NS_PER_MS
from goalkick.common.values.time import NS_PER_SECOND as SECOND
from goalkick.ingest.feeds.recorded_stream import RecordedStream
from goalkick.ingest.feeds.recording import open_recording
from goalkick.ingest.recording import Frame, Kind, pack
from goalkick.ingest.settings import CcxtSettings

BEGIN_MS = 1_700_000_000_000
API = "http://venue/api/v3"


def listed(status: str = "TRADING", tick: str = "0.01") -> dict[str, Any]:
    symbol = {
        "symbol": "BTCUSDT",
        "status": status,
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": tick},
            {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001"},
        ],
    }
    return {"symbols": [symbol]}


def frame(at_ms: int, kind: Kind, where: str, body: Any) -> Frame:
    return Frame((BEGIN_MS + at_ms) * NS_PER_MS, where, kind, json.dumps(body))


def answer(at_ms: int, path: str, body: Any) -> Frame:
    return frame(at_ms, Kind.ANSWERED, f"{API}/{path}", body)


def opened(at_ms: int) -> Frame:
    return frame(at_ms, Kind.OPENED, "binance", "")


def closed(at_ms: int) -> Frame:
    return frame(at_ms, Kind.CLOSED, "binance", "disconnected")


def row(second: int) -> list[Any]:
    begin = BEGIN_MS + second * 1_000
    return [begin, "5", "6", "4", "5", "1", begin + 999, "5", 3, "1", "5", "0"]


def rows(at_ms: int, *seconds: int, interval: str = "1s") -> Frame:
    return answer(at_ms, f"klines?symbol=BTCUSDT&interval={interval}", [row(n) for n in seconds])


def kline(at_ms: int, second: int, *, ended: bool = True) -> Frame:
    begin = BEGIN_MS + second * 1_000
    bar = {
        "t": begin, "T": begin + 999, "s": "BTCUSDT", "i": "1s", "o": "5", "c": "5", "h": "6",
        "l": "4", "v": "1", "n": 3, "x": ended, "q": "5", "V": "1",
    }  # fmt: skip
    body = {"e": "kline", "E": BEGIN_MS + at_ms, "s": "BTCUSDT", "k": bar}
    return frame(at_ms, Kind.RECEIVED, "ws", body)


def trade(at_ms: int, number: int) -> Frame:
    time_ms = BEGIN_MS + at_ms
    body = {
        "e": "trade", "E": time_ms, "s": "BTCUSDT", "t": number, "p": "5", "q": "1",
        "T": time_ms, "m": False, "M": True,
    }  # fmt: skip
    return frame(at_ms, Kind.RECEIVED, "ws", body)


def feed_of(folder: Path, *frames: Frame, **options: Any) -> RecordedStream:
    path = folder / "binance-20231114T22-0000.frames.gz"
    path.write_bytes(
        b"".join(pack([one]) for one in (answer(0, "exchangeInfo", listed()), *frames))
    )
    usual: dict[str, Any] = {"interval": "1s", "settle": "0s", "warmup": 5}
    return RecordedStream({"binance": [open_recording(path)]}, CcxtSettings(**usual | options))


def told(feed: RecordedStream) -> list[Event]:
    return [event for said in feed.said() for event in said]


def names(feed: RecordedStream) -> list[str]:
    return [type(event).__name__ for event in told(feed)]


def closes(feed: RecordedStream) -> list[int]:
    """Seconds since the beginning at which the bars that were told had closed."""
    bars = [event for event in told(feed) if isinstance(event, BarClosed)]
    return [(bar.time_ns - BEGIN_MS * NS_PER_MS) // SECOND for bar in bars]


def test_a_warm_up_in_pages_is_told_whole_and_before_what_was_streamed_meanwhile(
    tmp_path: Path,
) -> None:
    pages = [rows(60, -5, -4), rows(80, -3, -2, -1)]
    feed = feed_of(tmp_path, opened(1), kline(50, -1), *pages, kline(1_050, 0))
    assert closes(feed) == [-4, -3, -2, -1, 0, 1]
    assert not any(isinstance(event, GapDetected) for event in told(feed))


def test_bars_of_another_length_are_not_taken_for_those(tmp_path: Path) -> None:
    assert closes(feed_of(tmp_path, opened(1), rows(60, -2, -1, interval="1m"))) == []


def test_a_bar_that_leaves_a_hole_waits_for_the_answer(tmp_path: Path) -> None:
    frames = [
        rows(60, -2, -1),
        kline(1_010, 0),
        kline(3_010, 2),
        rows(3_050, 1, 2),
        kline(4_010, 3),
    ]
    assert closes(feed_of(tmp_path, opened(1), *frames)) == [-1, 0, 1, 2, 3, 4]


def test_a_lost_connection_is_stale_until_it_is_heard_again(tmp_path: Path) -> None:
    frames = [rows(60, -1), kline(500, 0, ended=False), closed(600), opened(700), kline(1_010, 0)]
    events = told(feed_of(tmp_path, opened(1), *frames, warmup=1))
    kinds = [type(e) for e in events if isinstance(e, FeedStale | FeedRecovered | BarClosed)]
    assert kinds == [BarClosed, FeedStale, FeedRecovered, BarClosed]


def test_lost_trades_are_told_from_the_answer_or_as_a_gap(tmp_path: Path) -> None:
    row_ = {"id": 2, "price": "5", "qty": "1", "time": BEGIN_MS + 2, "isBuyerMaker": False}
    options = {"streams": ("trades",), "bars_from": "trades"}
    found = [trade(1, 1), trade(3, 3), answer(40, "trades?symbol=BTCUSDT", [row_]), trade(50, 4)]
    events = told(feed_of(tmp_path, opened(0), *found, **options))
    ids = [event.trade_id for event in events if isinstance(event, TradePrinted)]
    assert ids == ["1", "2", "3", "4"]
    lost = [trade(1, 1), trade(3, 3), trade(50, 4), trade(6_000, 5), trade(6_100, 6)]
    events = told(feed_of(tmp_path, opened(0), *lost, **options))
    ids = [event.trade_id for event in events if isinstance(event, TradePrinted)]
    assert ids == ["1", "3", "4", "5", "6"]
    assert [e.missing for e in events if isinstance(e, GapDetected) and e.stream == "trade"] == [1]


def test_new_rules_and_halts_are_told_again(tmp_path: Path) -> None:
    later = [
        answer(10, "exchangeInfo?symbols=x", listed()),
        answer(900, "exchangeInfo?symbols=x", listed("BREAK", "0.1")),
    ]
    events = told(feed_of(tmp_path, opened(1), *later))
    assert len([event for event in events if isinstance(event, InstrumentListed)]) == 2
    assert len([event for event in events if isinstance(event, VenueStatusChanged)]) == 1


def test_what_is_no_json_is_counted_and_passed_over(tmp_path: Path) -> None:
    broken = Frame((BEGIN_MS + 5) * NS_PER_MS, "ws", Kind.RECEIVED, "{bad")
    feed = feed_of(tmp_path, opened(1), broken, rows(60, -1), kline(1_010, 0))
    assert closes(feed) == [0, 1]
    assert feed.tally.refused["binance"] == 1


def test_the_steps_are_the_same_whoever_asks_and_from_wherever(tmp_path: Path) -> None:
    frames = [rows(60, *range(-5, 0)), *(kline(1_010 + n * 1_000, n) for n in range(20))]
    feed = feed_of(tmp_path, opened(1), *frames)
    steps = list(feed.steps())
    assert list(feed.steps()) == steps
    assert [said for said in feed.said() if not isinstance(said, Tape)] == steps
    times = [step[0].time_ns for step in steps]
    assert times == sorted(set(times))
    assert list(feed.steps(times[10])) == steps[10:]
    assert names(feed)[0] == "InstrumentListed"


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_recording_that_ends_early_tells_the_same_up_to_there(tmp_path: Path, cut: int) -> None:
    frames = [opened(1), rows(60, *range(-5, 0)), kline(1_010, 0), kline(2_010, 1)]
    whole = told(feed_of(tmp_path, *frames))
    part = told(feed_of(tmp_path, *frames[:-cut]))
    assert part == whole[: len(part)]
