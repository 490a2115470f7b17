"""A platform in two places: execution and Vault in one namespace, the rest, fused, in another."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.cluster import secured
from tests.e2e.cluster.proof import VALUES, Proof
from tests.e2e.cluster.shell import CHART, Release, is_ready, restricted, until

AWAY = Path(__file__).with_name("away-values.yaml")
HOME = Path(__file__).with_name("home-values.yaml")


def home_of(release: Release) -> Release:
    """The release at home: of the same name, in a namespace of its own."""
    return Release(release.name, f"{release.namespace}-home")


@dataclass
class TwoPlaces(Proof):
    """One run on two releases that make one platform."""

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        """Name and work of each step."""
        return [
            ("a broker for two places", self.prepare),
            ("helm install, in two places", self.install),
            ("helm test, in two places", self.test),
            ("decisions equal, in two places", self.compare),
            ("helm uninstall, in two places", self.uninstall),
        ]

    def prepare(self) -> str:
        """A broker that both reach, and a Vault at home."""
        home = home_of(self.release)
        restricted(home.namespace)
        self.release.elsewhere = {"execution": home}
        self.release.reads_as = secured.prepare(self.release, [], home=home, fused=True)
        # One service speaks for all strategies.
        self.deployments = [""]
        return f"one in {self.release.namespace}, one in {home.namespace}"

    def install(self) -> str:
        """Installs both, as the page for operators says."""
        self.began_s = time.time()
        for release, own in ((self.release, AWAY), (home_of(self.release), HOME)):
            release.helm(
                "install", release.name, str(CHART), *self._values(VALUES, secured.VALUES, own),
                "--timeout=180s",
            )  # fmt: skip
        until(lambda: self._ready(self.release, 3) and self._ready(home_of(self.release), 1),
              "every pod ready", 120)  # fmt: skip
        return f"all pods ready after {time.time() - self.began_s:.0f} s"

    def uninstall(self) -> str:
        """Removes both."""
        home_of(self.release).helm("uninstall", self.release.name, "--wait", "--timeout=120s")
        said = super().uninstall()
        self.release.elsewhere = {}
        return said

    def _values(self, *files: Path) -> list[str]:
        kafka = (
            f"kafka.bootstrapServers={secured.broker(self.release)}",
            "kafka.peers[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name="
            + self.release.namespace,
        )
        named = [word for file in files for word in ("-f", str(file))]
        return [*named, *(word for value in kafka for word in ("--set", value))]

    def _ready(self, release: Release, count: int) -> bool:
        pods = [pod for pod in release.pods().values() if _serves(pod["metadata"]["labels"])]
        return len(pods) == count and all(map(is_ready, pods))


def _serves(labels: dict[str, str]) -> bool:
    return labels["app.kubernetes.io/component"] not in ("access", "topics", "test")
