"""The command line: help, errors in one line, exit codes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from goalkick.embedded.cli import app
from goalkick.embedded.commands.grammar import spread

COMMANDS = (
    "run",
    "backtest",
    "train",
    "doctor",
    "strategies",
    "indicators",
    "services",
    "topics",
    "serve",
    "version",
    "config show",
    "config example",
    "config features",
)


def invoke(*words: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner(env=env).invoke(app, words)


def one_line(result: Result) -> str:
    """The error: exactly one line, and nothing on standard output."""
    assert result.stdout == ""
    assert result.stderr.endswith("\n")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_option(command: str) -> None:
    result = invoke(*command.split(), "--help")
    assert result.exit_code == 0
    block = result.stdout.partition("Options:\n")[2].partition("\n\n")[0].splitlines()
    for place, line in enumerate(block):
        if line.startswith("  -"):
            beside = re.search(r"\S {2,}\S", line)
            below = block[place + 1 : place + 2]
            assert beside or (below and below[0].startswith("      ")), line


def test_a_bare_command_line_shows_the_help() -> None:
    result = invoke()
    assert result.exit_code == 0
    assert "Usage: goalkick" in result.stdout


def test_help_needs_none_of_the_heavy_libraries() -> None:
    script = (
        "import sys; from goalkick.embedded.cli import main; sys.argv = ['goalkick', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'numba', 'pandas', 'pyarrow', 'onnxruntime', 'sklearn', 'ccxt', 'pydantic'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("topcs",), "expected a known command, found topcs; did you mean topics?"),
        (("topics", "--jsn"), "expected a known option, found --jsn; did you mean --json?"),
        (("backtest",), "expected '--bars', found nothing"),
        (("backtest", "--bars", "a.csv", "--from", "yesterday"), "found 'yesterday'"),
        (("backtest", "--bars", "a.csv", "--cash", "much"), "expected a decimal number"),
        (("backtest", "--bars", "a.csv", "--warmup", "-1"), "'--warmup'"),
        (("backtest", "--bars", "a.csv", "--set", "fast=1"), "expected --strategy beside it"),
        (
            ("backtest", "--bars", "a.csv", "--strategy", "ema_cross", "--set", "fast10"),
            "expected NAME=VALUE such as fast=10, found 'fast10'",
        ),
        (
            ("backtest", "--bars", "a", "--strategy", "x", "--set", "a=1", "--set", "a=2"),
            "expected a once, found it twice",
        ),
        (("run", "--duration", "soon"), "expected a duration such as 60s, 5m, 1h or 1d"),
        (("run", "--speed", "fast"), "expected a speed such as 60x, 1x or max, found 'fast'"),
        (("run", "--speed", "-1"), "expected a speed such as 60x, 1x or max, found '-1'"),
        (("serve", "risc"), "found 'risc'; did you mean risk?"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(
    words: tuple[str, ...], said: str
) -> None:
    result = invoke(*words)
    assert result.exit_code == 2
    assert said in one_line(result)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("backtest", "--bars", "none.csv", "--strategy", "ema_cross"), "none.csv: expected"),
        (("backtest", "--bars", "none.csv", "--config", "none.yaml"), "none.yaml"),
        (("config", "show", "--config", "none.yaml"), "none.yaml"),
        (("strategies", "--folder", "nowhere"), "expected a folder with Python files"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_1(words: tuple[str, ...], said: str) -> None:
    result = invoke(*words)
    assert result.exit_code == 1
    assert said in one_line(result)


def test_debug_shows_the_traceback() -> None:
    result = invoke("strategies", "--folder", "nowhere", "--debug")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("goalkick strategies: ")


def test_a_misspelt_setting_is_refused_with_the_nearest_key(tmp_path: Path) -> None:
    config = tmp_path / "goalkick.yaml"
    config.write_text("risk:\n  max_position: 3\n", encoding="utf-8")
    line = one_line(invoke("config", "show", "--config", str(config)))
    assert "max_positions" in line
    assert f"{config}:2" in line


def test_version_names_itself() -> None:
    assert invoke("version").stdout.startswith("goalkick ")
    assert set(json.loads(invoke("version", "--json").stdout)) == {"goalkick", "python"}


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        ("--bars a b --out c", "--bars a --bars b --out c"),
        ("--bars a --bars b", "--bars a --bars b"),
        ("--set x=-1 y=2 --json", "--set x=-1 --set y=2 --json"),
        ("--out a b", "--out a b"),
        ("--bars", "--bars"),
        ("--bars=a b", "--bars=a b"),
    ],
)
def test_several_values_after_one_option_are_several_options(typed: str, understood: str) -> None:
    assert spread(typed.split(), {"--bars", "--set"}) == understood.split()
