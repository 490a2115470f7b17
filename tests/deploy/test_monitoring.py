"""Alerts and dashboards: they name what there is, and an alert comes when it should."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from goalkick.common.events.order import RefusalCode
from goalkick.common.telemetry import names
from goalkick.common.topics import AROUND, SERVICES
from tests.deploy.chart import ROOT
from tests.deploy.promql import labels_of, promtool, unknown_names
from tests.docs.documents import anchors

PLATFORM = ROOT / "deploy" / "k8s" / "platform"
RULES: dict[str, Any] = yaml.safe_load((PLATFORM / "prometheus" / "rules.yaml").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["spec"]["groups"] for rule in group["rules"]}
CASES: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("alerts.yaml").read_text())
BOARDS = {
    path.stem: json.loads(path.read_text())
    for path in sorted((PLATFORM / "grafana" / "dashboards").glob("*.json"))
}
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, board in BOARDS.items()
    for panel in board["panels"]
]

alerts = pytest.mark.parametrize("name", ALERTS)


@alerts
def test_an_alert_names_metrics_and_labels_that_there_are(name: str) -> None:
    assert unknown_names(ALERTS[name]["expr"]) == []


@alerts
def test_an_alert_says_how_bad_it_is_and_where_it_stands_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("critical", "warning")
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert anchor in anchors(ROOT / page)
    named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    assert named <= labels_of(rule["expr"])


@alerts
def test_an_alert_speaks_of_values_that_a_label_can_have(name: str) -> None:
    possible = {
        "service": {*SERVICES, *AROUND},
        "code": {code.value for code in RefusalCode},
        "outcome": {"filled", "cancelled", "expired", "rejected", "unknown"},
        "job": {"goalkick"},
    }
    for label, values in re.findall(r'(\w+)\s*[!=]=?~?\s*"([^"]*)"', ALERTS[name]["expr"]):
        assert set(values.split("|")) <= possible[label]


def test_every_metric_that_operators_are_told_to_watch_has_an_alert() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    table = page.partition("Those to alert on:")[2].partition("\n\nLogs are")[0]
    watched = re.findall(r"^\| `(goalkick_\w+)`", table, re.MULTILINE)
    assert len(watched) > 15
    used = " ".join(rule["expr"] for rule in ALERTS.values())
    assert [metric for metric in watched if metric not in used] == []


def test_a_wrong_name_would_be_seen() -> None:
    assert unknown_names("goalkick_order > 0") == ["metric goalkick_order"]
    assert unknown_names('goalkick_orders_total{colour="red"}') == [
        "label colour of goalkick_orders_total"
    ]
    assert unknown_names("sum by (code) (rate(goalkick_orders_total[5m]))") == ["label code"]
    assert unknown_names("sum by (le) (goalkick_handle_seconds)") == [
        "label le",
        "metric goalkick_handle_seconds",
    ]
    assert unknown_names("up and on (code) goalkick_refusals_total") == ["label code"]
    with pytest.raises(ValueError, match="expected type matrix"):
        unknown_names("rate(goalkick_orders_total)")


def test_every_alert_has_a_case() -> None:
    assert CASES["comes"].keys() == ALERTS.keys()


@pytest.mark.skipif(promtool() is None, reason="there is no promtool")
def test_alerts_come_when_they_should_and_only_then(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(RULES["spec"]))
    tests = [_case(name, case, comes=True) for name, case in CASES["comes"].items()]
    tests += [_case(each["alert"], each, comes=False) for each in CASES["stays_away"]]
    tests += [_case(name, CASES["all_is_well"], comes=False) for name in ALERTS]
    asked = {"rule_files": ["rules.yaml"], "evaluation_interval": "30s", "tests": tests}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(asked))
    done = subprocess.run(
        [str(promtool()), "test", "rules", "tests.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _case(alert: str, case: dict[str, Any], *, comes: bool) -> dict[str, Any]:
    """A test of promtool's: whether an alert fires `at` a time, with these series."""
    firing = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})'
    expected = [{"labels": "{}", "value": case.get("count", 1)}] if comes else []
    return {
        "name": f"{alert} {'comes' if comes else 'stays away'}",
        "interval": "30s",
        "input_series": [
            {"series": text, "values": values} for text, values in case["series"].items()
        ],
        "promql_expr_test": [{"expr": firing, "eval_time": case["at"], "exp_samples": expected}],
    }


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_shows_metrics_and_labels_that_there_are(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        assert unknown_names(target["expr"]) == []
        named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        assert named <= labels_of(target["expr"])


def test_dashboards_are_told_apart_and_panels_do_not_overlap() -> None:
    assert {name: board["uid"] for name, board in BOARDS.items()} == {
        name: f"goalkick-{name}" for name in ("execution", "feeds", "platform", "trading")
    }
    for board in BOARDS.values():
        places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]}
        assert len(places) == len(board["panels"])
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_every_metric_is_shown_or_alerted_on() -> None:
    used = " ".join(rule["expr"] for rule in ALERTS.values()) + json.dumps(BOARDS)
    unused = {metric.name for metric in names.METRICS if metric.name not in used}
    assert unused == {
        names.BUILD_INFO.name,
        names.BATCH_EVENTS.name,
        names.BUDGET_ALONE.name,
        names.BUDGET_UNUSED.name,
        names.SECRETS_LEASE_SECONDS.name,
        names.VAULT_CALLS.name,
    }
