"""The guide to writing a strategy, done as a reader would do it."""

import importlib.util
import json
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner, Result

from goalkick.common.config.settings import load
from goalkick.embedded.cli import app
from goalkick.embedded.configuration import PlatformSettings
from goalkick.strategy.discovery import ENTRY_POINT_GROUP, discover
from tests.docs.documents import block, blocks, command_lines

GUIDE = "docs/writing-a-strategy.md"
FILES = tuple(one.title for one in blocks() if one.document == GUIDE and one.title)


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with every file of the guide, in which the reader sits."""
    for title in FILES:
        path = tmp_path / title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block(GUIDE, title).text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.stderr
    return result


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"guide_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_strategy_is_found_with_its_parameters(reader: Path) -> None:
    listed = json.loads(run("strategies", "--folder", "my_strategies", "--json").stdout)
    (mine,) = (entry for entry in listed if entry["name"] == "dip_in_trend")
    assert [p["name"] for p in mine["parameters"]] == ["trend", "dip", "enter_below", "hold"]
    assert (
        mine["about"]
        == "Long after a dip, while the close is above its average and the time is not up."
    )


def test_every_backtest_of_the_guide_trades(reader: Path) -> None:
    imported(reader / "make_candles.py")
    lines = [line.words[1:] for line in command_lines() if line.place.startswith(GUIDE)]
    backtests = [words for words in lines if words[:1] == ["backtest"]]
    assert len(backtests) >= 2
    for words in backtests:
        summary = json.loads(run(*words, "--json").stdout)
        assert summary["bars"] == 5_000
        assert summary["round_trips"] > 5
    assert (reader / "report" / "report.html").is_file()


def test_the_tests_of_the_guide_pass(reader: Path) -> None:
    module = imported(reader / "test_dip_in_trend.py")
    cases = [value for name, value in vars(module).items() if name.startswith("test_")]
    assert len(cases) == 3
    for case in cases:
        case()


def test_the_configuration_of_the_guide_is_valid(reader: Path) -> None:
    settings = load(PlatformSettings, file=reader / "goalkick.yaml", environ={}).value
    assert list(settings.strategy.strategies) == ["patient", "eager"]


def test_the_package_of_the_guide_is_found_by_entry_point(
    reader: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tomllib.loads((reader / "pyproject.toml").read_text())["project"]
    points = project["entry-points"][ENTRY_POINT_GROUP]
    told = "\n".join(f"{name} = {target}" for name, target in points.items())
    metadata = reader / "my_strategies-1.0.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: my-strategies\nVersion: 1.0.0\n"
    )
    (metadata / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\n{told}\n")
    monkeypatch.syspath_prepend(reader)
    try:
        assert "dip_in_trend" in discover()
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "my_strategies"]:
            del sys.modules[name]


def test_the_guide_leaves_no_file_out() -> None:
    assert set(FILES) == {
        "my_strategies/dip_in_trend.py",
        "goalkick.yaml",
        "make_candles.py",
        "test_dip_in_trend.py",
        "pyproject.toml",
    }
