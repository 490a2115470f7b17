"""`goalkick strategies|indicators|services|topics|config|doctor`: complete, and true."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from goalkick.common.config.settings import load
from goalkick.common.topics import SERVICES, TOPICS
from goalkick.embedded.cli import app
from goalkick.embedded.configuration import PlatformSettings
from goalkick.feature.definitions import FAMILIES, parse
from goalkick.strategy.discovery import discover


def said(*words: str, env: dict[str, str] | None = None) -> str:
    result = CliRunner(env=env).invoke(app, words)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def document(*words: str) -> Any:
    return json.loads(said(*words, "--json"))


def test_strategies_are_those_that_can_be_configured() -> None:
    entries = document("strategies")
    assert [entry["name"] for entry in entries] == list(discover())
    cross = next(entry for entry in entries if entry["name"] == "ema_cross")
    fast = cross["parameters"][0]
    assert (fast["name"], fast["default"], fast["low"]) == ("fast", "10", 1.0)
    assert all(entry["about"] for entry in entries)


def test_own_strategies_are_listed_too(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from goalkick.common.strategy import Params, Strategy\n"
        "class NeverParams(Params):\n    pass\n"
        "class Never(Strategy[NeverParams]):\n    'Never trades.'\n",
        encoding="utf-8",
    )
    names = {entry["name"] for entry in document("strategies", "--folder", str(tmp_path))}
    assert "never" in names


def test_indicators_are_named_as_features_are() -> None:
    entries = document("indicators")
    assert [entry["name"] for entry in entries] == [family.name for family in FAMILIES]
    for entry in entries:
        for pattern in entry["features"]:
            assert parse(re.sub(r"<\w+>", "5", pattern)).family.name == entry["name"]


def test_topics_are_the_table() -> None:
    assert {entry["name"] for entry in document("topics")} == {topic.name for topic in TOPICS}
    assert [e["feedback"] for e in document("topics")].count(True) == 1


def test_services_say_what_they_hear_say_and_can_be_told() -> None:
    entries = {entry["name"]: entry for entry in document("services")}
    assert tuple(entries) == SERVICES
    assert "goalkick.signal.target.v1" in entries["risk"]["consumes"]
    fraction = next(p for p in entries["risk"]["parameters"] if p["name"] == "fraction")
    assert (fraction["kind"], fraction["default"]) == ("decimal", "0.1")


@pytest.mark.parametrize("command", ["strategies", "indicators", "services", "topics"])
def test_the_table_for_people_names_everything_that_the_json_names(command: str) -> None:
    table = said(command)
    for entry in document(command):
        assert entry["name"] in table


def test_the_example_configuration_says_what_the_defaults_say(tmp_path: Path) -> None:
    file = tmp_path / "goalkick.yaml"
    file.write_text(said("config", "example"), encoding="utf-8")
    assert load(PlatformSettings, file=file, environ={}).value == PlatformSettings()


def test_the_example_configuration_explains_every_key() -> None:
    text = said("config", "example")
    tree = yaml.safe_load(text)
    lines = text.splitlines()
    for section, keys in tree.items():
        start = lines.index(f"{section}:")
        for key in keys:
            place = next(
                i for i, line in enumerate(lines) if i > start and line.startswith(f"  {key}:")
            )
            assert lines[place - 1].lstrip().startswith("#"), key


def test_config_show_names_the_source_of_each_value(tmp_path: Path) -> None:
    file = tmp_path / "goalkick.yaml"
    file.write_text("risk: {max_positions: 3}\n", encoding="utf-8")
    shown = said(
        "config", "show", "--config", str(file), "--json", env={"GOALKICK__RISK__FRACTION": "0.2"}
    )
    rows = {row["key"]: (row["value"], row["source"]) for row in json.loads(shown)}
    assert rows["risk.max_positions"] == ("3", f"file {file}")
    assert rows["risk.fraction"] == ("0.2", "env GOALKICK__RISK__FRACTION")
    assert rows["risk.allow_short"][1] == "default"


def test_config_features_is_a_section_that_serves_what_strategies_need(tmp_path: Path) -> None:
    file = tmp_path / "goalkick.yaml"
    file.write_text(
        "feature: {features: [atr_14]}\n"
        "strategy: {strategies: {a: {strategy: ema_cross, params: {fast: 3, slow: 9}}}}\n",
        encoding="utf-8",
    )
    names = ["atr_14", "ema_3", "ema_9"]
    assert document("config", "features", "--config", str(file)) == names
    section = yaml.safe_load(said("config", "features", "--config", str(file)))
    assert section == {"feature": {"features": names}}


def test_doctor_finds_what_paper_trading_needs(tmp_path: Path) -> None:
    findings = {f["name"]: f for f in document("doctor", "--data-dir", str(tmp_path))}
    assert all(f["state"] == "ok" for f in findings.values() if f["needed"])
    assert findings["data directory"]["detail"] == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_doctor_fails_where_paper_trading_cannot_work(tmp_path: Path) -> None:
    file = tmp_path / "goalkick.yaml"
    file.write_text("risk: {fraction: -1}\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["doctor", "--config", str(file), "--json"])
    assert result.exit_code == 1
    assert "configuration" in result.stderr
    findings = {f["name"]: f for f in json.loads(result.stdout)}
    assert findings["configuration"]["state"] == "broken"
    assert "fraction" in findings["configuration"]["detail"]


@pytest.mark.parametrize(
    ("servers", "state"), [("", "missing"), ("nonsense", "broken"), ("127.0.0.1:1", "broken")]
)
def test_doctor_says_whether_the_broker_answers(servers: str, state: str) -> None:
    result = CliRunner(env={"KAFKA_BOOTSTRAP_SERVERS": servers}).invoke(app, ["doctor", "--json"])
    assert result.exit_code == 0
    findings = {f["name"]: f for f in json.loads(result.stdout)}
    assert findings["KAFKA_BOOTSTRAP_SERVERS"]["state"] == state
