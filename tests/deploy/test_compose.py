"""The platform on one machine: every service is in it, and what it is told is understood."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from goalkick.common.config.sections import SECTIONS
from goalkick.common.config.settings import load
from goalkick.common.runtime.service import ServiceSettings
from goalkick.common.telemetry import names
from goalkick.common.topics import SERVICES

FOLDER = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
DASHBOARD: dict[str, Any] = json.loads(
    (FOLDER / "compose" / "grafana" / "dashboards" / "platform.json").read_text()
)
METRICS = {each.name: each for each in vars(names).values() if isinstance(each, names.Metric)}


def test_every_service_of_the_flow_runs() -> None:
    assert set(SERVICES) <= COMPOSE["services"].keys()
    (scraped,) = yaml.safe_load((FOLDER / "compose" / "prometheus.yaml").read_text())[
        "scrape_configs"
    ]
    assert scraped["static_configs"][0]["targets"] == [f"{name}:8080" for name in SERVICES]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_understands_the_common_file(name: str) -> None:
    module = importlib.import_module(f"goalkick.{name}.service")
    settings = next(
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, ServiceSettings)
        and value is not ServiceSettings
    )
    loaded = load(
        settings,
        file=FOLDER / "compose" / "goalkick.yaml",
        environ={},
        other_sections=SECTIONS,
    )
    assert loaded.value.runtime.http.port == 8080


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_container_names_its_version_and_listens_on_this_machine_only(name: str) -> None:
    container = COMPOSE["services"][name]
    assert not container["image"].endswith(("latest", ":"))
    assert ":" in container["image"]
    assert all(port.startswith("127.0.0.1:") for port in container.get("ports", ()))


@pytest.mark.parametrize("name", [*SERVICES, "topics"])
def test_our_containers_have_no_rights(name: str) -> None:
    container = COMPOSE["services"][name]
    assert container["read_only"]
    assert container["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_what_a_container_mounts_is_there(name: str) -> None:
    for volume in COMPOSE["services"][name].get("volumes", ()):
        assert (FOLDER / volume.partition(":")[0]).exists()


@pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=lambda panel: panel["title"])
def test_a_panel_shows_metrics_and_labels_that_there_are(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        used = re.findall(r"goalkick_\w+", target["expr"])
        known = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}
        assert known <= METRICS.keys()
        labels = {"instance", "le", names.SERVICE}
        labels |= {label for name in known for label in METRICS[name].labels}
        by = re.findall(r"by \(([^)]*)\)", target["expr"])
        assert {label.strip() for group in by for label in group.split(",")} <= labels
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels
