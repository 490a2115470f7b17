"""Renders the chart with helm: the user's own, or the one that a cluster tool brings along.

In this order: `HELM`, a program; `helm` on the path; what the folder that `deploy/cluster` uses
brings along, unpacked once into a temporary folder.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "goalkick"
PRODUCTION = CHART / "values-production.yaml"
HYBRID = CHART / "values-hybrid.yaml"
CASES = {
    "defaults": (),
    "production": (PRODUCTION,),
    "hybrid-home": (HYBRID, CHART / "values-hybrid-home.yaml"),
    "hybrid-away": (HYBRID, CHART / "values-hybrid-away.yaml"),
    **{file.name.removesuffix("-values.yaml"): (file,) for file in sorted(CHART.glob("ci/*.yaml"))},
}
"""What is rendered: name -> files of values over the defaults."""

MISSING = (
    "the tests of the chart need helm 3.14 or newer: put it on the path, or name it in HELM, or "
    "name in GOALKICK_CLUSTER a folder whose bin.tar.xz holds it"
)

KUBECTL_MISSING = (
    "the tests of kustomizations need kubectl: put it on the path, or name it in KUBECTL"
)

Object = dict[str, Any]


class HelmMissingError(Exception):
    """There is no helm."""


class RefusedError(Exception):
    """Helm refuses what it was given; says why."""


@cache
def helm_program() -> tuple[str, str]:
    """The program, and the name under which it is called.

    Raises:
        HelmMissingError: there is none; says what to install.
    """
    named = os.environ.get("HELM") or shutil.which("helm")
    if named:
        return named, named
    archive = (
        Path(os.environ.get("GOALKICK_CLUSTER", ROOT.parent / "shared" / "tools" / "cluster"))
        / "bin.tar.xz"
    )
    if not archive.exists():
        raise HelmMissingError(MISSING)
    # Of one build, unpacked once on this machine: it is 150 MB.
    stamp = f"{archive.stat().st_size}-{archive.stat().st_mtime_ns}"
    folder = Path(tempfile.gettempdir()) / f"goalkick-helm-{os.getuid()}-{stamp}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=folder.parent) as part, tarfile.open(archive) as tar:
            tar.extractall(part, filter="data")
            unpacked = Path(part) / "unpacked"
            unpacked.mkdir()
            for file in (f for f in Path(part).rglob("hyperkube") if f.is_file()):
                file.rename(unpacked / "hyperkube")
            if not folder.exists():
                unpacked.rename(folder)
    return str(folder / "hyperkube"), "helm"


def kubectl_program() -> tuple[str, str] | None:
    """The same of kubectl, which brings kustomize along; None: there is none."""
    named = os.environ.get("KUBECTL") or shutil.which("kubectl")
    if named:
        return named, named
    try:
        program, _ = helm_program()
    except HelmMissingError:
        return None
    return (program, "kubectl") if program.endswith("hyperkube") else None


@cache
def kustomized(folder: str) -> tuple[Object, ...]:
    """The objects of a folder of deploy/k8s with a kustomization.

    Raises:
        RefusedError: it cannot be built.
    """
    found = kubectl_program()
    assert found, "the caller sees to it that there is one"
    program, name = found
    done = subprocess.run(
        [name, "kustomize", str(ROOT / "deploy" / "k8s" / folder)],
        executable=program,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise RefusedError(done.stderr)
    return tuple(each for each in yaml.safe_load_all(done.stdout) if each)


def helm(*words: str) -> str:
    """What helm says.

    Raises:
        RefusedError: it failed.
    """
    program, name = helm_program()
    done = subprocess.run(
        [name, *words], executable=program, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise RefusedError(done.stderr)
    return done.stdout


def render(*words: str, chart: Path = CHART) -> list[Object]:
    """The objects of the chart, in helm's order; `words` are further arguments."""
    said = helm("template", "goalkick", str(chart), "--namespace", "goalkick", *words)
    return [found for found in yaml.safe_load_all(said) if found]


def render_text(case: str) -> str:
    """What helm makes of a case, as it says it."""
    files = (word for file in CASES[case] for word in ("-f", str(file)))
    return helm("template", "goalkick", str(CHART), "--namespace", "goalkick", *files)


@cache
def rendered(case: str) -> tuple[Object, ...]:
    """The objects of a case."""
    return tuple(found for found in yaml.safe_load_all(render_text(case)) if found)


def named(objects: "list[Object] | tuple[Object, ...]", kind: str, name: str) -> Object:
    """The one object of a kind and a name.

    Raises:
        LookupError: it is not there.
    """
    for found in objects:
        if (found["kind"], found["metadata"]["name"]) == (kind, name):
            return found
    raise LookupError(f"{kind} {name}")


def pod_specs(objects: "list[Object] | tuple[Object, ...]") -> dict[str, Object]:
    """Kind and name -> the pod that it makes, of all that make one."""
    found = {}
    for each in objects:
        title = f"{each['kind']}/{each['metadata']['name']}"
        if each["kind"] == "Pod":
            found[title] = each["spec"]
        elif each["kind"] in ("Deployment", "StatefulSet", "Job"):
            found[title] = each["spec"]["template"]["spec"]
    return found


def containers(spec: Object) -> list[Object]:
    """All containers of a pod, those that come first included."""
    return [*spec.get("initContainers", ()), *spec["containers"]]


def config_of(objects: "list[Object] | tuple[Object, ...]", workload: str) -> Object:
    """The configuration file that a workload reads."""
    text = named(objects, "ConfigMap", f"goalkick-{workload}")["data"]["goalkick.yaml"]
    config: Object = yaml.safe_load(text)
    return config


if __name__ == "__main__":
    try:
        print("helm", helm("version", "--short").strip())
    except HelmMissingError as error:
        sys.exit(str(error))
