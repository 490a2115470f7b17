"""What images are made of: the part of the lock that a service needs, and a bill of it."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

from goalkick.common.topics import AROUND, PARTS, SERVICES
from goalkick.execution.venues.build import DIALECTS

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
check_imports, prune_ccxt = program("check_imports"), program("prune_ccxt")

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
    assert set(line.split()) == {*SERVICES, *AROUND, "train", "kafka"}


@pytest.mark.parametrize("stage", ["service", "train"])
def test_an_image_runs_as_a_numbered_user_and_without_a_compiler(stage: str) -> None:
    before, _, service = RECIPE.rpartition("\nFROM ")
    last = service if stage == "service" else before.rpartition("\nFROM ")[2]
    assert last.startswith("${PYTHON} AS train\n" if stage == "train" else "${PYTHON}\n")
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", last, re.MULTILINE)
    assert not re.search(r"^(RUN|ADD|HEALTHCHECK)", last, re.MULTILINE)
    assert ":latest" not in RECIPE


@pytest.mark.parametrize("service", [*SERVICES, *AROUND])
def test_a_service_declares_all_that_its_code_ever_imports(service: str) -> None:
    """In functions too: what is missing in an image would be missed at the first order."""
    folders = [ROOT / "libs" / "common", ROOT / "services" / service]
    there = closure.closure(_declared(folders), _Installed())
    providers = packages_distributions()
    for folder in folders:
        package = folder / "src" / "goalkick" / folder.name
        for path in check_imports.sources(package):
            for name in {name.partition(".")[0] for name in check_imports.imported(path)}:
                given = {closure.canonicalize_name(one) for one in providers.get(name, ())}
                assert name in sys.stdlib_module_names or given & there, f"{path}: {name}"


def _declared(folders: list[Path]) -> list[Requirement]:
    needed = [closure.needs_of_project(folder / "pyproject.toml")[1] for folder in folders]
    return [one for needs in needed for one in needs if not one.name.startswith(closure.OURS)]


class _Installed(dict[str, tuple[Requirement, ...]]):
    """What the distributions that are installed here say that they need."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> tuple[Requirement, ...]:
        return tuple(map(Requirement, distribution(name).requires or ()))


def test_an_import_is_seen_wherever_it_stands_and_not_where_only_types_need_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nimport goalkick.common\nfrom . import other\n"
        "if TYPE_CHECKING:\n    import never\nelse:\n    import always\n"
        "def late():\n    try:\n        from some.where import it\n    except ImportError:\n"
        "        import instead\n"
    )
    assert check_imports.imported(file) == {"typing", "always", "some.where", "instead"}


def test_execution_keeps_the_venues_that_it_can_give_orders_to() -> None:
    (kept,) = re.findall(r'execution\) venues="([^"]*)"', RECIPE)
    assert set(kept.split()) == set(DIALECTS)


INIT = """\
from ccxt.base.errors import BaseError
from ccxt.binance import binance    # noqa: F401
from ccxt.kraken import kraken      # noqa: F401

exchanges = [
    'binance',
    'kraken',
]

__all__ = exchanges
"""


def test_what_is_pruned_of_a_list_of_venues_is_gone_from_it_and_nothing_else_is() -> None:
    assert prune_ccxt.venues_of(INIT) == ["binance", "kraken"]
    pruned = prune_ccxt.pruned(INIT, {"binance"})
    assert pruned == INIT.replace("from ccxt.kraken import kraken      # noqa: F401\n", "").replace(
        "    'kraken',\n", ""
    )
    with pytest.raises(prune_ccxt.PruneError, match="exchanges"):
        prune_ccxt.venues_of("")


@pytest.mark.slow
@pytest.mark.parametrize("venues", [(), tuple(DIALECTS)], ids=["all", "those of execution"])
def test_a_pruned_ccxt_still_has_every_venue_that_stays(
    tmp_path: Path, venues: tuple[str, ...]
) -> None:
    whole = Path(str(distribution("ccxt").locate_file("ccxt")))
    folder = tmp_path / "ccxt"
    shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("__pycache__"))
    prune_ccxt.prune(folder, venues)
    told = subprocess.run(
        [sys.executable, "-c", MAKE_ALL],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert told[0] == str(folder / "__init__.py")
    known = prune_ccxt.venues_of((whole / "async_support" / "__init__.py").read_text())
    assert told[1:] == sorted(venues or known)


MAKE_ALL = """
import asyncio, ccxt.pro, ccxt.async_support
async def make(library):
    kinds = [getattr(library, name) for name in library.exchanges]
    for kind in (each for each in kinds if each.__name__ in ("binance", "bybit")):
        await kind().close()
asyncio.run(make(ccxt.async_support))
asyncio.run(make(ccxt.pro))
assert set(ccxt.pro.exchanges) <= set(ccxt.async_support.exchanges)
print(ccxt.__file__, *sorted(ccxt.async_support.exchanges), sep="\\n")
"""


def test_a_pruned_ccxt_refuses_a_venue_that_it_does_not_know(tmp_path: Path) -> None:
    (tmp_path / "async_support").mkdir()
    (tmp_path / "async_support" / "__init__.py").write_text("\n" + INIT)
    with pytest.raises(prune_ccxt.PruneError, match="found binnance"):
        prune_ccxt.prune(tmp_path, ["binnance"])


def test_files_are_read_and_written_without_what_is_pruned_of_arrow(tmp_path: Path) -> None:
    recipe = (IMAGES / "install").read_text()
    gone = [f"pyarrow.{name}" for name in re.findall(r"-name '(_\w+)\.\*'", recipe)]
    assert "pyarrow._s3fs" in gone
    done = subprocess.run(
        [sys.executable, "-c", READ_AND_WRITE, str(tmp_path), *gone],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Arrow's own libraries need one another: none may go that these modules are linked with.
    for name in re.findall(r"-name '\*(arrow_\w+)\*'", recipe):
        assert not _linked(f"lib{name}.so")


READ_AND_WRITE = """
import sys
from pathlib import Path
folder, *gone = sys.argv[1:]
sys.modules.update(dict.fromkeys(gone))
import pyarrow as pa, pyarrow.compute, pyarrow.csv, pyarrow.parquet
import goalkick.ingest.candles, goalkick.ingest.archive.importing, goalkick.ingest.archive.trades
file = Path(folder) / "a.parquet"
table = pa.table({"a": [1, 2]})
pa.parquet.write_table(table, file, compression="zstd")
assert pa.parquet.read_table(file, partitioning=None).equals(table)
assert pa.parquet.ParquetFile(pa.BufferReader(file.read_bytes())).read().equals(table)
"""


def _linked(library: str) -> list[str]:
    """Which of the modules that stay name a library as one they are linked with."""
    folder = Path(str(distribution("pyarrow").locate_file("pyarrow")))
    stay = [*folder.glob("lib.*.so"), *folder.glob("_parquet.*.so"), *folder.glob("_csv.*.so")]
    stay += folder.glob("libarrow_python.so.[0-9]*")
    assert len(stay) > 3
    return [file.name for file in stay if library.encode() in file.read_bytes()]


@pytest.mark.parametrize("name", ["run", "train"])
def test_what_is_locked_twice_is_locked_to_the_same(name: str) -> None:
    folder = ROOT / "requirements"
    inner = closure.read_lock((folder / f"{name}.txt").read_text())
    outer = closure.read_lock((folder / "dev.txt").read_text())
    assert {one: lines for one, lines in inner.items() if outer.get(one) != lines} == {}


def test_training_has_what_fits_models_and_services_have_it_not() -> None:
    folder = ROOT / "requirements"
    needed = {"scikit-learn", "skl2onnx", "onnx", "threadpoolctl"}
    assert needed <= closure.read_lock((folder / "train.txt").read_text()).keys()
    run = closure.read_lock((folder / "run.txt").read_text())
    assert not (needed | {"tensorflow"}) & run.keys()
