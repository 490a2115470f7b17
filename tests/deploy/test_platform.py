"""The parts of the platform beside the chart, as kustomize builds them."""

import json
from pathlib import Path

import pytest

from tests.deploy.chart import (
    ROOT,
    HelmMissingError,
    Object,
    helm_program,
    kubectl_program,
    kustomized,
    named,
    render,
    rendered,
)

pytestmark = pytest.mark.skipif(kubectl_program() is None, reason="there is no kubectl")

FOLDER = ROOT / "deploy" / "k8s"
KUSTOMIZATIONS = [
    str(file.parent.relative_to(FOLDER)) for file in sorted(FOLDER.rglob("kustomization.yaml"))
]
NAMESPACE = {
    "kafka": "kafka",
    "prometheus": "monitoring",
    "grafana": "monitoring",
    "elastic": "logging",
}


def _has_helm() -> bool:
    try:
        helm_program()
    except HelmMissingError:
        return False
    return True


@pytest.mark.parametrize("folder", KUSTOMIZATIONS)
def test_builds_and_names_each_object_once(folder: str) -> None:
    objects = kustomized(folder)
    names = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects]
    assert names
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("part", NAMESPACE)
def test_a_part_stays_in_its_namespace(part: str) -> None:
    for found in kustomized(f"platform/{part}"):
        if found["kind"] == "Namespace":
            assert found["metadata"]["name"] == NAMESPACE[part]
        else:
            assert found["metadata"]["namespace"] == NAMESPACE[part]


def test_each_dashboard_is_a_config_map_that_the_sidecar_finds() -> None:
    shown: dict[str, str] = {}
    for found in kustomized("platform/grafana"):
        assert found["metadata"]["labels"] == {"grafana_dashboard": "1"}
        shown |= found["data"]
    files = (FOLDER / "platform" / "grafana" / "dashboards").glob("*.json")
    assert shown == {file.name: file.read_text() for file in files}


def test_filebeat_mounts_the_template_under_the_name_that_it_has() -> None:
    objects = kustomized("platform/elastic")
    pod = named(objects, "Beat", "goalkick")["spec"]["daemonSet"]["podTemplate"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounted = named(objects, "ConfigMap", volumes["index-template"]["configMap"]["name"])
    assert json.loads(mounted["data"]["index-template.json"])["data_stream"] == {}


def test_the_parts_of_elastic_are_of_one_version_and_one_cluster() -> None:
    objects = {o["kind"]: o for o in kustomized("platform/elastic") if "spec" in o}
    versions = {o["spec"]["version"] for o in objects.values()}
    assert len(versions) == 1
    cluster = objects["Elasticsearch"]["metadata"]["name"]
    for kind in ("Kibana", "Beat"):
        assert objects[kind]["spec"]["elasticsearchRef"] == {"name": cluster}


@pytest.mark.skipif(not _has_helm(), reason="there is no helm")
@pytest.mark.parametrize("case", ["production", "autoscaled", "a strategy of one's own"])
def test_prometheus_reads_every_pod_that_serves_metrics_and_no_other(case: str) -> None:
    monitor = named(kustomized("platform/prometheus"), "PodMonitor", "goalkick")["spec"]
    wanted = monitor["selector"]["matchLabels"].items()
    (endpoint,) = monitor["podMetricsEndpoints"]
    for found in _objects(case):
        if found["kind"] not in ("Deployment", "StatefulSet", "Job"):
            continue
        labels = found["spec"]["template"]["metadata"]["labels"]
        ports = [
            port["name"]
            for container in found["spec"]["template"]["spec"]["containers"]
            for port in container.get("ports", ())
        ]
        read = wanted <= labels.items() and endpoint["port"] in ports
        serves = found["kind"] != "Job" and labels["app.kubernetes.io/component"] != "kafka"
        assert read == serves, found["metadata"]["name"]
        assert not read or labels[monitor["jobLabel"]] == "goalkick"


def _objects(case: str) -> "tuple[Object, ...] | list[Object]":
    if case in ("production", "autoscaled"):
        return rendered(case)
    chart = Path(ROOT / "deploy" / "helm" / "goalkick-strategy")
    return render("--set", "deployment=guest", chart=chart)
