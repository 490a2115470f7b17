"""`goalkick data` and `goalkick download`: what they print, and how they end."""

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from goalkick.embedded.cli import app

START_MS = 1_704_067_200_000


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def candles(folder: Path, leave_out: tuple[int, ...] = (), again: int | None = None) -> Path:
    rows = []
    for number in range(30):
        if number not in leave_out:
            rows.append(f"{START_MS + number * 60_000},10,11,9,10.5,{100 + number}")
        if number == again:
            rows.append(rows[-1])
    file = folder / "binance_spot_BTCUSDT_1m.csv"
    file.write_text("\n".join(["time,open,high,low,close,volume", *rows]) + "\n")
    return file


def test_check_ends_well_where_there_are_only_warnings(tmp_path: Path) -> None:
    result = invoke("data", "check", candles(tmp_path, leave_out=(7, 8)), "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["ok"]
    (file,) = document["files"]
    (finding,) = file["findings"]
    assert (finding["check"], finding["severity"], finding["count"]) == ("gaps", "warning", 2)
    assert finding["stretches"] == [
        {"start": "2024-01-01T00:07:00Z", "end": "2024-01-01T00:09:00Z", "count": 2}
    ]


def test_check_fails_where_there_is_an_error(tmp_path: Path) -> None:
    result = invoke("data", "check", candles(tmp_path, again=3))
    assert result.exit_code == 1
    assert "duplicates" in result.stdout
    assert result.stderr == ""


def test_check_of_nothing_says_so_in_one_line(tmp_path: Path) -> None:
    result = invoke("data", "check", tmp_path / "nothing.csv")
    assert result.exit_code == 1
    assert result.stderr.strip().endswith("nothing.csv: expected a file or folder, found nothing")


def test_imported_candles_are_what_backtest_and_check_read(tmp_path: Path) -> None:
    result = invoke("data", "import", candles(tmp_path), "--out", tmp_path / "data", "--json")
    assert result.exit_code == 0, result.stderr
    (done,) = json.loads(result.stdout)
    assert (done["rows"], done["new"], done["missing"]) == (30, 30, 0)
    assert invoke("data", "check", tmp_path / "data").exit_code == 0
    result = invoke(
        "backtest", "--strategy", "ema_cross", "--bars", tmp_path / "data/candles", "--json"
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["files"][0]["instrument"] == "binance:BTC/USDT"


def test_import_takes_a_name_for_files_that_have_none(tmp_path: Path) -> None:
    file = candles(tmp_path).rename(tmp_path / "mine.csv")
    words = ("data", "import", file, "--out", tmp_path / "data", "--json")
    (done,) = json.loads(invoke(*words, "--instrument", "kraken:XBT/EUR").stdout)
    assert done["folder"].endswith("candles/venue=kraken/instrument=XBT-EUR/bar=1m")
    result = invoke(*words, "--instrument", "XBT/EUR")
    assert result.exit_code == 2
    assert "expected an id such as binance:BTC/USDT" in result.stderr


def test_download_refuses_what_cannot_be_in_one_line(tmp_path: Path) -> None:
    words = ("download", "--venue", "binance", "--instrument", "BTC/USDT", "--out", tmp_path)
    result = invoke(*words, "--from", "2024-01-02", "--to", "2024-01-01")
    assert result.exit_code == 1
    assert "expected an end after the start" in result.stderr
    result = invoke(*words, "--from", "2024-01-02", "--bar", "7x")
    assert result.exit_code == 2
    assert result.stderr.startswith("goalkick download: --bar: expected a duration")
    result = invoke(*words, "--from", "2024-01-02", "--endpoint", "not-a-url")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
