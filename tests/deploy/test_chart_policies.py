"""What no pod of the chart may do or lack, however it is installed."""

import json
import re

import pytest

from tests.deploy.chart import CASES, Object, containers, pod_specs, rendered

REFERENCE = re.compile(r"^(file:|vault:)")
SECRETIVE = re.compile(r"(password|secret|token|key)$")

pods = pytest.mark.parametrize(
    ("case", "title"), [(case, title) for case in CASES for title in pod_specs(rendered(case))]
)


def spec_of(case: str, title: str) -> Object:
    spec: Object = pod_specs(rendered(case))[title]
    return spec


@pods
def test_meets_the_restricted_standard(case: str, title: str) -> None:
    spec = spec_of(case, title)
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert all("hostPath" not in volume for volume in spec.get("volumes", ()))
    for container in containers(spec):
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert "privileged" not in own


@pods
def test_cannot_write_to_its_image(case: str, title: str) -> None:
    for container in containers(spec_of(case, title)):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


@pods
def test_has_no_token_of_the_api_server(case: str, title: str) -> None:
    spec = spec_of(case, title)
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False


@pods
def test_says_what_it_needs_and_takes_no_more(case: str, title: str) -> None:
    spec = spec_of(case, title)
    for container in containers(spec):
        assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
        assert container["resources"]["limits"].keys() >= {"cpu", "memory"}
    for volume in spec.get("volumes", ()):
        assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": ""}), volume["name"]


@pods
def test_names_its_images_exactly(case: str, title: str) -> None:
    for container in containers(spec_of(case, title)):
        image = container["image"].rpartition("/")[2]
        assert ":" in image
        assert not image.endswith(":latest")


@pods
def test_is_told_no_secret_by_a_variable(case: str, title: str) -> None:
    for container in containers(spec_of(case, title)):
        assert "envFrom" not in container
        for variable in container.get("env", ()):
            assert "secretKeyRef" not in variable.get("valueFrom", {})
            assert not SECRETIVE.search(variable["name"].lower())


@pytest.mark.parametrize("case", CASES)
def test_no_config_map_holds_a_secret(case: str) -> None:
    for found in rendered(case):
        if found["kind"] != "ConfigMap":
            continue
        for text in found["data"].values():
            for key, value in re.findall(r"^\s*([a-z_]+): (\S+)$", text, re.MULTILINE):
                if SECRETIVE.search(key):
                    assert REFERENCE.match(value), f"{found['metadata']['name']}: {key}"


@pytest.mark.parametrize("case", CASES)
def test_renders_no_secret(case: str) -> None:
    assert not [found for found in rendered(case) if found["kind"] == "Secret"]


@pytest.mark.parametrize("case", CASES)
def test_only_execution_mounts_trading_keys(case: str) -> None:
    mounting = [
        title
        for title, spec in pod_specs(rendered(case)).items()
        if "trading-keys" in json.dumps(spec)
    ]
    assert mounting == (["StatefulSet/goalkick-execution"] if case == "secured" else [])


@pytest.mark.parametrize("case", [case for case in CASES if case != "strategies"])
def test_every_pod_is_under_a_policy_that_denies_the_rest(case: str) -> None:
    (deny,) = [
        found
        for found in rendered(case)
        if found["kind"] == "NetworkPolicy" and found["metadata"]["name"] == "goalkick-deny"
    ]
    assert deny["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & deny["spec"].keys()
    selected = deny["spec"]["podSelector"]["matchLabels"].items()
    for found in rendered(case):
        template = found["spec"].get("template") if "spec" in found else None
        labels = (template or found)["metadata"].get("labels", {})
        if template or found["kind"] == "Pod":
            assert selected <= labels.items(), found["metadata"]["name"]


@pytest.mark.parametrize("case", [case for case in CASES if case != "strategies"])
def test_only_ingest_and_execution_reach_the_internet(case: str) -> None:
    reaching = [
        found["metadata"]["name"]
        for found in rendered(case)
        if found["kind"] == "NetworkPolicy" and "0.0.0.0/0" in json.dumps(found["spec"])
    ]
    expected = {
        "production": ["goalkick-ingest"],
        "hybrid-away": ["goalkick-ingest"],
        "secured": ["goalkick-execution", "goalkick-ingest"],
    }
    assert sorted(reaching) == expected.get(case, [])


@pytest.mark.parametrize("case", CASES)
def test_every_copy_that_trades_has_its_own_lasting_name(case: str) -> None:
    for found in rendered(case):
        name = found["metadata"]["name"].removeprefix("goalkick-")
        if name in ("feature", "fused", "risk", "execution") and found["kind"] == "StatefulSet":
            (container,) = found["spec"]["template"]["spec"]["containers"]
            assert container["env"] == [
                {
                    "name": "GOALKICK__RUNTIME__KAFKA__INSTANCE",
                    "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}},
                }
            ]


@pytest.mark.parametrize("case", CASES)
def test_every_workload_can_be_disturbed_one_copy_at_a_time(case: str) -> None:
    workloads = {
        found["metadata"]["name"]: found["spec"]["selector"]
        for found in rendered(case)
        if found["kind"] in ("Deployment", "StatefulSet")
        and "kafka" not in found["metadata"]["name"]
    }
    budgets = {
        found["metadata"]["name"]: found["spec"]["selector"]
        for found in rendered(case)
        if found["kind"] == "PodDisruptionBudget"
    }
    assert budgets == workloads
