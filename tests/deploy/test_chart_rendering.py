"""The chart renders to what it rendered to before, and to what three Kubernetes versions know."""

import subprocess
import sys

import kubernetes_validate
import pytest

from tests.deploy.chart import CASES, CHART, ROOT, Object, helm, rendered
from tests.deploy.golden import FOLDER, golden

VERSIONS = ("1.31.0", "1.34.0", "1.37.0")
OTHERS = ("ScaledObject",)
"""Kinds that are not Kubernetes' own."""


@pytest.mark.parametrize("case", CASES)
def test_helm_finds_no_fault(case: str) -> None:
    files = (word for file in CASES[case] for word in ("-f", str(file)))
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), *files)


@pytest.mark.parametrize("case", CASES)
def test_renders_to_what_it_rendered_to_before(case: str) -> None:
    assert golden(case) == (FOLDER / f"{case}.yaml").read_text(), (
        "the chart renders to something else: if that is meant, run `python -m tests.deploy.golden`"
    )


def test_no_golden_rendering_is_of_a_case_that_is_gone() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == CASES.keys()


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_every_object_is_valid(case: str, version: str) -> None:
    for found in rendered(case):
        if found["kind"] not in OTHERS:
            kubernetes_validate.validate(found, version, strict=True)


def test_the_validation_sees_a_misspelt_field() -> None:
    wrong: Object = {"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": {"prots": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


@pytest.mark.slow
def test_the_schema_of_values_is_made_from_the_settings() -> None:
    script = str(ROOT / "deploy" / "helm" / "schema.py")
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
