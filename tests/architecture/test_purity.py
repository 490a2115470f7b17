"""Cores are pure: no clock, no chance, no I/O, no logging, no async; nor is what they use."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.sources import contract, imports_of, modules, tree_of

IMPURE = frozenset(
    {
        "asyncio", "concurrent", "http", "io", "logging", "multiprocessing", "os", "random",
        "secrets", "select", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "sys",
        "tempfile", "threading", "time", "urllib", "uuid",
        "aiokafka", "ccxt", "fastapi", "httpx", "opentelemetry", "pandas", "prometheus_client",
        "pyarrow", "rich", "structlog", "typer", "uvicorn", "uvloop",
    }
)  # fmt: skip
"""Modules that see a clock, chance, or the world outside."""

SEES_THE_WORLD = {
    "open", "input", "print", "exec", "eval", "breakpoint",
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today",
    "np.random", "numpy.random",
}  # fmt: skip
"""Calls and attributes that do the same without an import of their own."""

PACKAGES_OF_CORES = tuple(contract("Cores are pure")["source_modules"])

MAY_NAME_FILES = ("goalkick.strategy.settings", "goalkick.prediction.settings")
"""Settings hold paths as values; whoever starts a service opens them, no core does."""


def is_core(name: str) -> bool:
    """Whether a module is (in) one of the pure ones."""
    return any(name == core or name.startswith(f"{core}.") for core in PACKAGES_OF_CORES)


def used_by(name: str) -> set[str]:
    """A module and every module of ours that it imports, directly or not."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        module = waiting.pop()
        if module in found or module not in modules():
            continue
        found.add(module)
        waiting += imports_of(modules()[module])
    return found


CORES = sorted(name for name in modules() if is_core(name))
REACHED = sorted({module for name in CORES for module in used_by(name)})


def impurities(path: Path) -> Iterator[str]:
    """What a file does that a core must not do."""
    for name in imports_of(path):
        if name.partition(".")[0] in IMPURE:
            yield f"imports {name}"
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield f"is asynchronous in line {node.lineno}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in SEES_THE_WORLD:
            yield f"calls {ast.unparse(node.func)} in line {node.lineno}"
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in SEES_THE_WORLD:
            yield f"uses {ast.unparse(node)} in line {node.lineno}"


def test_the_rule_sees_what_it_forbids(tmp_path: Path) -> None:
    path = tmp_path / "guilty.py"
    path.write_text(
        "import time\nfrom datetime import datetime\nimport numpy as np\n"
        "async def late():\n    return datetime.now(), open('x'), np.random.rand()\n"
    )
    said = " ".join(impurities(path))
    for word in ("imports time", "asynchronous", "datetime.now", "calls open", "np.random"):
        assert word in said


def test_every_core_is_under_the_contract() -> None:
    """A new service's `core.py` that is missing in pyproject.toml would be checked by nobody."""
    services = [name for name in modules() if name.endswith(".core") and ".common." not in name]
    assert len(services) >= 5
    assert [name for name in services if not is_core(name)] == []
    missing = [name for name in PACKAGES_OF_CORES if name not in modules()]
    assert not missing


def test_nothing_that_a_core_uses_sees_the_world() -> None:
    assert len(REACHED) > len(CORES) > 20
    guilty = {name: list(impurities(modules()[name])) for name in REACHED}
    assert {name: why for name, why in guilty.items() if why} == {}


def test_only_settings_among_what_cores_use_know_paths() -> None:
    knowing = {
        name
        for name in REACHED
        if any(found.startswith("pathlib") for found in imports_of(modules()[name]))
    }
    assert knowing <= set(MAY_NAME_FILES)
