"""kubectl and helm, as a person would use them; every call has an end."""

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

ROOT = Path(__file__).parents[3]
CLUSTER = str(ROOT / "deploy" / "cluster")
"""Points commands at the cluster."""

CHART = ROOT / "deploy" / "helm" / "goalkick"
STRATEGY_CHART = ROOT / "deploy" / "helm" / "goalkick-strategy"


class CommandFailedError(Exception):
    """A command ended with another code than 0."""


def run(*words: str, stdin: str | None = None, limit_s: float = 120) -> str:
    """Standard output of a command.

    Raises:
        CommandFailedError: it failed, or took too long; says what it wrote.
    """
    try:
        done = subprocess.run(
            words, input=stdin, capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailedError(f"{words[0]}: expected an end within {limit_s} s") from error
    if done.returncode:
        raise CommandFailedError(
            f"{' '.join(words[1:8])} ...: {(done.stderr or done.stdout)[-2000:]}"
        )
    return done.stdout


def until(met: Callable[[], bool], what: str, limit_s: float = 60) -> float:
    """Waits for something in the world outside; seconds that it took.

    Raises:
        AssertionError: it did not come.
    """
    began = time.monotonic()
    while True:
        try:
            if met():
                return time.monotonic() - began
            why = ""
        except CommandFailedError as error:
            why = f"; last: {error}"
        if time.monotonic() - began > limit_s:
            raise AssertionError(f"expected {what} within {limit_s} s{why}")
        time.sleep(0.3)


class Release:
    """An installed chart and its pods.

    Attributes:
        reads_as: variables by which a pod of it comes to the broker as somebody who may read all.
        elsewhere: components of the same platform that another release runs.
    """

    def __init__(self, name: str, namespace: str) -> None:
        """Installs nothing yet."""
        self.name = name
        self.namespace = namespace
        self.reads_as: Mapping[str, str] = {}
        self.elsewhere: Mapping[str, Release] = {}

    def kubectl(self, *words: str, stdin: str | None = None, limit_s: float = 120) -> str:
        """kubectl in the release's namespace."""
        return run(
            CLUSTER, "run", "kubectl", "-n", self.namespace, *words, stdin=stdin, limit_s=limit_s
        )

    def helm(self, *words: str, limit_s: float = 400) -> str:
        """helm in the release's namespace."""
        return run(CLUSTER, "run", "helm", "-n", self.namespace, *words, limit_s=limit_s)

    def pods(self, component: str = "") -> dict[str, dict[str, Any]]:
        """Name -> pod, of a component or of the whole release; those that go are left out."""
        labels = f"app.kubernetes.io/instance={self.name}"
        if component:
            labels += f",app.kubernetes.io/component={component}"
        found = json.loads(self.kubectl("get", "pods", "-l", labels, "-o", "json"))["items"]
        return {
            pod["metadata"]["name"]: pod
            for pod in found
            if "deletionTimestamp" not in pod["metadata"]
        }

    def ready(self, component: str, count: int) -> bool:
        """Whether a component has so many pods and all are ready."""
        pods = self.pods(component)
        return len(pods) == count and all(is_ready(pod) for pod in pods.values())

    def page(self, pod: str, path: str) -> str:
        """A health page of a pod, through the API server."""
        where = f"/api/v1/namespaces/{self.namespace}/pods/{pod}:8080/proxy{path}"
        return run(CLUSTER, "run", "kubectl", "get", "--raw", where, limit_s=20)

    def usage(self, since_s: float) -> dict[str, tuple[float, float]]:
        """Pod -> (processors, MiB of memory), of those measured wholly after a wall time, s."""
        where = f"/apis/metrics.k8s.io/v1beta1/namespaces/{self.namespace}/pods"
        said = run(CLUSTER, "run", "kubectl", "get", "--raw", where, limit_s=20)
        found = {}
        for pod in json.loads(said)["items"]:
            at_s = datetime.fromisoformat(pod["timestamp"]).timestamp()
            if at_s - float(pod["window"].removesuffix("s")) < since_s:
                continue
            used = [container["usage"] for container in pod["containers"]]
            cpu = sum(int(each["cpu"].removesuffix("n")) for each in used) / 1e9
            memory = sum(int(each["memory"].removesuffix("Ki")) for each in used) / 1024
            found[pod["metadata"]["name"]] = (cpu, memory)
        return found

    def moment(self, component: str) -> int:
        """How far the copies of a component are: the latest moment of their tasks, UTC ns."""
        if component in self.elsewhere:
            return self.elsewhere[component].moment(component)
        moments = [
            int(task.split(" at ")[1].split(",")[0])
            for name, pod in self.pods(component).items()
            if is_ready(pod)
            for task in json.loads(self.page(name, "/info"))["tasks"]
            if " at " in task
        ]
        return max(moments, default=-1)

    def python(
        self,
        component: str,
        script: str,
        *arguments: str,
        variables: Mapping[str, str] = MappingProxyType({}),
        limit_s: float = 180,
    ) -> str:
        """Runs a script in a pod of a component; its standard output."""
        pod = next(name for name, pod in self.pods(component).items() if is_ready(pod))
        said = [f"{name}={value}" for name, value in variables.items()]
        return self.kubectl(
            "exec", "-i", pod, "-c", component, "--", "env", *said, "python", "-", *arguments,
            stdin=script, limit_s=limit_s,
        )  # fmt: skip

    def keep_logs(self, folder: Path) -> None:
        """Writes down what the pods said, and what the cluster says of them."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in self.pods():
            for before in (False, True):
                words = ["logs", name, "--all-containers", "--tail=500"]
                try:
                    said = self.kubectl(*words, *(["--previous"] if before else []))
                except CommandFailedError:
                    continue
                (folder / f"{name}{'.previous' if before else ''}.log").write_text(said)
        for what in ("pods", "events"):
            (folder / f"{what}.txt").write_text(self.kubectl("get", what, "-o", "wide"))


def restricted(namespace: str) -> None:
    """Makes a namespace that lets in only what the strictest standard for pods allows."""
    run(CLUSTER, "run", "kubectl", "create", "namespace", namespace)
    for level in ("enforce", "warn"):
        label = f"pod-security.kubernetes.io/{level}=restricted"
        run(CLUSTER, "run", "kubectl", "label", "namespace", namespace, label)


@contextlib.contextmanager
def forwarded(release: Release, pod: str, port: int, *, local: int = 0) -> Iterator[int]:
    """A port of a pod on loopback here; any free one unless it is said."""
    ends = f"{local or ''}:{port}"
    words = (CLUSTER, "run", "kubectl", "-n", release.namespace, "port-forward", pod, ends)
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            # Forwarding from 127.0.0.1:40123 -> 8200
            told = process.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+) ->", told)
            if found is None:
                raise CommandFailedError(f"port-forward {pod} {ends}: {told or 'ended'}")
            yield int(found[1])
        finally:
            process.terminate()


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether a pod takes part."""
    conditions = pod["status"].get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
