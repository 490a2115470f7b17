"""A platform in two releases is that of one, cut in two; neither half holds the other's secrets."""

import json
import re

import pytest

from tests.deploy.chart import (
    CASES,
    Object,
    RefusedError,
    config_of,
    containers,
    pod_specs,
    render,
)

HALVES = ("hybrid-home", "hybrid-away")
PLACES = {"hybrid-home": "vault-and-keys", "hybrid-away": "cloud"}
"""Half -> the namespace that it is in."""

MODES: dict[str, tuple[str, ...]] = {
    "paper": (),
    "live": ("config.trading.mode=live", "config.trading.account=main"),
    "fused": ("services.fused.enabled=true",),
}
"""What both are told besides."""

AUTHORITY = "kafka-cluster-ca-cert"
"""The brokers' certificate of authority: not a secret, though it comes in one."""

CHECKS = ("Job", "goalkick-settings")
"""The job that looks at new settings has a container for each workload of its release."""

both = pytest.mark.parametrize("half", HALVES)
each_mode = pytest.mark.parametrize("mode", MODES)


def half_of(half: str, mode: str = "paper", *values: str) -> list[Object]:
    """One of the two releases, in its own namespace."""
    if mode == "fused" and half == "hybrid-away":
        values = (*values, "runs={ingest,fused,risk}")
    return _render(half, mode, *values)


def whole_of(half: str, mode: str = "paper") -> list[Object]:
    """One release of all services, with what a half says besides what it runs."""
    values = ["runs=null", "topics.create=true"]
    if (half, mode) == ("hybrid-away", "live"):
        # It is refused without a key, where execution runs.
        values.append("tradingKeys.existingSecret=trading-keys")
    return _render(half, mode, *values)


def _render(half: str, mode: str, *values: str) -> list[Object]:
    words = ["--namespace", PLACES[half]]
    words += [word for file in CASES[half] for word in ("-f", str(file))]
    words += [word for value in (*MODES[mode], *values) for word in ("--set", value)]
    return render(*words)


def by_name(objects: list[Object]) -> dict[tuple[str, str], Object]:
    return {(found["kind"], found["metadata"]["name"]): found for found in objects}


def secrets_of(objects: list[Object]) -> set[str]:
    """Everything secret that is named: Secrets that are mounted, and references to Vault."""
    text = json.dumps(objects)
    mounted = set(re.findall(r'"secretName": "([^"]+)"', text))
    return mounted | set(re.findall(r"vault:[\w/#-]+", text))


@each_mode
def test_both_together_make_the_objects_of_one_whole_release(mode: str) -> None:
    home, away = (set(by_name(half_of(half, mode))) for half in HALVES)
    whole = set(by_name(whole_of("hybrid-away", mode)))
    assert home | away == whole
    # What is about all pods of a release is there for each release.
    shared = {"goalkick-deny", "goalkick-kafka-clients"}
    assert home & away == {("NetworkPolicy", name) for name in shared}


@both
@each_mode
def test_an_object_of_a_half_is_that_of_the_whole(half: str, mode: str) -> None:
    """Names, users at the brokers, images, settings, policies: to the letter."""
    whole = by_name(whole_of(half, mode))
    for title, found in by_name(half_of(half, mode)).items():
        if title != CHECKS:
            assert found == whole[title], title


@each_mode
def test_every_workload_has_the_sections_that_it_has_in_the_whole(mode: str) -> None:
    """But for Vault, which is at home alone, and what may be asked there."""
    whole = whole_of("hybrid-away", mode)
    for half in HALVES:
        objects = half_of(half, mode)
        for found in objects:
            if found["kind"] == "ConfigMap" and "goalkick.yaml" in found["data"]:
                title = found["metadata"]["name"].removeprefix("goalkick-")
                own, said = config_of(objects, title), config_of(whole, title)
                at_home = half == "hybrid-home"
                assert ("vault" in own) is at_home
                assert own.keys() - {"vault"} == said.keys()
                assert own["runtime"] == said["runtime"]


@each_mode
def test_the_settings_of_each_half_are_checked_by_each_half(mode: str) -> None:
    job = by_name(half_of("hybrid-away", mode))[CHECKS]
    checked = {one["name"] for one in containers(job["spec"]["template"]["spec"])}
    whole = by_name(whole_of("hybrid-away", mode))[CHECKS]
    every = {one["name"] for one in containers(whole["spec"]["template"]["spec"])}
    assert every - checked == {"execution"}
    home = by_name(half_of("hybrid-home", mode))
    assert CHECKS not in home, "with Vault services see for themselves"


@each_mode
def test_neither_half_names_a_secret_of_the_other(mode: str) -> None:
    home, away = (secrets_of(half_of(half, mode)) for half in HALVES)
    assert home & away == {AUTHORITY}
    assert home == {
        AUTHORITY,
        "goalkick-execution",
        "vault-authority",
        "vault:venues/trading/binance/main#key",
        "vault:venues/trading/binance/main#secret",
    }
    assert not any(name.startswith(("vault", "goalkick-execution")) for name in away)
    assert {"goalkick-risk", "goalkick-ingest", "goalkick-topics"} <= away


def test_a_trading_key_in_a_secret_is_mounted_at_home_alone() -> None:
    values = "tradingKeys.existingSecret=trading-keys"
    mounting = {
        title
        for half in HALVES
        for title, spec in pod_specs(half_of(half, "live", values)).items()
        if "trading-keys" in json.dumps(spec)
    }
    assert mounting == {"StatefulSet/goalkick-execution"}


def test_only_the_half_that_runs_risk_makes_topics_and_is_tested() -> None:
    for half in HALVES:
        titles = by_name(half_of(half))
        for title in (("Job", "goalkick-topics"), ("Pod", "goalkick-test-decision")):
            assert (title in titles) is (half == "hybrid-away")


def test_nothing_may_call_in_at_home_but_who_reads_metrics() -> None:
    callers = [
        rule
        for policy in half_of("hybrid-home", "live")
        if policy["kind"] == "NetworkPolicy"
        for rule in policy["spec"].get("ingress", ())
    ]
    (caller,) = callers
    (namespace,) = caller["from"]
    assert "monitoring" in json.dumps(namespace)
    assert caller["ports"] == [{"port": 8080, "protocol": "TCP"}]


def test_at_home_execution_reaches_brokers_venue_vault_and_names_and_nothing_else() -> None:
    objects = half_of("hybrid-home", "live")
    reached = {
        port["port"]
        for policy in objects
        if policy["kind"] == "NetworkPolicy"
        for rule in policy["spec"].get("egress", ())
        for port in rule["ports"]
    }
    assert reached == {53, 9094, 443, 8200}


@both
def test_both_speak_to_the_same_brokers_over_tls_each_workload_as_itself(half: str) -> None:
    objects = half_of(half)
    for title, spec in pod_specs(objects).items():
        name = title.partition("/")[2].removeprefix("goalkick-")
        if name in ("settings", "test-decision", "topics"):
            continue
        kafka = config_of(objects, name)["runtime"]["kafka"]
        assert kafka["bootstrap_servers"] == "kafka.example.com:9094"
        assert kafka["security_protocol"] == "sasl_ssl"
        assert kafka["username"] == f"goalkick-{name}"
        mounted = {v["secret"]["secretName"] for v in spec["volumes"] if "secret" in v}
        assert {f"goalkick-{name}", AUTHORITY} <= mounted


def test_what_the_platform_has_does_not_depend_on_what_a_release_runs() -> None:
    """Risk waits for strategies and execution for nobody's forecasts, wherever those run."""
    away = half_of("hybrid-away", "paper", "services.prediction.enabled=true")
    assert config_of(away, "risk")["runtime"]["deployments"] == ["cross"]
    home = half_of("hybrid-home")
    assert config_of(home, "execution")["runtime"]["forecasts"] is True
    alone = half_of("hybrid-away", "paper", "runs={risk}")
    assert config_of(alone, "risk")["runtime"]["deployments"] == ["cross"]
    spec = pod_specs(alone)["Job/goalkick-topics"]
    assert {"name": "DEPLOYMENTS", "value": "cross"} in containers(spec)[0]["env"]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (("runs={fature}",), "runs"),
        (("runs={execution}",), "expected kafka.bootstrapServers"),
        (("runs={limiter}", "kafka.bootstrapServers=k:1"), "expected services of this platform"),
        (("runs={execution}", "kafka.bootstrapServers=k:1"), "topics.create: expected false"),
        (
            ("runs={feature}", "services.fused.enabled=true", "kafka.bootstrapServers=k:1"),
            "expected services of this platform .execution, fused, ingest, risk., found feature",
        ),
    ],
)
def test_a_part_that_cannot_be_one_is_refused(values: tuple[str, ...], reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        render(*(word for value in values for word in ("--set", value)))


def test_live_trading_asks_for_a_key_where_execution_runs_and_nowhere_else() -> None:
    assert half_of("hybrid-away", "live")
    with pytest.raises(RefusedError, match=r"expected tradingKeys\.existingSecret"):
        half_of("hybrid-home", "live", "config.execution.venue.key=null")
