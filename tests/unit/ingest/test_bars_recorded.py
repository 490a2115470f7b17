"""Bars from recorded trades are the venue's own candles, wherever its data is whole."""

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from goalkick.common.events.base import Event, Side
from goalkick.common.events.market import BarClosed, GapDetected, TradePrinted
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.time import NS_PER_MINUTE as MINUTE
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND
from goalkick.ingest.bars import Fate, TradeBars

pytestmark = pytest.mark.data

D = Decimal
XBT, LRC, BTC = (InstrumentId(name) for name in ("k:XBT/USDT", "b:LRC/BTC", "b:BTC/USDT"))


def read_json(path: Path) -> Any:
    return msgspec.json.decode(gzip.decompress(path.read_bytes()))


def kraken_trades(recorded_data: Path) -> list[TradePrinted]:
    raw = gzip.decompress(
        (recorded_data / "payloads/nautilus/kraken/http_trades.json.gz").read_bytes()
    )
    # Times are numbers with more digits than a float keeps.
    rows = json.loads(raw, parse_float=D)["result"]["XBTUSDT"]
    return [
        TradePrinted(
            time_ns=int(time_s * NS_PER_SECOND),
            instrument=XBT,
            trade_id=str(number),
            price=D(price),
            quantity=D(quantity),
            side=Side.BUY if side == "b" else Side.SELL,
        )
        for price, quantity, time_s, side, _, _, number in rows
    ]


def kraken_candles(recorded_data: Path) -> dict[int, list[Any]]:
    """By close, those that are closed."""
    path = recorded_data / "payloads/nautilus/kraken/http_ohlc.json.gz"
    rows = read_json(path)["result"]["XBTUSDT"]
    return {row[0] * NS_PER_SECOND + MINUTE: row for row in rows[:-1]}


def test_krakens_candles_are_made_again(recorded_data: Path) -> None:
    trades, candles = kraken_trades(recorded_data), kraken_candles(recorded_data)
    bars = TradeBars(XBT, [MINUTE])
    told = [event for trade in trades for event in bars.on_trade(trade).told]
    # The list of trades ends within a minute: what closes then is not known whole.
    assert (bars.missing, bars.repeated, bars.late) == (0, 0, 0)
    made = {event.time_ns: event for event in told if isinstance(event, BarClosed)}
    assert len(made) > 200
    first_ns, last_ns = min(made), max(made)
    traded = {t for t, row in candles.items() if row[7] and first_ns <= t <= last_ns}
    assert made.keys() == traded
    for time_ns, bar in made.items():
        _, open_, high, low, close, vwap, volume, count = candles[time_ns]
        assert (bar.high, bar.low, bar.close) == (D(high), D(low), D(close))
        assert (bar.volume, bar.trades) == (D(volume), count)
        assert bar.vwap is not None
        assert abs(bar.vwap - D(vwap)) <= D("0.1")
        assert bar.open == D(open_)


def test_a_lost_trade_is_noticed_in_krakens(recorded_data: Path) -> None:
    trades = kraken_trades(recorded_data)
    whole, holed = TradeBars(XBT, [MINUTE]), TradeBars(XBT, [MINUTE])
    expected = [event for trade in trades for event in whole.on_trade(trade).told]
    lost = trades[500]
    told = [event for t in trades if t is not lost for event in holed.on_trade(t).told]
    gap = next(event for event in told if isinstance(event, GapDetected))
    assert (gap.stream, gap.missing) == ("trade", 1)
    assert gap.from_ns <= lost.time_ns < gap.to_ns
    kept = [event for event in told if isinstance(event, BarClosed)]
    touched = [e for e in expected if e not in kept]
    assert kept == [e for e in expected if e in kept]
    assert all(e.time_ns - MINUTE < gap.to_ns and e.time_ns > gap.from_ns for e in touched)
    assert holed.withheld == len(touched)


def test_binances_candle_is_made_again_from_its_aggregate_trades(recorded_data: Path) -> None:
    path = recorded_data / "payloads/cryptofeed/BINANCE.ws.1.0.gz"
    messages = [
        msgspec.json.decode(line.split(": ", 1)[1])["data"]
        for line in gzip.decompress(path.read_bytes()).decode().splitlines()
        if '"s":"LRCBTC"' in line and ("@kline" in line or "@aggTrade" in line)
    ]
    candle = next(m["k"] for m in messages if m["e"] == "kline")
    printed = [m for m in messages if m["e"] == "aggTrade"]
    assert candle["f"] == printed[0]["f"]  # the candle's first trade is in the session
    bars = TradeBars(LRC, [MINUTE])
    bars.advance(candle["t"] * NS_PER_MS)
    for m in printed:
        trade = TradePrinted(
            time_ns=m["T"] * NS_PER_MS,
            instrument=LRC,
            trade_id=str(m["a"]),
            price=D(m["p"]),
            quantity=D(m["q"]),
            side=Side.SELL if m["m"] else Side.BUY,
        )
        assert bars.on_trade(trade, m["l"] - m["f"] + 1).fate is Fate.COUNTED
    (bar,) = bars.advance((candle["T"] + 1) * NS_PER_MS)
    assert bar == BarClosed(
        time_ns=(candle["T"] + 1) * NS_PER_MS,
        instrument=LRC,
        interval_ns=MINUTE,
        open=D(candle["o"]),
        high=D(candle["h"]),
        low=D(candle["l"]),
        close=D(candle["c"]),
        volume=D(candle["v"]),
        trades=candle["n"],
        quote_volume=D(candle["q"]),
        taker_volume=D(candle["V"]),
    )


def spot_rows(recorded_data: Path) -> Iterator[dict[str, str]]:
    path = recorded_data / "ticks/binance_spot_BTCUSDT_trades_20240808-09.csv.gz"
    with gzip.open(path, "rt", newline="") as lines:
        yield from csv.DictReader(lines)


@pytest.mark.slow
def test_the_whole_minutes_of_the_recorded_ticks_are_what_sums_over_the_file_say(
    recorded_data: Path,
) -> None:
    rows = defaultdict(list)
    bars = TradeBars(BTC, [MINUTE], grace_ns=NS_PER_SECOND)
    told: list[Event] = []
    for row in spot_rows(recorded_data):
        rows[int(row["ts_ms"]) // 60_000].append(row)
        outcome = bars.on_trade(
            TradePrinted(
                time_ns=int(row["ts_ms"]) * NS_PER_MS,
                instrument=BTC,
                trade_id=row["trade_id"],
                price=D(row["price"]),
                quantity=D(row["qty"]),
                side=Side(row["taker_side"]),
            )
        )
        told += outcome.told
    assert (bars.missing, bars.repeated, bars.late, bars.withheld) == (0, 0, 0, 0)
    made = {event.time_ns // MINUTE - 1: event for event in told if isinstance(event, BarClosed)}
    assert sorted(made) == sorted(rows)[1:-1]  # the first and the last minute are not whole
    for minute, bar in made.items():
        there = rows[minute]
        prices = [D(row["price"]) for row in there]
        assert (bar.open, bar.close) == (prices[0], prices[-1])
        assert (bar.high, bar.low) == (max(prices), min(prices))
        assert bar.trades == len(there)
        assert bar.volume == sum(D(row["qty"]) for row in there)
        assert bar.quote_volume == sum(D(row["price"]) * D(row["qty"]) for row in there)
        bought = (D(row["qty"]) for row in there if row["taker_side"] == "buy")
        assert bar.taker_volume == sum(bought, D(0))
