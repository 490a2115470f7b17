"""What is proven on the cluster, step by step, on one release that works all the time."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from goalkick.common.events.signal import Signal
from goalkick.common.runtime.envelope import read_event
from goalkick.common.topics import signals_of
from tests.deploy.chart import CASES, rendered
from tests.e2e.cluster import decisions, secured
from tests.e2e.cluster.shell import CHART, STRATEGY_CHART, CommandFailedError, Release, until
from tests.kafka import knocking

REACH = Path(__file__).with_name("reach.py")
TRESPASS = Path(__file__).with_name("trespass.py")
VALUES = Path(__file__).with_name("values.yaml")
GUEST = "swift"
"""A strategy that comes and goes; a shadow, so that it changes nothing of the account."""
RESUME_S = 60
"""How long a deleted pod may keep decisions from being made before that counts as failed."""


@dataclass
class Proof:
    """One run of all steps.

    Attributes:
        release: what it is done to.
        files: of values over the chart's own.
        sets: single values over those of the files.
        values: those of the first file.
        figures: what was measured: (what, how much).
        interruptions: (what was done, wall time, s) of all that may have held up decisions.
        began_s: wall time of the installation, s.
        deployments: names of the strategy services.
    """

    release: Release
    files: tuple[Path, ...] = (VALUES,)
    sets: tuple[str, ...] = ()
    values: dict[str, Any] = field(default_factory=lambda: yaml.safe_load(VALUES.read_text()))
    figures: list[tuple[str, str]] = field(default_factory=list)
    interruptions: list[tuple[str, float]] = field(default_factory=list)
    began_s: float = 0.0
    deployments: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Each strategy is a service of its own."""
        self.deployments = sorted(self.values["strategies"])

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        """Name and work of each step; the work returns what is to be told."""
        return [
            ("server-side dry run", self.dry_run),
            ("helm install", self.install),
            ("helm test", self.test),
            ("metrics of every pod", self.metrics),
            ("reach only what it must", self.reach),
            ("scale feature 1-3-1, strategy 1-2", self.scale),
            ("delete every pod once", self.delete_each),
            ("a strategy comes and goes", self.host),
            ("refuse wrong values", self.refuse),
            ("upgrade and roll back", self.roll),
            ("decisions equal one process's", self.compare),
            ("helm uninstall", self.uninstall),
        ]

    def dry_run(self) -> str:
        """The API server takes every rendering that tests know, and keeps none of it."""
        served, count = set(self.release.kubectl("api-versions").split()), 0
        for case in CASES:
            # Kinds of operators that are not there cannot be asked about.
            objects = [each for each in rendered(case) if each["apiVersion"] in served]
            manifest = yaml.safe_dump_all(objects)
            self.release.kubectl("apply", "--dry-run=server", "-f", "-", stdin=manifest)
            count += len(objects)
        return f"{count} objects of {len(CASES)} renderings"

    def install(self) -> str:
        """Installs the chart and waits for every pod."""
        self.began_s = time.time()
        self._helm("install", "--create-namespace")
        return f"all pods ready after {time.time() - self.began_s:.0f} s"

    def test(self) -> str:
        """Runs the chart's own test."""
        said = self.release.helm("test", self.release.name, "--logs")
        return " ".join(said.split("POD LOGS:")[1].split("after")[1].split()[:2])

    def metrics(self) -> str:
        """Reads each pod's figures and sees that each is ready by its own word."""
        services = self._services()
        for name in services:
            page = self.release.page(name, "/metrics")
            assert "goalkick_build_info" in page, f"{name}: expected Goalkick's metrics"
        self._tell_usage("at work", services)
        return f"{len(services)} pods"

    def reach(self) -> str:
        """From a strategy's pod: the broker answers, and nothing that is not its business does."""
        risk = self._address(next(iter(self.release.pods("risk"))))
        ingest = self._address(next(iter(self.release.pods("ingest"))))
        asked = {
            f"{self.release.name}-kafka:9092": "open",
            f"{risk}:8080": "shut",
            f"{ingest}:8080": "shut",
            "192.0.2.1:443": "shut",
        }
        said = self.release.python("strategy", REACH.read_text(), *asked)
        found = dict(line.split() for line in said.splitlines())
        assert found == asked, f"expected {asked}, found {found}"
        return "the broker, and neither other pods nor the internet"

    def scale(self) -> str:
        """More and fewer copies while work goes on."""
        self._upgrade("services.feature.replicas=3", "services.strategy.replicas=2")
        shared = self._worked("feature")
        assert shared >= 2, f"expected the copies of feature to share work, found {shared} at it"
        self._progress("after more copies")
        self._upgrade("services.feature.replicas=1", "services.strategy.replicas=1")
        self._progress("after fewer copies")
        return f"{shared} copies of feature at work at once"

    def delete_each(self) -> str:
        """Deletes the pods one after the other, the broker's last; each comes back."""
        names = [*sorted(self._services()), *self.release.pods("kafka")]
        for name in names:
            component = self._component(name)
            pods = self.release.pods(component)
            uid = pods[name]["metadata"]["uid"]
            self._mark(f"{component} deleted")
            self.release.kubectl("delete", "pod", name, "--wait=false")
            until(partial(self._replaced, component, uid, len(pods)), f"{name} back and ready", 120)
            self._progress(f"after {component} was deleted")
        return f"{len(names)} pods"

    def host(self) -> str:
        """Installs a strategy from its own chart, hears it, and removes it; the others go on."""
        release, topic = self.release, signals_of(GUEST).name
        params = [f"strategies.{GUEST}.params.{name}={n}" for name, n in (("fast", 3), ("slow", 8))]
        said = [f"platform.release={release.name}", "kafka.partitions=6", *params]
        release.helm(
            "install", GUEST, str(STRATEGY_CHART), "--wait", "--timeout=180s",
            *(word for value in said for word in ("--set", value)),
        )  # fmt: skip
        self._progress(f"after {GUEST} came")
        heard: list[decisions.Found] = []

        def speaks() -> bool:
            heard[:] = decisions.read(release, [topic])
            return any(isinstance(read_event(found.record), Signal) for found in heard)

        until(speaks, f"signals of {GUEST}", 120)
        release.helm("uninstall", GUEST, "--wait", "--timeout=240s")
        self._progress(f"after {GUEST} went")
        return f"{len(heard)} records of it while it was there"

    def refuse(self) -> str:
        """A misspelt key, a parameter that only strategies know, another number of partitions."""
        wrong = {
            "config.risk.max_drawdwn=0.1": "max_drawdwn",
            "strategies.cross.params.fast=-3": "settings",
            "topics.partitions=12": "partitions",
        }
        for value, reason in wrong.items():
            with pytest.raises(CommandFailedError, match=reason):
                self._upgrade(value)
            self._progress(f"after {value} was refused")
        return f"{len(wrong)} refused, the platform went on"

    def roll(self) -> str:
        """Replaces all pods, and puts the old revision back."""
        before = json.loads(self.release.helm("history", self.release.name, "-o", "json"))
        self._mark("upgrade of all")
        self._upgrade("defaults.podAnnotations.rolled=once")
        self._progress("after an upgrade")
        self._mark("rollback of all")
        good = next(r for r in reversed(before) if r["status"] == "deployed")
        self.release.helm(
            "rollback", self.release.name, str(good["revision"]), "--wait", "--timeout=180s"
        )
        self._progress("after a rollback")
        return "every pod replaced twice"

    def compare(self) -> str:
        """Stops the market and compares everything that was decided."""
        release = self.release
        release.kubectl("scale", f"deployment/{release.name}-ingest", "--replicas=0")
        until(lambda: not release.pods("ingest"), "ingest gone")
        last = [-2]

        def quiet() -> bool:
            last.append(release.moment("execution"))
            return len(last) > 6 and len(set(last[-6:])) == 1

        until(quiet, "execution to be done with what there is")
        idle_s = time.time()
        deciders = decisions.topics_of(decisions.DECIDERS, self.deployments)
        found = decisions.read(release, deciders)
        moment = decisions.complete_until(found)
        expected = decisions.embedded(self.values, moment)
        wrong = decisions.difference(expected, decisions.decided(found, moment, {GUEST}))
        assert not wrong, f"expected the decisions of one process, found {wrong}"
        letters = decisions.read(release, ["goalkick.runtime.deadletter.v1"])
        assert not letters, f"expected no record put aside, found {len(letters)}"
        before = decisions.topics_of(("ingest", "feature", "prediction"), ())
        everything = [*decisions.read(release, before), *found]
        trace, hops = decisions.hops_of_one_trace(everything)
        assert len(hops) >= 5, f"expected a trace over five topics, found {hops}"
        self.figures.append(("topics that one trace spans", f"{len(hops)}, trace {trace}"))
        self._tell_times(found, len(everything))
        self._tell_usage("idle", self._services(), idle_s)
        return f"{len(expected)} events, all the same"

    def uninstall(self) -> str:
        """Removes the release, and sees that nothing of it is left."""
        self.release.helm("uninstall", self.release.name, "--wait", "--timeout=120s")
        kinds = "all,configmap,secret,serviceaccount,networkpolicy,pdb,hpa,pvc"
        labels = f"app.kubernetes.io/instance={self.release.name}"

        def left() -> str:
            return self.release.kubectl("get", kinds, "-l", labels, "-o", "name").strip()

        until(lambda: not left() or "test-decision" in left(), "everything gone", 90)
        return "nothing left but the pod of helm test" if left() else "nothing left"

    def _tell_times(self, found: list[decisions.Found], count: int) -> None:
        first = min(t for r, t in found if r.partition.topic == "goalkick.order.decision.v1")
        last = max(time_ms for _, time_ms in found)
        took = first / 1000 - self.began_s
        rate = count / (last - first) * 1000
        self.figures.append(("records on all topics", f"{rate:.0f} a second"))
        self.figures.append(("from helm install to the first decision", f"{took:.1f} s"))
        ends = [at for _, at in self.interruptions[1:]] + [time.time()]
        for (what, at), end in zip(self.interruptions, ends, strict=False):
            silent = decisions.longest_silence_s(found, at, min(end, at + 60))
            self.figures.append((f"longest silence of execution, {what}", f"{silent:.1f} s"))

    def _tell_usage(self, when: str, names: Sequence[str], since_s: float | None = None) -> None:
        """What each pod takes, measured after a wall time; since now unless it is said."""
        after_s = time.time() if since_s is None else since_s
        until(lambda: self.release.usage(after_s).keys() >= set(names), "what every pod takes", 120)
        used = self.release.usage(after_s)
        for name in names:
            cpu, memory = used[name]
            self.figures.append((f"{name}, {when}", f"{cpu:.2f} processors, {memory:.0f} MiB"))

    def _helm(self, command: str, *more: str, limit: str = "180s") -> None:
        files = [word for file in self.files for word in ("-f", str(file))]
        sets = [word for value in self.sets for word in ("--set", value)]
        self.release.helm(
            command, self.release.name, str(CHART), *files, *sets, *more,
            "--wait", f"--timeout={limit}",
        )  # fmt: skip

    def _upgrade(self, *values: str) -> None:
        self._helm("upgrade", *(word for value in values for word in ("--set", value)))

    def _progress(self, when: str) -> None:
        began = self.release.moment("execution")
        until(
            lambda: self.release.moment("execution") > began,
            f"execution to go on {when}",
            RESUME_S,
        )

    def _mark(self, what: str) -> None:
        self.interruptions.append((what, time.time()))

    def _replaced(self, component: str, uid: str, count: int) -> bool:
        uids = [pod["metadata"]["uid"] for pod in self.release.pods(component).values()]
        return uid not in uids and self.release.ready(component, count)

    def _address(self, name: str) -> str:
        return str(self.release.pods()[name]["status"]["podIP"])

    def _worked(self, component: str) -> int:
        at_work = 0
        for name in self.release.pods(component):
            at_work += bool(json.loads(self.release.page(name, "/info"))["tasks"])
        return at_work

    def _services(self) -> list[str]:
        names = []
        for name, pod in self.release.pods().items():
            labels = pod["metadata"]["labels"]
            if labels["app.kubernetes.io/component"] not in ("kafka", "access", "topics", "test"):
                names.append(name)
        return names

    def _component(self, name: str) -> str:
        labels = self.release.pods()[name]["metadata"]["labels"]
        return str(labels["app.kubernetes.io/component"])


@dataclass
class Secured(Proof):
    """One run, in short, on a broker that knows who is who and what each may do, with a Vault."""

    files: tuple[Path, ...] = (VALUES, secured.VALUES)

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        """Name and work of each step."""
        return [
            ("a broker with rights, and a Vault", self.prepare),
            ("helm install, secured", self.install),
            ("helm test, secured", self.test),
            ("a strategy's pod is denied", self.trespass),
            ("decisions equal, secured", self.compare),
            ("helm uninstall, secured", self.uninstall),
        ]

    def prepare(self) -> str:
        """A broker with users and rights for all workloads, and a Vault that knows their pods."""
        self.release.reads_as = secured.prepare(self.release, self.deployments)
        self.sets = (f"kafka.bootstrapServers={secured.broker(self.release)}",)
        return "TLS, passwords, access lists, policies"

    def trespass(self) -> str:
        """From a strategy's pod: its own topics and secrets, and nothing of anybody else's."""
        said = self.release.python(
            "strategy", TRESPASS.read_text(), Path(knocking.__file__).read_text(), "strategy",
            self.release.namespace,
        )  # fmt: skip
        found = json.loads(said)
        done = {what for what, outcome in found.items() if outcome == "done"}
        allowed = {
            "read goalkick.feature.vector.v1",
            "log in as strategy",
            "secret services/strategy/x",
            "state key of strategy",
        }
        assert done == allowed, f"expected only {sorted(allowed)}, found {sorted(done)}"
        return f"{len(found) - len(done)} of {len(found)} tries"
