"""What images are made of: the part of the lock that a service needs, and a bill of it."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

from goalkick.common.topics import AROUND, PARTS, SERVICES

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "deploy" / "images"
RECIPE = (ROOT / "services" / "Dockerfile").read_text()


def program(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"deploy_images_{name}", IMAGES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


closure, bill = program("closure"), program("bill")

DEBIAN = "Package: a\nStatus: install ok installed\nVersion: 1+b\nArchitecture: x"
LOCK = """\
# by make lock
aa==1.0 \\
    --hash=sha256:01
bb==2.0 ; python_version >= "3" \\
    --hash=sha256:02
cc[extra]==3.0 \\
    --hash=sha256:03
"""
NEEDS = {
    "goalkick-common": (Requirement("aa[fast]"),),
    "goalkick-risk": (Requirement("goalkick-common"), Requirement("cc")),
    "aa": (Requirement('bb; extra == "fast"'), Requirement('dd; sys_platform == "never"')),
    "bb": (),
    "cc": (Requirement("aa"),),
}


def test_a_service_gets_all_that_its_needs_lead_to_and_nothing_else() -> None:
    assert closure.closure([Requirement("goalkick-common")], NEEDS) == {"aa", "bb"}
    assert closure.closure([Requirement("goalkick-risk")], NEEDS) == {"aa", "bb", "cc"}
    assert closure.closure([Requirement("cc")], NEEDS) == {"aa", "cc"}


def test_an_unknown_need_is_an_error() -> None:
    with pytest.raises(closure.ClosureError, match="zz"):
        closure.closure([Requirement("zz")], NEEDS)


def test_what_is_picked_stands_as_it_does_in_the_lock() -> None:
    lock = closure.read_lock(LOCK)
    assert closure.pick(lock, ["cc", "aa"]) == (
        "aa==1.0 \\\n    --hash=sha256:01\ncc[extra]==3.0 \\\n    --hash=sha256:03\n"
    )
    with pytest.raises(closure.ClosureError, match="zz"):
        closure.pick(lock, ["zz"])


def test_the_lock_of_the_project_can_be_read() -> None:
    lock = closure.read_lock((ROOT / "requirements" / "run.txt").read_text())
    assert {"msgspec", "aiokafka", "numba", "onnxruntime", "ccxt"} <= lock.keys()
    assert all("--hash=sha256:" in lines for lines in lock.values())
    assert "tensorflow" not in lock


def test_a_bill_is_the_same_for_the_same_content() -> None:
    parts = bill.of_debian(
        "Package: a\nStatus: install ok installed\nVersion: 1+b\nArchitecture: x"
    )
    one, other = (bill.bill("risk", "0.1.0", parts) for _ in range(2))
    assert json.dumps(one) == json.dumps(other)
    assert one["bomFormat"] == "CycloneDX"
    assert [c["purl"] for c in one["components"]] == ["pkg:deb/debian/a@1%2Bb?arch=x"]
    assert bill.bill("risk", "0.2.0", parts)["serialNumber"] != one["serialNumber"]


@pytest.mark.parametrize("service", [*SERVICES, *AROUND])
def test_an_image_is_made_of_its_own_folder_and_of_those_of_its_parts(
    service: str, tmp_path: Path
) -> None:
    folder, projects = tmp_path / "sources", tmp_path / "projects"
    subprocess.run([IMAGES / "sources", service, folder, projects], cwd=ROOT, check=True)
    own = {service, *PARTS.get(service, ())}
    assert {path.name for path in folder.iterdir()} == own
    assert {str(path.relative_to(projects)) for path in projects.rglob("*.*")} == {
        f"{name}/pyproject.toml" for name in own
    }


def test_every_service_has_an_image() -> None:
    (line,) = re.findall(r"set -- (.+)", (IMAGES / "build").read_text())
    assert set(line.split()) == {*SERVICES, *AROUND, "kafka"}


def test_an_image_runs_as_a_numbered_user_and_without_a_compiler() -> None:
    last = RECIPE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", last, re.MULTILINE)
    assert not re.search(r"^(RUN|ADD|HEALTHCHECK)", last, re.MULTILINE)
    assert ":latest" not in RECIPE
