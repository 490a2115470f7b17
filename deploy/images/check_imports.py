"""Sees that an image can import all that its code ever imports, in functions too.

Run while an image is built: what is missing fails the build and not the first order. Standard
library only.

    check_imports.py [--extra FOLDER]... PACKAGE...    names under goalkick, such as common and risk
"""

import argparse
import ast
import importlib
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

OPTIONAL = ("testing", "training")
"""Folders whose needs are extras that only tests, or only the training image, have."""


def sources(package: Path, extras: Collection[str] = ()) -> list[Path]:
    """The modules of a package that run wherever it is installed, and those of `extras`."""
    left_out = set(OPTIONAL) - set(extras)
    found = sorted(package.rglob("*.py"))
    return [path for path in found if not left_out & set(path.relative_to(package).parts)]


def imported(path: Path) -> set[str]:
    """Modules of others that a module imports, at its top or later."""
    return set(_imported(ast.parse(path.read_text())))


def _imported(node: ast.AST) -> Iterator[str]:
    names: list[str] = []
    inside: list[ast.AST] = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        inside = list(node.orelse)
    elif isinstance(node, ast.Import):
        names = [one.name for one in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        names = [node.module]
    yield from (name for name in names if name.partition(".")[0] != "goalkick")
    for child in inside:
        yield from _imported(child)


def main() -> int:
    """Imports everything; returns the exit code."""
    import goalkick  # noqa: PLC0415 (only where an image is built)

    parser = argparse.ArgumentParser(description="Imports all that packages import.")
    parser.add_argument("--extra", action="append", default=[], help="a folder of OPTIONAL")
    parser.add_argument("packages", nargs="+")
    asked = parser.parse_args()
    wrong = 0
    for package in asked.packages:
        (folder,) = (Path(p) / package for p in goalkick.__path__ if (Path(p) / package).is_dir())
        for path in sources(folder, asked.extra):
            for name in sorted(imported(path)):
                try:
                    importlib.import_module(name)
                except ImportError as error:
                    sys.stderr.write(f"{path.relative_to(folder)}: cannot import {name}: {error}\n")
                    wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
