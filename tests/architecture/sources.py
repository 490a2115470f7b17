"""Where the project's files are, and what they say: for the tests of its rules."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGES = (ROOT / "libs/common/src", *sorted((ROOT / "services").glob("*/src")))
GENERATED = ROOT / "libs/common/src/goalkick/proto"

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS: tuple[dict[str, Any], ...] = tuple(PROJECT["tool"]["importlinter"]["contracts"])


@cache
def project_files() -> tuple[Path, ...]:
    """Every file that git tracks, or would if asked: what a clone holds."""
    found = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    files = (ROOT / name for name in found.stdout.split("\0") if name)
    return tuple(sorted(path for path in files if path.is_file()))


def python_files(*folders: str) -> Iterator[Path]:
    """The project's Python files below some folders, without generated ones."""
    for path in project_files():
        relative = path.relative_to(ROOT)
        if path.suffix == ".py" and relative.parts[0] in folders and GENERATED not in path.parents:
            yield path


@cache
def tree_of(path: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(path.read_text(), str(path))


def module_name(path: Path) -> str:
    """The dotted name under which a packaged file is imported."""
    source = next(folder for folder in PACKAGES if folder in path.parents)
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    """Module name -> file, of everything that is packaged and not generated."""
    return {module_name(path): path for path in python_files("libs", "services")}


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it; `from a import b` gives `a` and `a.b`.

    What is imported only for type checkers counts too: it shows what a file thinks about.
    """
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def contract(name: str) -> dict[str, Any]:
    """An import contract of pyproject.toml."""
    return next(one for one in CONTRACTS if one["name"] == name)


def layers() -> tuple[frozenset[str], ...]:
    """The layers that import-linter enforces, highest first, without the `goalkick.`."""
    (layered,) = (one for one in CONTRACTS if one["type"] == "layers")
    return tuple(frozenset(re.findall(r"goalkick\.(\w+)", layer)) for layer in layered["layers"])
