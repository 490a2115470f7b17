"""Recorded frames replayed through the real parsers: ordered steps, whole bars, faults counted."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event
from goalkick.common.events.market import (
    BarClosed,
    BookSnapshotTaken,
    GapDetected,
    InstrumentListed,
    QuoteChanged,
    TradePrinted,
)
from goalkick.common.ports.feed import Step
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_MINUTE as MINUTE
from goalkick.common.values.time import NS_PER_MS
from goalkick.ingest.feeds.recording import RecordingFeed, instruments_in, open_recording
from goalkick.ingest.recording import Frame, Kind, pack
from goalkick.ingest.wire.base import WireInstrument

BEGIN_MS = 1_700_000_040_000  # begins a minute
BTC = WireInstrument(
    "BTCUSDT",
    Instrument(
        id=InstrumentId("binance:BTC/USDT"),
        base="BTC",
        quote="USDT",
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.00001"),
    ),
)


def trade(number: int, at_ms: int, price: str = "5") -> Frame:
    time_ms = BEGIN_MS + at_ms
    text = (
        f'{{"e":"trade","E":{time_ms},"s":"BTCUSDT","t":{number},"p":"{price}","q":"1",'
        f'"T":{time_ms},"m":false,"M":true}}'
    )
    return Frame(time_ms * NS_PER_MS, "ws", Kind.RECEIVED, text)


def feed_of(folder: Path, frames: Sequence[Frame], *intervals: int) -> RecordingFeed:
    path = folder / "binance-20231114T22-0000.frames.gz"
    path.write_bytes(b"".join(pack([frame]) for frame in frames))
    return RecordingFeed({"binance": [open_recording(path)]}, {"binance": [BTC]}, intervals)


def obey(steps: Iterable[Step]) -> list[Step]:
    """The steps, if they are what ports/feed.py says."""
    seen = list(steps)
    times = [step[0].time_ns for step in seen]
    assert times == sorted(set(times))
    for step in seen:
        assert {event.time_ns for event in step} == {step[0].time_ns}
        assert [event.key for event in step] == sorted(event.key for event in step)
    assert all(isinstance(event, InstrumentListed) for event in seen[0])
    return seen


def of(kind: type[Event], steps: Iterable[Step]) -> list[Event]:
    return [event for step in steps for event in step if type(event) is kind]


def test_bars_are_told_when_they_end_and_trades_at_their_time(tmp_path: Path) -> None:
    frames = [trade(1, 0, "5"), trade(2, 59_000, "7"), trade(3, 61_000, "6"), trade(4, 125_000)]
    steps = obey(feed_of(tmp_path, frames, MINUTE).steps())
    assert [[type(event).__name__ for event in step] for step in steps] == [
        ["InstrumentListed"], ["TradePrinted"], ["TradePrinted"], ["BarClosed"],
        ["TradePrinted"], ["BarClosed"], ["TradePrinted"],
    ]  # fmt: skip
    first, second = of(BarClosed, steps)
    assert isinstance(first, BarClosed)
    assert isinstance(second, BarClosed)
    assert [str(x) for x in (first.open, first.close, first.volume)] == ["5", "7", "2"]
    assert first.trades == 2
    assert second.open_time_ns == first.time_ns


def test_a_recorders_clock_that_is_behind_the_venues_makes_no_disorder(tmp_path: Path) -> None:
    # Trades have the venue's time, this venue's quotes only that of their receipt.
    frames = []
    for n in range(1, 100):
        printed = trade(n, n * 1_000)
        received_ns = printed.received_ns - 1_270 * NS_PER_MS
        quote = f'{{"u":{n},"s":"BTCUSDT","b":"4.{n:02d}","B":"1","a":"6.{n:02d}","A":"1"}}'
        frames += [
            Frame(received_ns, "ws", Kind.RECEIVED, printed.text),
            Frame(received_ns + 1, "ws", Kind.RECEIVED, quote),
        ]
    feed = feed_of(tmp_path, frames, MINUTE)
    steps = obey(feed.steps())
    assert (len(of(TradePrinted, steps)), len(of(QuoteChanged, steps))) == (99, 99)
    assert feed.counts.total() == 0


def test_a_lost_trade_is_a_gap_told_once(tmp_path: Path) -> None:
    frames = [trade(1, 0), trade(3, 10_000), trade(4, 61_000), trade(5, 121_000)]
    steps = obey(feed_of(tmp_path, frames, MINUTE).steps())
    gaps = [gap for gap in of(GapDetected, steps) if isinstance(gap, GapDetected)]
    assert [(gap.stream, gap.missing) for gap in gaps] == [("trade", 1), ("bar", 1)]
    assert len(of(BarClosed, steps)) == 1


def test_a_bad_message_is_counted_with_its_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    bad = [
        Frame(trade(1, 1).received_ns, "ws", Kind.RECEIVED, text)
        for text in ('{"e":"trade"}', "no JSON", '{"e":"trade","s":"BTCUSDT"}')
    ]
    feed = feed_of(tmp_path, [trade(1, 0), *bad, trade(2, 2)])
    assert len(of(TradePrinted, obey(feed.steps()))) == 2
    assert feed.counts["refused"] >= 2
    assert any("no JSON" in reason for reason in feed.refusals)


def test_steps_are_the_same_whoever_asks_and_from_wherever(tmp_path: Path) -> None:
    feed = feed_of(tmp_path, [trade(n, n * 20_000) for n in range(20)], MINUTE, 2 * MINUTE)
    whole = obey(feed.steps())
    assert obey(feed.steps()) == whole
    from_ns = whole[10][0].time_ns
    assert list(feed.steps(from_ns)) == whole[10:]
    both = zip(feed.steps(), feed.steps(), strict=True)
    assert [a for a, _ in both] == whole


def test_what_is_later_than_the_window_is_left_out_and_counted(tmp_path: Path) -> None:
    frames = [trade(1, 20_000), trade(2, 22_000), trade(3, 40_000), trade(4, 21_000)]
    feed = feed_of(tmp_path, frames)
    assert len(of(TradePrinted, obey(feed.steps()))) == 3
    assert feed.counts == {"late": 1}


def test_refuses_to_replay_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="expected recordings, found none"):
        RecordingFeed({}, {}, [])
    with pytest.raises(InvalidDataError, match="expected recordings and instruments"):
        RecordingFeed({"binance": []}, {"binance": [BTC]}, [])


@pytest.mark.data
@pytest.mark.slow
def test_recorded_ticks_of_two_files_are_one_market(recorded_data: Path) -> None:
    days = ("20240808", "20240809")
    raw = [
        open_recording(recorded_data / f"ticks/raw/binance_spot_btcusdt_{day}.raw.gz")
        for day in days
    ]
    feed = RecordingFeed({"binance": raw}, {"binance": [BTC]}, [MINUTE, 5 * MINUTE])
    steps = obey(feed.steps())
    assert len(of(TradePrinted, steps)) == 19_904
    assert of(GapDetected, steps) == []
    assert len(of(QuoteChanged, steps)) > 70_000
    bars = [bar for bar in of(BarClosed, steps) if isinstance(bar, BarClosed)]
    assert [bar.interval_ns // MINUTE for bar in bars] == [1] * 5 + [5] + [1] * 5 + [5]
    assert sum(bar.volume for bar in bars[:5]) == bars[5].volume
    assert feed.counts.total() == 0


@pytest.mark.data
def test_a_recorded_session_brings_its_instruments_and_books(recorded_data: Path) -> None:
    folder = recorded_data / "payloads/cryptofeed"
    files = [open_recording(folder / f"BINANCE.{part}.gz") for part in ("0", "http.0.0", "ws.1.0")]
    symbols = ("NKNUSDT", "BLZETH", "LRCBTC", "RUNEEUR")
    listed = [entry for entry in instruments_in(files, "binance") if entry.symbol in symbols]
    assert len(listed) == 4
    feed = RecordingFeed({"binance": files}, {"binance": listed}, [])
    steps = obey(feed.steps())
    assert len(steps[0]) == 4
    books = [book for book in of(BookSnapshotTaken, steps) if isinstance(book, BookSnapshotTaken)]
    assert len({book.instrument for book in books}) >= 3
    assert all(book.bids[0][0] < book.asks[0][0] for book in books)
    assert len(of(TradePrinted, steps)) == 2
    assert feed.counts.total() == 0
