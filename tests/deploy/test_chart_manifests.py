"""The plain manifests are what the chart makes, and both charts take what they should."""

import subprocess
from pathlib import Path

import pytest

from tests.deploy.chart import ROOT, RefusedError, helm, helm_program, render

FOLDER = ROOT / "deploy" / "k8s"
STRATEGY = ROOT / "deploy" / "helm" / "goalkick-strategy"
RENDERED = ("base/goalkick.yaml", "overlays/production/goalkick.yaml")


def test_the_manifests_are_what_the_chart_makes(tmp_path: Path) -> None:
    program, name = helm_program()
    (tmp_path / Path(name).name).symlink_to(program)
    for file in RENDERED:
        (tmp_path / file).parent.mkdir(parents=True)
    path = f"{tmp_path}:/usr/local/bin:/usr/bin:/bin"
    subprocess.run(
        [FOLDER / "render", tmp_path], env={"PATH": path, "HOME": str(tmp_path)}, check=True
    )
    for file in RENDERED:
        assert (tmp_path / file).read_text() == (FOLDER / file).read_text(), "deploy/k8s/render"


def test_a_strategy_of_ones_own_passes_the_linter() -> None:
    assert "0 chart(s) failed" in helm("lint", str(STRATEGY))


@pytest.mark.parametrize(
    "value", ["imgae.tag=1", "strategies.swift.parms.fast=1", "image.tag=latest"]
)
def test_a_value_of_a_strategy_that_makes_no_sense_is_refused(value: str) -> None:
    with pytest.raises(RefusedError, match="schema"):
        render("--set", value, chart=STRATEGY)


def test_a_strategy_of_ones_own_is_known_by_its_deployment_everywhere() -> None:
    objects = render("--set", "deployment=guest", chart=STRATEGY)
    jobs = [found for found in objects if found["kind"] == "Job"]
    told = {
        (env["name"], env["value"])
        for job in jobs
        for env in job["spec"]["template"]["spec"]["containers"][0]["env"]
        if env["name"] == "DEPLOYMENT"
    }
    assert told == {("DEPLOYMENT", "guest")}
    hooks = {job["metadata"]["annotations"]["helm.sh/hook"] for job in jobs}
    assert hooks == {
        "pre-install,pre-upgrade",
        "post-install,post-upgrade",
        "pre-delete",
        "post-delete",
    }
    (config,) = [found for found in objects if found["kind"] == "ConfigMap"]
    assert "deployment: guest" in config["data"]["goalkick.yaml"]
