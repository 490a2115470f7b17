"""What values change, and which are refused."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from goalkick.common.adapters.log.access import access_table, user_name
from goalkick.common.config.sections import SECTIONS
from goalkick.common.config.settings import load
from goalkick.common.config.types import Settings
from goalkick.common.runtime.service import ServiceSettings
from tests.deploy.chart import (
    CASES,
    CHART,
    RefusedError,
    config_of,
    named,
    pod_specs,
    render,
    rendered,
)

FUSED = "services.fused.enabled=true"
LIVE = ("config.trading.mode=live", "config.trading.account=main")


def with_values(*values: str) -> list[dict[str, Any]]:
    return render(*(word for value in values for word in ("--set", value)))


def component_of(found: dict[str, Any]) -> str:
    return str(found["metadata"]["labels"]["app.kubernetes.io/component"])


def settings_of(service: str) -> type[Settings]:
    """The sections that a service reads."""
    module = importlib.import_module(f"goalkick.{service}.service")
    return next(
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Settings)
        and value not in (Settings, ServiceSettings)
        and value.__module__ == module.__name__
    )


@pytest.mark.parametrize(
    ("case", "name", "service"),
    [
        (
            case,
            found["metadata"]["name"],
            component_of(found),
        )
        for case in CASES
        for found in rendered(case)
        if found["kind"] == "ConfigMap" and "goalkick.yaml" in found["data"]
    ],
)
def test_each_service_understands_what_it_is_told(
    case: str, name: str, service: str, tmp_path: Path
) -> None:
    file = tmp_path / "goalkick.yaml"
    file.write_text(named(rendered(case), "ConfigMap", name)["data"]["goalkick.yaml"])
    assert load(settings_of(service), file=file, environ={}, other_sections=SECTIONS)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("config.risk.max_drawdwn=0.1", "max_drawdwn"),
        ("services.fature.replicas=2", "fature"),
        ("services.feature.replica=2", "replica"),
        ("strategies.x.strtegy=ema_cross", "strtegy"),
        ("strategies.x.params.fast=3", "strategy"),
        ("strategies.X_y.strategy=ema_cross", "X_y"),
        ("strategies.cross.stage=lve", "stage"),
        ("strategies.cross.limits.max_exposur=1", "max_exposur"),
        ("image.tag=latest", "tag"),
        ("services.risk.digest=sha256:12", "digest"),
        ("config.runtime.kafka.instance=pod", "instance"),
        ("config.runtime.http.port=80", "http"),
        ("config.strategy.deployment=x", "deployment"),
        ("topics.replication=3", "expected 1 with the evaluation broker"),
        ("kafka.security.protocol=sasl_ssl", "expected plaintext with the evaluation broker"),
        ("kafka.security.authority.secret=ca", "expected none with protocol plaintext"),
        ("kafka.security.accessLists=true", "expected a protocol that says who is who"),
        ("services.ingest.persistence.size=1Gi", "expected kind StatefulSet"),
        (",".join(LIVE), "expected tradingKeys.existingSecret"),
        (f"{FUSED},services.feature.enabled=false", "services.feature.enabled: expected true"),
        (f"{FUSED},strategies.cross.pods.replicas=2", "strategies.cross.pods: expected none"),
    ],
)
def test_a_wrong_value_is_refused_with_a_reason(value: str, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        with_values(value)


def test_every_strategy_has_pods_and_signals_of_its_own_and_risk_waits_for_all() -> None:
    objects = rendered("strategies")
    names = ["cross", "slow-cross", "watched"]
    for name in names:
        assert named(objects, "Deployment", f"goalkick-strategy-{name}")
        own = config_of(objects, f"strategy-{name}")["strategy"]
        assert own["deployment"] == name
        assert list(own["strategies"]) == [name]
    risk = config_of(objects, "risk")
    assert risk["runtime"]["deployments"] == names
    assert {name: limits["stage"] for name, limits in risk["risk"]["strategies"].items()} == {
        "cross": "live",
        "slow-cross": "canary",
        "watched": "shadow",
    }
    assert risk["risk"]["strategies"]["slow-cross"]["max_exposure"] == 0.5


def test_pods_of_one_strategy_differ_as_they_are_told_to() -> None:
    objects = rendered("strategies")
    cross = named(objects, "Deployment", "goalkick-strategy-cross")["spec"]
    slow = named(objects, "Deployment", "goalkick-strategy-slow-cross")["spec"]
    assert cross["replicas"] == 2
    assert "replicas" not in slow
    (container,) = slow["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "256Mi"}


def test_topics_are_made_for_every_strategy() -> None:
    objects = rendered("strategies")
    (job,) = [o for o in objects if o["metadata"]["name"].startswith("goalkick-topics-")]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    variables = {one["name"]: one.get("value") for one in container["env"]}
    assert variables["DEPLOYMENTS"] == "cross slow-cross watched"


def test_fused_one_workload_stands_for_three_and_holds_their_sections_and_all_strategies() -> None:
    objects = rendered("fused")
    kinds = ("Deployment", "StatefulSet")
    workloads = {o["metadata"]["name"] for o in objects if o["kind"] in kinds}
    assert workloads == {f"goalkick-{name}" for name in ("ingest", "fused", "risk", "execution")}
    own = config_of(objects, "fused")
    assert own.keys() == {"runtime", "feature", "strategy", "fused"}
    assert own["strategy"].keys() == {"strategies"}
    assert own["strategy"]["strategies"]["foretold"] == {"strategy": "forecast_threshold"}
    assert list(own["strategy"]["strategies"]) == ["cross", "foretold"]
    risk = config_of(objects, "risk")
    assert risk["runtime"]["deployments"] == [""]
    assert risk["risk"]["strategies"]["cross"] == {"max_exposure": 0.5, "stage": "paper"}


def test_fused_the_workload_is_guarded_as_those_that_it_stands_for() -> None:
    objects = rendered("fused")
    names = {(o["kind"], o["metadata"]["name"]) for o in objects}
    for kind in ("ServiceAccount", "NetworkPolicy", "PodDisruptionBudget", "Service"):
        assert (kind, "goalkick-fused") in names
    assert ("HorizontalPodAutoscaler", "goalkick-fused") in names
    whole = {(o["kind"], o["metadata"]["name"]): o for o in rendered("secured")}
    own = pod_specs(objects)["StatefulSet/goalkick-fused"]["containers"][0]
    part = pod_specs(tuple(whole.values()))["StatefulSet/goalkick-feature"]["containers"][0]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert own[probe] == part[probe]
    user = config_of(objects, "fused")["runtime"]["kafka"]["username"]
    assert user in {user_name(who, None) for who in access_table(fused=True)}


def test_fused_no_topics_are_made_for_strategies_by_name() -> None:
    (container,) = named(rendered("fused"), "Job", "goalkick-topics")["spec"]["template"]["spec"][
        "containers"
    ]
    variables = {one["name"]: one.get("value") for one in container["env"]}
    assert variables["DEPLOYMENTS"] == ""


def test_fused_its_settings_are_checked_before_an_upgrade() -> None:
    job = named(rendered("fused"), "Job", "goalkick-settings")
    names = [one["name"] for one in job["spec"]["template"]["spec"]["containers"]]
    assert names == ["execution", "fused", "ingest", "risk"]


@pytest.mark.parametrize("forecasts", [True, False])
def test_fused_without_prediction_it_waits_for_no_forecasts(forecasts: bool) -> None:
    said = f"services.prediction.enabled={str(forecasts).lower()}"
    objects = with_values("services.fused.enabled=true", said)
    assert config_of(objects, "fused")["runtime"]["forecasts"] is forecasts


def test_a_service_that_is_off_leaves_nothing() -> None:
    objects = with_values("services.prediction.enabled=false")
    assert not [o for o in objects if o["metadata"]["name"] == "goalkick-prediction"]
    assert config_of(objects, "strategy-cross")["runtime"]["forecasts"] is False


@pytest.mark.parametrize("enabled", [True, False])
def test_the_autoscaler_and_a_number_of_copies_exclude_each_other(enabled: bool) -> None:
    objects = with_values(f"services.feature.autoscaling.enabled={str(enabled).lower()}")
    scalers = [o["metadata"]["name"] for o in objects if o["kind"] == "HorizontalPodAutoscaler"]
    feature = named(objects, "StatefulSet", "goalkick-feature")["spec"]
    assert ("goalkick-feature" in scalers) is enabled
    assert ("replicas" in feature) is not enabled


def test_keda_looks_at_the_lag_of_each_group() -> None:
    objects = rendered("autoscaled")
    assert not [o for o in objects if o["kind"] == "HorizontalPodAutoscaler"]
    scaled = {o["metadata"]["name"]: o["spec"] for o in objects if o["kind"] == "ScaledObject"}
    (trigger,) = scaled["goalkick-strategy-cross"]["triggers"]
    assert trigger["metadata"]["consumerGroup"] == "goalkick.strategy-cross"
    assert trigger["metadata"]["lagThreshold"] == "200"


def test_brokers_of_ones_own_replace_the_evaluation_broker() -> None:
    objects = with_values("kafka.bootstrapServers=kafka:9092")
    assert not [o for o in objects if o["metadata"]["name"] == "goalkick-kafka"]
    assert config_of(objects, "risk")["runtime"]["kafka"]["bootstrap_servers"] == "kafka:9092"
    job = named(objects, "Job", "goalkick-topics")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"


def test_each_workload_is_somebody_else_to_kafka_and_mounts_its_own_secret() -> None:
    objects = rendered("secured")
    for title in ("risk", "execution", "strategy-cross"):
        kafka = config_of(objects, title)["runtime"]["kafka"]
        assert kafka["username"] == f"goalkick-{title}"
        assert kafka["password"] == "file:/etc/goalkick/kafka-user/password"
        kind = "Deployment" if title.startswith("strategy") else "StatefulSet"
        volumes = {v["name"]: v for v in pod_specs(objects)[f"{kind}/goalkick-{title}"]["volumes"]}
        assert volumes["kafka-user"]["secret"]["secretName"] == f"goalkick-{title}"


def test_access_lists_are_made_before_the_topics_by_a_user_of_their_own() -> None:
    objects = rendered("fused")
    access, topics = (named(objects, "Job", f"goalkick-{name}") for name in ("access", "topics"))
    weights = [int(j["metadata"]["annotations"]["helm.sh/hook-weight"]) for j in (access, topics)]
    assert weights[0] < weights[1]
    pod = access["spec"]["template"]["spec"]
    volumes = {v["name"]: v for v in pod["volumes"]}
    assert volumes["kafka-user"]["secret"]["secretName"] == user_name("access", None)
    assert {"name": "FUSED", "value": "true"} in pod["containers"][0]["env"]


def test_nobody_makes_access_lists_unless_it_is_wanted() -> None:
    objects = rendered("secured")
    assert "goalkick-access" not in {o["metadata"]["name"] for o in objects}


def test_vault_gets_a_token_that_is_for_it_alone() -> None:
    spec = pod_specs(rendered("production"))["StatefulSet/goalkick-risk"]
    identity = next(v for v in spec["volumes"] if v["name"] == "identity")
    (source,) = identity["projected"]["sources"]
    assert source["serviceAccountToken"]["path"] == "token"
    vault = config_of(rendered("production"), "risk")["vault"]
    assert vault["identity_file"] == "/var/run/secrets/goalkick/token"


def test_a_digest_wins_over_the_tag() -> None:
    spec = pod_specs(rendered("secured"))["StatefulSet/goalkick-risk"]
    assert (
        spec["containers"][0]["image"]
        == f"registry.example/trading/goalkick-risk@sha256:{'0' * 64}"
    )


def test_pods_are_replaced_when_their_settings_change_and_only_then() -> None:
    def checksums(*values: str) -> dict[str, str]:
        return {
            o["metadata"]["name"]: o["spec"]["template"]["metadata"]["annotations"][
                "checksum/config"
            ]
            for o in with_values(*values)
            if o["kind"] in ("Deployment", "StatefulSet")
        }

    before, after = checksums(), checksums("config.risk.max_positions=3")
    assert [name for name in before if before[name] != after[name]] == ["goalkick-risk"]


@pytest.mark.parametrize("file", sorted([CHART / "values.yaml", *CHART.glob("values-*.yaml")]))
def test_values_files_are_read_as_they_are_written(file: Path) -> None:
    assert isinstance(yaml.safe_load(file.read_text()), dict)
