"""Proves the chart on a cluster: `make e2e`, or `python -m tests.e2e.cluster`.

Needs a Docker engine, helm and kubectl, and a cluster: the one that KUBECONFIG names, or what
`deploy/cluster` can start. Prints a table of steps and figures; exit code 1 if a step failed.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial

from goalkick.common.topics import AROUND, SERVICES
from tests.e2e.cluster.places import TwoPlaces, home_of
from tests.e2e.cluster.proof import Proof, Secured
from tests.e2e.cluster.secured import reviewing
from tests.e2e.cluster.shell import CLUSTER, ROOT, Release, restricted, run

LEGS = ("plain", "secured", "places")
"""The broker for evaluation; one with rights, and a Vault; two releases as one platform."""
ARTIFACTS = ROOT / "dist" / "e2e"


def main() -> int:
    """Runs all steps; stops at the first that fails, keeps logs, and removes what it installed."""
    parser = argparse.ArgumentParser(prog="make e2e", description="Proves the chart on a cluster.")
    parser.add_argument("--no-images", action="store_true", help="images are there already")
    parser.add_argument("--namespace", default="goalkick-e2e", help="is removed at the end")
    parser.add_argument("--only", choices=LEGS, help="one of the three")
    parser.add_argument("--keep", action="store_true", help="leave the release where it failed")
    asked = parser.parse_args()
    began = time.monotonic()
    rows: list[tuple[str, str, float, str]] = []
    release = Release("goalkick", asked.namespace)
    legs = {"plain": Proof(release), "secured": Secured(release), "places": TwoPlaces(release)}
    steps: list[tuple[str, Callable[[], str]]] = [("cluster", partial(cluster, release))]
    for name, leg in legs.items():
        steps += leg.steps() if asked.only in (None, name) else []
    if not asked.no_images:
        steps.insert(1, ("images", images))
    for name, work in steps:
        print(f"{name} ...", file=sys.stderr, flush=True)
        at = time.monotonic()
        try:
            said, outcome = work(), "passed"
        except Exception as error:
            said, outcome = str(error), "FAILED"
        rows.append((name, outcome, time.monotonic() - at, said))
        if outcome == "FAILED":
            for each in (release, *release.elsewhere.values()):
                each.keep_logs(ARTIFACTS / each.namespace)
            break
    failed = rows[-1][1] == "FAILED"
    if not (failed and asked.keep):
        clean(release)
    show(
        rows,
        [(f"{name}: {what}", much) for name, leg in legs.items() for what, much in leg.figures],
        time.monotonic() - began,
    )
    if failed:
        print(f"logs of the pods: {ARTIFACTS}", file=sys.stderr)
    return int(failed)


def cluster(release: Release) -> str:
    """Sees that a cluster answers, starts one if need be, and takes away an earlier run's rest."""
    run(CLUSTER, "up", limit_s=300)
    clean(release)
    restricted(release.namespace)
    run(CLUSTER, "volume", f"data-{release.name}-kafka-0", release.namespace)
    said = run(CLUSTER, "run", "kubectl", "version", "-o", "json")
    return "Kubernetes " + str(json.loads(said)["serverVersion"]["gitVersion"])


def images() -> str:
    """Builds the images that run in it and gives them to the cluster."""
    prefix, tag = os.environ.get("PREFIX", "goalkick-"), os.environ.get("TAG", "")
    named = (*SERVICES, *AROUND, "kafka")
    build = str(ROOT / "deploy/images/build")
    built = run(CLUSTER, "run", build, *named, limit_s=900).splitlines()
    names = [line.split("\t")[0] for line in built if line.startswith(prefix) and tag in line]
    run(CLUSTER, "load", *names, limit_s=600)
    return f"{len(names)} images"


def clean(release: Release) -> None:
    """Removes the namespaces and what is in them."""
    for each in (release, home_of(release)):
        for kind, name in (("namespace", each.namespace), ("clusterrolebinding", reviewing(each))):
            run(
                CLUSTER, "run", "kubectl", "delete", kind, name, "--ignore-not-found", limit_s=180
            )  # fmt: skip
    run(CLUSTER, "volume", "--remove", f"data-{release.name}-kafka-0", release.namespace)


def show(
    rows: list[tuple[str, str, float, str]], figures: list[tuple[str, str]], took_s: float
) -> None:
    """Prints the tables."""
    print()
    for name, outcome, seconds, said in rows:
        print(f"{name:<36} {outcome:<7} {seconds:6.1f} s  {said}")
    print(f"{'all':<36} {'':<7} {took_s:6.1f} s\n")
    for what, how_much in figures:
        print(f"{what:<60} {how_much}")


if __name__ == "__main__":
    sys.exit(main())
