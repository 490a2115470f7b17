"""Settings to feeds: every feed is built as configured, and what cannot be is refused."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from goalkick.common.adapters.clock.manual import ManualClock
from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.events.market import BarClosed
from goalkick.common.values.time import NS_PER_MINUTE, parse_time
from goalkick.ingest.feeds.aggregate import LiveWithIntervals
from goalkick.ingest.feeds.build import build_live, build_recorded
from goalkick.ingest.feeds.ccxt import CcxtFeed
from goalkick.ingest.feeds.redundant import RedundantFeed
from goalkick.ingest.feeds.stream import StreamFeed
from goalkick.ingest.service import QUIET_EVERY_NS, IngestServiceSettings
from goalkick.ingest.settings import IngestSettings


def settings(**sections: Any) -> IngestSettings:
    return IngestSettings.model_validate(sections)


@pytest.fixture
def candles(tmp_path: Path) -> Path:
    lines = ["time,open,high,low,close,volume"]
    lines += [f"{parse_time('2024-01-01') // 10**9 + m * 60},1,1,1,1,1" for m in range(20)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines))
    return path


def lengths(config: IngestSettings) -> list[list[int]]:
    return [
        [e.interval_ns // NS_PER_MINUTE for e in step if isinstance(e, BarClosed)]
        for step in build_recorded(config).steps()
    ]


def test_the_default_is_a_simulated_market_of_three() -> None:
    assert len(next(iter(build_recorded(IngestSettings()).steps()))) == 3


def test_replays_files_within_a_span_with_longer_bars(candles: Path) -> None:
    replay = {"files": [candles], "since": "2024-01-01T00:05", "until": "2024-01-01T00:15"}
    config = settings(feed="replay", replay=replay, intervals=["5m"])
    assert lengths(config) == [[], [1], [1], [1], [1], [1, 5], [1], [1], [1], [1], [1, 5]]


def test_longer_bars_begin_anywhere_like_the_whole(candles: Path) -> None:
    config = settings(feed="replay", replay={"files": [candles]}, intervals=["5m", "10m"])
    feed = build_recorded(config)
    whole = [list(step) for step in feed.steps()]
    from_ns = parse_time("2024-01-01T00:08")
    assert [list(s) for s in feed.steps(from_ns)] == [s for s in whole if s[0].time_ns >= from_ns]


def test_longer_bars_of_a_simulated_market(candles: Path) -> None:
    one = {"simulated:BTC/USDT": {"start_price": "10", "tick_size": "0.5"}}
    config = settings(simulated={"bars": 6, "instruments": one}, intervals=["3m"])
    assert lengths(config) == [[], [1], [1], [1, 3], [1], [1], [1, 3]]


def test_refuses_longer_bars_that_are_no_multiple(candles: Path) -> None:
    config = settings(feed="replay", replay={"files": [candles]}, intervals=["90s"])
    with pytest.raises(InvalidDataError, match="whose length divides 90s"):
        list(build_recorded(config).steps())


def test_refuses_a_replay_of_nothing() -> None:
    with pytest.raises(SettingsError, match=r"ingest\.replay\.files: expected candle files"):
        build_recorded(settings(feed="replay"))


def test_drops_bad_rows_only_when_told_to(candles: Path) -> None:
    candles.write_text(candles.read_text() + "\n1704067200,1,1,1,1,1\n")
    with pytest.raises(InvalidDataError, match="found an earlier"):
        build_recorded(settings(feed="replay", replay={"files": [candles]}))
    replay = {"files": [candles], "on_bad_data": "drop"}
    assert len(lengths(settings(feed="replay", replay=replay))) == 21


def test_a_live_feed_is_no_recorded_one_and_the_reverse() -> None:
    with pytest.raises(SettingsError, match="expected simulated, replay or recording"):
        build_recorded(settings(feed="ccxt"))
    with pytest.raises(SettingsError, match="expected ccxt for a live feed, found simulated"):
        build_live(settings(), ManualClock())


def test_a_live_feed_is_built_with_and_without_longer_bars() -> None:
    assert isinstance(build_live(settings(feed="ccxt"), ManualClock()), StreamFeed)
    polled = settings(feed="ccxt", ccxt={"transport": "poll"})
    assert isinstance(build_live(polled, ManualClock()), CcxtFeed)
    assert isinstance(build_live(settings(feed="ccxt", intervals=["1h"])), LiveWithIntervals)


@pytest.mark.parametrize(
    "section",
    [
        {"feed": "telepathy"},
        {"simulated": {"seed": -1}},
        {"simulated": {"gap_probability": 1}},
        {"simulated": {"instruments": {}}},
        {"simulated": {"bars": 0}},
        {"replay": {"since": "yesterday"}},
        {"ccxt": {"endpoints": {"binance": "http://127.0.0.1:80/api"}}},
        {"ccxt": {"endpoints": {"bybit": "http://127.0.0.1:80"}}},
        {"ccxt": {"instruments": ["BTC/USDT"]}},
        {"ccxt": {"instruments": []}},
        {"ccxt": {"instruments": ["binance:BTC/USDT", "binance:BTC/USDT"]}},
        {"ccxt": {"streams": ["trades"]}},
        {"ccxt": {"bars_from": "trades"}},
        {"ccxt": {"streams": ["candles"]}},
        {"ccxt": {"keep_alive": "1h"}},
        {"ccxt": {"interval": "0s"}},
        {"intervals": ["x"]},
        {"feeed": "ccxt"},
    ],
)
def test_refuses_what_cannot_be_meant(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**section)


def test_each_venue_gets_its_own_instruments_and_endpoint() -> None:
    ccxt = settings(
        ccxt={
            "instruments": ["bybit:BTC/USDT", "binance:ETH/USDT", "binance:BTC/USDT"],
            "endpoints": {"bybit": "http://127.0.0.1:8081"},
        }
    ).ccxt
    assert ccxt.venues == ("binance", "bybit")
    binance, bybit = map(ccxt.of, ccxt.venues)
    assert (binance.instruments, binance.endpoint) == (("ETH/USDT", "BTC/USDT"), None)
    assert (bybit.instruments, bybit.endpoint) == (("BTC/USDT",), "http://127.0.0.1:8081")


@pytest.mark.parametrize(
    ("mode", "asked", "expected"),
    [
        ("paper", None, None),
        ("live", None, QUIET_EVERY_NS),
        ("live", "0s", 0),
        ("live", "1s", 10**9),
        ("paper", "1s", 10**9),
    ],
)
def test_quiet_moments_are_promised_where_orders_go_to_a_venue_or_as_asked_for(
    mode: str, asked: str | None, expected: int | None
) -> None:
    config = IngestServiceSettings.model_validate(
        {
            "ingest": {"feed": "ccxt", "ccxt": {"quiet_every": asked}},
            "trading": {"mode": mode, "account": "main" if mode == "live" else None},
        }
    )
    assert config.promising.ccxt.quiet_every == expected


@pytest.mark.parametrize(
    ("names", "venue", "reason"),
    [
        ((), None, "ingest.recording.files: expected recordings"),
        (("binance-20240101T00-0000.frames.gz",), None, "list of instruments with binance:BTC/US"),
        (("bybit-20240101T00-0000.frames.gz",), None, "expected a recording of binance"),
        (("a.raw.gz",), None, "expected a name such as binance-"),
        (("a.raw.gz",), "binance", "expected recordings and instruments"),
    ],
)
def test_recordings_that_cannot_be_replayed_are_refused_with_a_reason(
    tmp_path: Path, names: tuple[str, ...], venue: str | None, reason: str
) -> None:
    files = [tmp_path / name for name in names]
    for file in files:
        file.write_bytes(gzip.compress(b"") if "raw" in file.name else b"")
    config = settings(feed="recording", recording={"files": files, "venue": venue})
    with pytest.raises((InvalidDataError, SettingsError), match=reason):
        build_recorded(config)


def test_two_connections_are_one_feed_and_have_no_use_where_bars_are_polled() -> None:
    doubled = settings(feed="ccxt", ccxt={"connections": 2})
    feed = build_live(doubled, ManualClock())
    assert isinstance(feed, RedundantFeed)
    assert [line.partition(":")[0] for line in feed.standing()] == [
        "connection 1 well",
        "connection 2 well",
    ]
    with pytest.raises(ValidationError, match="expected one connection where bars are polled"):
        settings(feed="ccxt", ccxt={"connections": 2, "transport": "poll"})
