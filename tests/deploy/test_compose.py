"""The platform on one machine: every service is in it, and what it is told is understood."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from goalkick.common.config.sections import SECTIONS
from goalkick.common.config.settings import load
from goalkick.common.runtime.service import ServiceSettings
from goalkick.common.topics import SERVICES

FOLDER = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())


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


def test_grafana_shows_the_dashboards_of_the_platform() -> None:
    mounted = COMPOSE["services"]["grafana"]["volumes"][1]
    home = COMPOSE["services"]["grafana"]["environment"][
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"
    ]
    source, target, _ = mounted.split(":")
    assert len(list((FOLDER / source).glob("*.json"))) == 4
    assert (FOLDER / source / home.removeprefix(f"{target}/")).exists()
