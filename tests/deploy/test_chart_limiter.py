"""Where the limiter runs, feeds and orders really ask it, by what the chart tells them."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from goalkick.common.adapters.budget.http import HttpBudget
from goalkick.common.adapters.budget.settings import open_budget
from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.config.sections import SECTIONS
from goalkick.common.config.settings import load
from goalkick.common.runtime.service import ServiceSettings
from goalkick.execution.service import ExecutionServiceSettings
from goalkick.ingest.service import IngestServiceSettings
from goalkick.limiter.service import LimiterServiceSettings, limiter
from tests.deploy.chart import PRODUCTION, Object, RefusedError, config_of, named, render

CALLERS: dict[str, type[ServiceSettings]] = {
    "ingest": IngestServiceSettings,
    "execution": ExecutionServiceSettings,
}
LIMITS = "config.limiter.limits.binance.weight.amount=1234"

callers = pytest.mark.parametrize("caller", CALLERS)


def production(*values: str) -> list[Object]:
    return render("-f", str(PRODUCTION), *(word for value in values for word in ("--set", value)))


def settings(objects: list[Object], service: str, tmp_path: Path) -> Any:
    """What a service makes of the file that the chart gives it."""
    file = tmp_path / f"{service}.yaml"
    file.write_text(yaml.safe_dump(config_of(objects, service)))
    model = CALLERS.get(service, LimiterServiceSettings)
    return load(model, file=file, environ={}, other_sections=SECTIONS).value


@callers
async def test_a_caller_asks_the_limiter_and_gets_leave(caller: str, tmp_path: Path) -> None:
    # A limiter that knows nothing of the time before waits for one window.
    objects = production("config.limiter.limits.binance.weight.window=100ms")
    served = settings(objects, "limiter", tmp_path).limiter
    own = served.model_copy(update={"host": "127.0.0.1", "port": 0, "state": tmp_path / "l.sqlite"})
    registry = CollectorRegistry()
    async with limiter(own, registry) as url:
        told = settings(objects, caller, tmp_path).budget.model_copy(update={"limiter": url})
        budget = open_budget(told, SystemClock())
        assert isinstance(budget, HttpBudget)
        with await budget.acquire("binance", "klines", priority="cancel", timeout_s=10):
            pass
        await budget.close()
    labels = {"service": "limiter", "venue": "binance", "priority": "cancel"}
    assert registry.get_sample_value("goalkick_budget_calls_total", labels)


@callers
def test_a_caller_is_told_where_the_limiter_listens_and_may_go_there(
    caller: str, tmp_path: Path
) -> None:
    objects = production()
    host, _, port = settings(objects, caller, tmp_path).budget.limiter.rpartition(":")
    service = named(objects, "Service", "goalkick-limiter")
    assert host == f"http://{service['metadata']['name']}.goalkick.svc"
    assert int(port) in [one["port"] for one in service["spec"]["ports"]]
    assert int(port) == settings(objects, "limiter", tmp_path).limiter.port
    going = named(objects, "NetworkPolicy", f"goalkick-{caller}")["spec"]["egress"]
    coming = named(objects, "NetworkPolicy", "goalkick-limiter")["spec"]["ingress"]
    open_port = {"port": int(port), "protocol": "TCP"}
    (out,) = [rule for rule in going if open_port in rule["ports"]]
    assert out["to"][0]["podSelector"]["matchLabels"] == service["spec"]["selector"]
    (into,) = [rule for rule in coming if open_port in rule["ports"]]
    components = {
        peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in into["from"]
    }
    assert components == set(CALLERS)


@callers
def test_a_caller_goes_by_the_limits_of_the_limiter(caller: str, tmp_path: Path) -> None:
    objects = production(LIMITS)
    assert (
        settings(objects, caller, tmp_path).budget.limits
        == settings(objects, "limiter", tmp_path).limiter.limits
        != {}
    )


@callers
def test_shares_of_those_that_are_cut_off_add_up_to_all_copies(caller: str, tmp_path: Path) -> None:
    values = ("services.ingest.replicas=4", "services.execution.replicas=2")
    # One copy more of each while a new version comes.
    assert settings(production(*values), caller, tmp_path).budget.copies == 8
    said = production("config.budget.copies=20", "config.budget.address=here")
    budget = settings(said, caller, tmp_path).budget
    assert (budget.copies, budget.address) == (20, "here")


@callers
def test_without_the_limiter_a_caller_keeps_the_budget_that_is_configured(
    caller: str, tmp_path: Path
) -> None:
    off = production("services.limiter.enabled=false", "config.budget.limiter=http://elsewhere:1")
    assert settings(off, caller, tmp_path).budget.limiter == "http://elsewhere:1"


@pytest.mark.parametrize(
    "value", ["config.budget.limiter=http://x:1", "config.budget.limits.binance.weight.amount=1"]
)
def test_what_would_contradict_the_limiter_is_refused(value: str) -> None:
    with pytest.raises(RefusedError, match="expected none where services"):
        production(value)


def test_the_limiter_may_ask_for_the_name_of_vault() -> None:
    egress = named(production(), "NetworkPolicy", "goalkick-limiter")["spec"]["egress"]
    assert [port["port"] for rule in egress for port in rule["ports"]] == [8200, 53, 53]
