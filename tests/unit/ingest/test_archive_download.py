"""Downloads: whole, exact, resumable; what the venue does not have is written down as missing."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow.dataset
import pytest
import pytest_asyncio

from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.values.time import parse_time
from goalkick.ingest.archive import client
from goalkick.ingest.archive.download import Download, Fetched, Wanted
from goalkick.ingest.archive.layout import series_of
from goalkick.ingest.archive.manifest import Manifest
from goalkick.ingest.candles import read_candles
from tests.unit.ingest.archive_server import HOUR_MS, MINUTE_MS, ArchiveServer, at_ms, kline

pytestmark = pytest.mark.slow

D = Decimal
MINUTES = "candles/venue=binance/instrument=BTC-USDT/bar=1m"


@pytest_asyncio.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ArchiveServer]:
    monkeypatch.setattr(client, "_FIRST_DELAY_NS", 1_000_000)
    monkeypatch.setattr(client, "_LONGEST_DELAY_NS", 1_000_000)
    async with ArchiveServer().serving() as serving:
        yield serving


def wanted(server: ArchiveServer, out: Path, start: str, end: str, **others: Any) -> Wanted:
    usual = {"venue": "binance", "instruments": ("BTC/USDT",), "kind": "candles"}
    span = {"from_ns": parse_time(start), "to_ns": parse_time(end)}
    return Wanted(**{**usual, **span, "out": out, "endpoint": server.url, **others})


async def fetch(one: Wanted, told: list[int] | None = None) -> list[Fetched]:
    async with asyncio.timeout(60), await Download.open(one) as download:
        total = await download.plan()
        seen: list[int] = [] if told is None else told
        found = await download.run(seen.append)
        assert seen[-1:] in ([], [total])
        return found


def manifest(folder: Path) -> Manifest:
    series = series_of(folder)
    assert series is not None
    return Manifest.load(folder, series)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


async def test_every_closed_bar_of_the_span_is_there_exactly(
    server: ArchiveServer, tmp_path: Path
) -> None:
    (found,) = await fetch(wanted(server, tmp_path, "2024-02-01", "2024-03-02"))
    assert (found.rows, found.missing, found.files, found.kept) == (30 * 1440, 0, 2, 0)
    table = read_candles(tmp_path / MINUTES)
    assert table.instrument == "binance:BTC/USDT"
    assert len(table) == 30 * 1440
    bar = next(table.bars())
    row = kline(at_ms("2024-02-01"), MINUTE_MS)
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == tuple(map(D, row[1:6]))
    assert bar.time_ns == parse_time("2024-02-01T00:01")


async def test_the_bar_that_is_not_closed_is_left_out(
    server: ArchiveServer, tmp_path: Path
) -> None:
    await fetch(wanted(server, tmp_path, "2024-03-05T11:00", "2025-01-01"))
    assert int(read_candles(tmp_path / MINUTES).time_ns[-1]) == parse_time("2024-03-05T12:00")


async def test_nothing_is_asked_for_before_the_venues_first_bar(
    server: ArchiveServer, tmp_path: Path
) -> None:
    (found,) = await fetch(wanted(server, tmp_path, "2017-01-01", "2024-02-01"))
    assert (found.rows, found.missing, found.start) == (120, 0, "2024-01-31T22:00:00Z")
    assert len(server.asked("klines")) == 2


@pytest.mark.slow
async def test_pandas_and_arrow_read_all_as_one_table(
    server: ArchiveServer, tmp_path: Path
) -> None:
    both = ("BTC/USDT", "ETH/USDT")
    await fetch(wanted(server, tmp_path, "2024-01-01", "2024-03-02", instruments=both))
    frame = pd.read_parquet(tmp_path / "candles")
    rows = 120 + 30 * 1440
    assert len(frame) == 2 * rows
    assert set(frame["instrument"]) == {"BTC-USDT", "ETH-USDT"}
    assert set(frame["month"]) == {"2024-01", "2024-02", "2024-03"}
    assert frame["open"].iloc[0] == D(kline(server.listed_ms, MINUTE_MS)[1])
    assert str(frame["time"].dtype) == "datetime64[us, UTC]"
    dataset = pyarrow.dataset.dataset(tmp_path / "candles", partitioning="hive")
    month = pyarrow.dataset.field("month") == "2024-02"
    assert dataset.to_table(filter=month).num_rows == 2 * 29 * 1440


async def test_gaps_are_asked_for_again_and_what_stays_is_written_down(
    server: ArchiveServer, tmp_path: Path
) -> None:
    hole = at_ms("2024-02-10T05:00")
    server.missing = {hole, hole + MINUTE_MS, at_ms("2024-02-11")}
    server.shy = {at_ms("2024-02-12T07:00")}
    server.spoilt = {at_ms("2024-02-13T08:00")}
    (found,) = await fetch(wanted(server, tmp_path, "2024-02-01", "2024-03-01"))
    assert (found.missing, found.refused) == (4, 1 + 1)
    assert found.rows == 29 * 1440 - 4
    (part,) = manifest(tmp_path / MINUTES).parts
    assert [(gap.start, gap.end, gap.count) for gap in part.missing] == [
        ("2024-02-10T05:00:00Z", "2024-02-10T05:02:00Z", 2),
        ("2024-02-11T00:00:00Z", "2024-02-11T00:01:00Z", 1),
        ("2024-02-13T08:00:00Z", "2024-02-13T08:01:00Z", 1),
    ]
    assert [gap.missing for gap in read_candles(tmp_path / MINUTES).gaps] == [2, 1, 1]


@pytest.mark.slow
async def test_a_repeated_command_asks_for_nothing_and_changes_nothing(
    server: ArchiveServer, tmp_path: Path
) -> None:
    one = wanted(server, tmp_path, "2024-02-01", "2024-03-02")
    await fetch(one)
    before, asked = contents(tmp_path), len(server.asked("klines"))
    (found,) = await fetch(one)
    assert found.kept == 2
    assert contents(tmp_path) == before
    assert len(server.asked("klines")) == asked + 1  # where history begins


@pytest.mark.slow
async def test_a_longer_span_adds_to_what_is_there(server: ArchiveServer, tmp_path: Path) -> None:
    await fetch(wanted(server, tmp_path / "a", "2024-02-05", "2024-02-20"))
    await fetch(wanted(server, tmp_path / "a", "2024-02-18", "2024-03-03"))
    await fetch(wanted(server, tmp_path / "b", "2024-02-05", "2024-03-03"))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["candles", "trades"])
async def test_it_goes_on_where_the_venue_died_to_the_same_bytes(
    server: ArchiveServer, tmp_path: Path, kind: str
) -> None:
    spans = {"candles": ("2024-01-01", "2024-03-03"), "trades": ("2024-01-01", "2024-02-01T06:00")}
    start, end = spans[kind]
    options: dict[str, Any] = {"kind": kind, "block": 2000}
    await fetch(wanted(server, tmp_path / "whole", start, end, **options))
    needed = len(server.requests)
    for share in (0.3, 0.6, 0.9):
        server.requests.clear()
        server.dies_after = int(share * needed)
        with pytest.raises(TransientError, match="the same command goes on from there"):
            await fetch(wanted(server, tmp_path / "broken", start, end, **options))
    server.dies_after = None
    server.requests.clear()
    (found,) = await fetch(wanted(server, tmp_path / "broken", start, end, **options))
    assert found.kept > 0
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole")


@pytest.mark.slow
async def test_what_a_killed_writer_left_is_cleared_and_written_anew(
    server: ArchiveServer, tmp_path: Path
) -> None:
    one = wanted(server, tmp_path, "2024-02-01", "2024-03-02")
    await fetch(one)
    before = contents(tmp_path)
    month = tmp_path / MINUTES / "month=2024-02"
    (month / "candles.parquet").write_bytes(b"PAR1 half a file")
    (month / ".candles.parquet.partial").write_bytes(b"PAR1")
    (found,) = await fetch(one)
    assert found.kept == 1
    assert contents(tmp_path) == before


async def test_trades_are_whole_by_id_across_months_and_blocks(
    server: ArchiveServer, tmp_path: Path
) -> None:
    one = wanted(server, tmp_path, "2024-01-31T22:30", "2024-02-01T03:00", kind="trades")
    (found,) = await fetch(msgspec.structs.replace(one, block=5000))
    first, end = 30 * 60, 5 * 3600
    assert (found.start, found.end, found.rows, found.missing) == (first, end, end - first, 0)
    frame = pd.read_parquet(tmp_path / "trades").sort_values("id").reset_index(drop=True)
    assert frame["id"].tolist() == list(range(first, end))
    sent = server.aggregate(first)
    row = frame.iloc[0]
    assert (row["price"], row["quantity"]) == (D(sent["p"]), D(sent["q"]))
    assert (row["first_trade_id"], row["last_trade_id"]) == (sent["f"], sent["l"])
    assert row["taker_side"] == "buy"
    assert row["time"] == pd.Timestamp("2024-01-31T22:30", tz="UTC")
    assert set(frame["month"]) == {"2024-01", "2024-02"}


async def test_missing_trades_are_written_down(server: ArchiveServer, tmp_path: Path) -> None:
    server.missing_ids = {7000, 7001, 9999}
    one = wanted(server, tmp_path, "2024-01-31T23:00", "2024-02-01T02:00", kind="trades")
    (found,) = await fetch(msgspec.structs.replace(one, block=5000))
    assert found.missing == 3
    parts = manifest(tmp_path / "trades/venue=binance/instrument=BTC-USDT/grain=aggregate").parts
    gaps = [(gap.start, gap.end, gap.count) for part in parts for gap in part.missing]
    assert gaps == [(7000, 7002, 2), (9999, 10_000, 1)]


async def test_funding_is_kept_by_month_with_its_gaps(
    server: ArchiveServer, tmp_path: Path
) -> None:
    server.missing = {at_ms("2024-02-10T08:00")}
    one = wanted(
        server, tmp_path, "2024-01-01", "2024-03-04", kind="funding", instruments=("BTC/USDT:USDT",)
    )
    (found,) = await fetch(one)
    frame = pd.read_parquet(tmp_path / "funding")
    expected = range(at_ms("2024-02-01"), at_ms("2024-03-04"), 8 * HOUR_MS)
    assert len(frame) == found.rows == len(expected) - 1
    assert set(frame["rate"]) == {D("0.0001")}
    assert found.missing == 1
    before = contents(tmp_path)
    (again,) = await fetch(one)
    assert again.kept == 3
    assert contents(tmp_path) == before


async def test_a_sick_venue_is_asked_again_and_nothing_becomes_a_gap(
    server: ArchiveServer, tmp_path: Path
) -> None:
    server.faults.extend([500, "<html>busy</html>", 429, "{}", "[[1]]", 503, ""])
    (found,) = await fetch(wanted(server, tmp_path, "2024-02-01", "2024-02-08"))
    assert (found.rows, found.missing) == (7 * 1440, 0)


async def test_a_ban_ends_the_download_in_one_line(server: ArchiveServer, tmp_path: Path) -> None:
    server.faults.extend([200 + 218])
    with pytest.raises(TransientError, match="banned for 0 s; what was fetched is kept"):
        await fetch(wanted(server, tmp_path, "2024-02-01", "2024-02-08"))
    assert len(server.asked("klines")) == 1


async def test_refuses_what_the_venue_does_not_have(server: ArchiveServer, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"found 'BTC/USD'; near: BTC/USDT"):
        await fetch(wanted(server, tmp_path, "2024-02-01", "2024-02-02", instruments=("BTC/USD",)))
    with pytest.raises(SettingsError, match="at most 1d, found 1w"):
        wanted(server, tmp_path, "2024-02-01", "2024-02-02", interval_ns=7 * 86_400 * 10**9)
    with pytest.raises(SettingsError, match="end after the start"):
        wanted(server, tmp_path, "2024-02-02", "2024-02-02")
    with pytest.raises(SettingsError, match=r"expected single trades of a spot market.*without a"):
        wanted(server, tmp_path, "2024-01-01", "2024-01-02", kind="trades", grain="single")
    with pytest.raises(SettingsError, match="asked for by id"):
        wanted(server, tmp_path, "2024-02-01", "2024-02-02", venue="bybit", kind="trades")


async def test_two_downloads_into_one_folder_are_refused(
    server: ArchiveServer, tmp_path: Path
) -> None:
    one = wanted(server, tmp_path, "2024-02-01", "2024-02-02")
    async with await Download.open(one) as first, await Download.open(one) as second:
        await first.plan()
        await second.plan()
        refusals: list[str] = []

        async def intrude() -> None:
            try:
                await second.run(lambda _: None)
            except SettingsError as error:
                refusals.append(str(error))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(first.run(lambda _: None))
            tasks.create_task(intrude())
        assert refusals == [
            f"{tmp_path}: expected no other program that writes into this folder, found one running"
        ]
