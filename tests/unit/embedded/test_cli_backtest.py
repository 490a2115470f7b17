"""`goalkick backtest` and `goalkick train`: what they print, write and refuse."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from goalkick.embedded.cli import app
from goalkick.embedded.commands.backtest import parsed_params

START_MS = 1_700_000_100_000
MINUTE_MS = 60_000
KEYS = {
    "bars",
    "round_trips",
    "final_equity",
    "fees",
    "total_return",
    "max_drawdown",
    "sharpe",
    "seconds",
    "bars_per_second",
    "decisions_sha256",
}


def candles(folder: Path, count: int, spoilt: str = "") -> Path:
    """A random walk of five-minute bars; `spoilt` replaces the third row."""
    walk = random.Random(7)
    price, rows = 100.0, ["ts_ms,open,high,low,close,volume"]
    for number in range(count):
        close = round(price * math.exp(walk.gauss(0, 0.002)), 2)
        high, low = max(price, close) + 0.01, min(price, close) - 0.01
        volume = walk.randint(1, 9)
        time_ms = START_MS + number * 5 * MINUTE_MS
        rows.append(f"{time_ms},{price:.2f},{high:.2f},{low:.2f},{close:.2f},{volume}")
        price = close
    if spoilt:
        rows[3] = spoilt
    file = folder / "binance_spot_BTCUSDT_5m.csv"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return file


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def backtest(*words: str | Path) -> Result:
    return invoke("backtest", "--strategy", "ema_cross", "--set", "fast=3", "slow=8", *words)


def document(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_json_has_the_figures_and_a_hash_that_repeats(tmp_path: Path) -> None:
    file = candles(tmp_path, 500)
    first, second = (document(backtest("--bars", file, "--json")) for _ in range(2))
    assert set(first) >= KEYS
    assert first["bars"] == 500
    assert first["round_trips"] > 5
    assert first["decisions_sha256"] == second["decisions_sha256"]
    assert first["files"][0]["instrument"] == "binance:BTC/USDT"


def test_options_change_what_they_say(tmp_path: Path) -> None:
    file = candles(tmp_path, 500)
    free = document(backtest("--bars", file, "--fee-bps", "0", "--quantity", "2", "--json"))
    paid = document(backtest("--bars", file, "--fee-bps", "10", "--quantity", "2", "--json"))
    assert free["fees"] == 0 < paid["fees"]
    rich = document(backtest("--bars", file, "--cash", "10000000", "--quantity", "1", "--json"))
    assert rich["initial_cash"] == 10_000_000
    part = document(
        backtest("--bars", file, "--from", "2023-11-15T00:00", "--to", "2023-11-15T01:00", "--json")
    )
    assert part["bars"] == 12
    late = document(backtest("--bars", file, "--warmup", "490", "--json"))
    assert late["fills"] < 10 < free["fills"]


def test_the_table_tells_how_the_file_was_read_and_what_came_of_it(tmp_path: Path) -> None:
    result = backtest("--bars", candles(tmp_path, 300))
    assert result.exit_code == 0
    for wanted in ("read as milliseconds", "300 bars of 5m", "Sharpe", "Maximum drawdown", "Fees"):
        assert wanted in result.stdout


def test_out_gets_all_files(tmp_path: Path) -> None:
    out = tmp_path / "report"
    assert backtest("--bars", candles(tmp_path, 300), "--out", out).exit_code == 0
    names = {file.name for file in out.iterdir()}
    assert names == {"trades.csv", "equity.csv", "orders.csv", "journal", "report.html"}
    assert all(file.stat().st_size for file in out.iterdir())


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f"{START_MS},1,1,1,1,1", "row 3"),
        (f"{START_MS + 10 * MINUTE_MS},1,1,2,1,1", "row 3"),
        (f"{START_MS + 10 * MINUTE_MS},nan,1,1,1,1", "row 3"),
        (f"{START_MS + 10 * MINUTE_MS},1,1,1,1,-1", "row 3"),
    ],
)
def test_a_bad_row_is_refused_in_one_line_or_dropped_and_counted(
    tmp_path: Path, row: str, reason: str
) -> None:
    file = candles(tmp_path, 300, spoilt=row)
    refused = backtest("--bars", file)
    assert refused.exit_code == 1
    assert refused.stderr.count("\n") == 1
    assert str(file) in refused.stderr
    assert reason in refused.stderr
    dropped = document(backtest("--bars", file, "--on-bad-data", "drop", "--json"))
    assert (dropped["bars"], dropped["dropped"], dropped["missing"]) == (299, 1, 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--strategy", "ema_crss"), "found 'ema_crss'; did you mean ema_cross?"),
        (("--strategy", "ema_cross", "--set", "fst=3"), "found 'fst'; did you mean fast?"),
        (("--strategy", "ema_cross", "--set", "fast=0"), "fast"),
        (("--strategy", "ema_cross", "--set", "fast=30"), "expected fast < slow"),
        (("--strategy", "ema_cross", "--cash", "-5"), "initial_cash"),
        ((), "strategy"),
    ],
)
def test_what_there_is_not_is_one_line_and_exit_code_2(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    result = invoke("backtest", "--bars", candles(tmp_path, 50), *words)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert said in result.stderr


def test_a_span_without_bars_says_what_there_is(tmp_path: Path) -> None:
    result = backtest("--bars", candles(tmp_path, 50), "--from", "2030-01-01")
    assert result.exit_code == 1
    assert "expected bars between 2030-01-01T00:00:00Z" in result.stderr


def test_parameters_are_read_as_yaml_reads_them() -> None:
    read = parsed_params(["fast=10", "level=0.5", "short=true", "name=x"])
    assert read == {"fast": 10, "level": 0.5, "short": True, "name": "x"}


def test_a_model_is_trained_judged_and_used(tmp_path: Path) -> None:
    file, out = candles(tmp_path, 1500), tmp_path / "model"
    report = document(
        invoke(
            "train", "--bars", file, "--out", out, "--features", "rsi_7", "log_return_1", "--json"
        )
    )
    assert report["better_than_base_rate"] is False
    assert report["verdict"].startswith("no better than the base rate")
    assert report["features"] == ["log_return_1", "rsi_7"]
    assert {file.name for file in out.iterdir()} == {"model.onnx", "manifest.json"}
    config = tmp_path / "goalkick.yaml"
    config.write_text(
        f"prediction: {{models: ['{out}']}}\n"
        "strategy: {strategies: {model: {strategy: forecast_threshold}}}\n",
        encoding="utf-8",
    )
    served = document(invoke("backtest", "--bars", file, "--config", config, "--json"))
    assert served["bars"] == 1500


def test_training_says_plainly_that_the_model_is_no_good(tmp_path: Path) -> None:
    result = invoke("train", "--bars", candles(tmp_path, 1500), "--out", tmp_path / "model")
    assert result.exit_code == 0, result.stderr
    assert "Verdict: no better than the base rate" in result.stdout
    assert "Do not trade on it." in result.stdout


def test_training_refuses_what_is_no_feature(tmp_path: Path) -> None:
    result = invoke("train", "--bars", candles(tmp_path, 50), "--out", tmp_path, "--features", "em")
    assert result.exit_code == 2
    assert result.stderr.startswith("goalkick train: --features: ")
