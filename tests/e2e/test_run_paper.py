"""`goalkick run` as a user meets it: a process, its output, signals, restarts."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

STOP_WITHIN_S = 30
"""A clean stop takes well under a second; a loaded machine gets more."""


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "goalkick.embedded.cli", *words]


def environment(data: Path) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("GOALKICK_")}
    return kept | {"GOALKICK_DATA": str(data), "TERM": "xterm-256color", "COLUMNS": "80"}


def run(data: Path, *words: str) -> list[dict[str, Any]]:
    """Runs to its end; the lines that it printed."""
    done = subprocess.run(
        command("run", *words), capture_output=True, text=True, env=environment(data), check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def running(data: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command("run", *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(data),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def lines_until(process: subprocess.Popen[str], event: str) -> list[dict[str, Any]]:
    """Reads up to and with the first line of a kind."""
    assert process.stdout is not None
    lines = []
    for text in process.stdout:
        lines.append(json.loads(text))
        if lines[-1]["event"] == event:
            return lines
    raise AssertionError(f"expected {event}, found the end after {lines[-3:]}")


def rest(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    out, err = process.communicate(timeout=STOP_WITHIN_S)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


def decisions(lines: list[dict[str, Any]]) -> list[str]:
    return [line["id"] for line in lines if "id" in line]


def test_the_first_line_names_the_data_directory_and_the_last_sums_up(tmp_path: Path) -> None:
    lines = run(tmp_path, "--duration", "1s", "--speed", "max")
    assert lines[0]["event"] == "started"
    assert lines[0]["data_dir"] == str(tmp_path)
    assert lines[-1]["event"] == "stopped"
    assert lines[-1]["reason"] == "duration over"
    assert lines[-1]["bars"] > 0
    assert (tmp_path / "state.sqlite").exists()


def test_twenty_seconds_show_signals_and_orders(tmp_path: Path) -> None:
    """At the default pace twenty seconds are twenty minutes of the market."""
    with running(tmp_path, "--speed", "6000x") as process:
        lines_until(process, "filled")
        process.send_signal(signal.SIGINT)
        stopped = rest(process)[-1]
    assert stopped["signals"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_gives_a_summary_and_exit_code_0(
    tmp_path: Path, number: signal.Signals
) -> None:
    with running(tmp_path, "--speed", "6000x") as process:
        lines_until(process, "approved")
        process.send_signal(number)
        stopped = rest(process)[-1]
    assert (stopped["event"], stopped["reason"]) == ("stopped", "interrupted")


def test_a_signal_while_it_starts_is_a_clean_stop_too(tmp_path: Path) -> None:
    with running(tmp_path) as process:
        lines_until(process, "started")
        process.send_signal(signal.SIGINT)
        assert rest(process)[-1]["reason"] == "interrupted"


def test_a_restart_goes_on_with_positions_and_cash_and_repeats_no_decision(tmp_path: Path) -> None:
    seen: list[str] = []
    last: dict[str, Any] | None = None
    for _ in range(3):
        with running(tmp_path, "--speed", "6000x") as process:
            lines = lines_until(process, "filled")
            process.send_signal(signal.SIGINT)
            lines += rest(process)
        stopped = lines[-1]
        if last is not None:
            assert stopped["bars"] > last["bars"]
            assert stopped["approved"] >= last["approved"]
            assert stopped["time"] > last["time"]
        last = stopped
        seen += decisions(lines)
    assert len(seen) == len(set(seen))


def test_a_killed_run_goes_on_and_decides_as_if_it_had_never_died(
    tmp_path: Path, candles: Path
) -> None:
    whole = run(tmp_path / "whole", "--bars", str(candles))
    data = tmp_path / "killed"
    with running(data, "--bars", str(candles), "--speed", "60000x") as process:
        before = lines_until(process, "filled")
        process.kill()
        process.communicate()
    after = run(data, "--bars", str(candles))
    again = [number for number in decisions(after) if number in set(decisions(before))]
    fresh = [number for number in decisions(after) if number not in set(again)]
    assert decisions(before)[: len(decisions(before)) - len(again)] + again + fresh == decisions(
        whole
    )
    for figure in ("cash", "equity", "positions", "bars", "fills"):
        assert after[-1][figure] == whole[-1][figure]


@pytest.fixture
def candles(tmp_path: Path) -> Path:
    """Five hundred minutes that go up and down."""
    file = tmp_path / "binance_spot_BTCUSDT_1m.csv"
    rows = ["ts_ms,open,high,low,close,volume"]
    for number in range(500):
        price = 100 + abs(number % 40 - 20)
        rows.append(
            f"{1_700_000_040_000 + number * 60_000},{price},{price + 1},{price - 1},{price},5"
        )
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return file


def test_recorded_candles_end_and_a_second_run_has_nothing_left(
    tmp_path: Path, candles: Path
) -> None:
    data = tmp_path / "data"
    first = run(data, "--bars", str(candles))
    assert (first[-1]["reason"], first[-1]["bars"]) == ("market over", 500)
    assert first[-1]["fills"] > 0
    second = run(data, "--bars", str(candles))
    assert (decisions(second), second[-1]["bars"]) == ([], 500)


def test_another_market_is_refused_and_fresh_moves_the_state_aside(
    tmp_path: Path, candles: Path
) -> None:
    data = tmp_path / "data"
    run(data, "--bars", str(candles))
    done = subprocess.run(
        command("run", "--duration", "1s"),
        capture_output=True,
        text=True,
        env=environment(data),
        check=False,
    )
    assert done.returncode == 1
    assert "--fresh" in done.stderr.splitlines()[-1]
    lines = run(data, "--duration", "1s", "--fresh")
    assert lines[-1]["reason"] == "duration over"
    assert list(data.glob("before-*-state.sqlite"))


def test_two_runs_do_not_share_a_data_directory(tmp_path: Path) -> None:
    with running(tmp_path, "--speed", "6000x") as process:
        lines_until(process, "approved")
        done = subprocess.run(
            command("run", "--duration", "1s"),
            capture_output=True,
            text=True,
            env=environment(tmp_path),
            check=False,
        )
        assert done.returncode == 1
        assert "another process" in done.stderr
        process.send_signal(signal.SIGINT)
        rest(process)


def test_a_terminal_gets_a_live_view_and_a_summary(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command("run", "--speed", "600x"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(tmp_path) | {"LINES": "24"},
    ) as process:
        os.close(theirs)
        try:
            screen = read_until(ours, b"filled")
            process.send_signal(signal.SIGINT)
            screen += read_until(ours, b"run again to go on from there")
            assert process.wait(STOP_WITHIN_S) == 0
        finally:
            process.kill()
            os.close(ours)
    text = screen.decode()
    assert text.index(str(tmp_path)) < text.index("Markets")
    assert "Traceback" not in text
    assert "Stopped: interrupted" in text


def read_until(terminal: int, wanted: bytes) -> bytes:
    read = b""
    while wanted not in read:
        read += os.read(terminal, 65536)
    return read
