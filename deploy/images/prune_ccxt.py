"""Takes out of an installed ccxt what no service of ours can use. Standard library only.

We call venues through `ccxt.async_support` and `ccxt.pro`, never through the classes of `ccxt`
itself that block, and never `ccxt.prediction`. Execution knows how to give orders to a few venues
and to no other. What stays is not changed, but for the lists of what there is.

    prune_ccxt.py /opt/goalkick/own/ccxt [VENUE...]

With names only these venues stay, else all.
"""

import re
import shutil
import sys
from collections.abc import Collection
from pathlib import Path

NEVER = ("prediction", "test")
"""Folders that nothing imports."""

_IMPORT = re.compile(r"^from ccxt\.(?:async_support\.|pro\.)?(\w+) +import (\w+) *(?:#.*)?$")
_ENTRY = re.compile(r"^    '(\w+)',$")


class PruneError(Exception):
    """It is not the library that this was written for."""


def venues_of(init: str) -> list[str]:
    """The venues that a module `__init__` lists.

    Raises:
        PruneError: there is no list.
    """
    _, found, rest = init.partition("\nexchanges = [\n")
    if not found:
        raise PruneError("expected a list `exchanges` in the module, found none")
    return [
        match[1] for line in rest.partition("]")[0].splitlines() if (match := _ENTRY.match(line))
    ]


def pruned(init: str, keep: Collection[str]) -> str:
    """The same `__init__` with no other venues than those to keep."""
    gone = set(venues_of(init)) - set(keep)
    kept = []
    for line in init.splitlines(keepends=True):
        bare = line.rstrip("\n")
        imported, listed = _IMPORT.match(bare), _ENTRY.match(bare)
        if imported and imported[1] == imported[2] and imported[1] in gone:
            continue
        if listed and listed[1] in gone:
            continue
        kept.append(line)
    return "".join(kept)


def prune(folder: Path, venues: Collection[str] = ()) -> None:
    """Prunes an installed ccxt.

    Args:
        folder: where its `__init__.py` is.
        venues: which are kept; none: all.

    Raises:
        PruneError: it does not know one of them, or is another library than this was written for.
    """
    known = venues_of((folder / "async_support" / "__init__.py").read_text())
    if missing := set(venues) - set(known):
        raise PruneError(f"expected venues that ccxt knows, found {', '.join(sorted(missing))}")
    keep = set(venues) or set(known)
    for part, wanted in (("", set[str]()), ("async_support", keep), ("pro", keep)):
        file = folder / part / "__init__.py"
        init = file.read_text()
        for venue in set(venues_of(init)) - wanted:
            (folder / part / f"{venue}.py").unlink()
        file.write_text(pruned(init, wanted))
    for file in (folder / "abstract").glob("*.py"):
        if file.stem not in keep | {"__init__"}:
            file.unlink()
    for name in NEVER:
        shutil.rmtree(folder / name, ignore_errors=True)


def main() -> int:
    """Prunes what the command line names; returns the exit code."""
    try:
        prune(Path(sys.argv[1]), sys.argv[2:])
    except PruneError as error:
        sys.stderr.write(f"prune_ccxt: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
