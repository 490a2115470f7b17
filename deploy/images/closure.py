"""Picks out of a lock what some distributions need: names, versions and hashes as they stand there.

Which distribution needs which is read from wheels that lie on disk, so nothing is asked of an
index, and what is picked can never differ from the lock. Standard library and `packaging` only.

    closure.py --lock requirements/run.txt --wheels /wheels --project libs/common/pyproject.toml
"""

import argparse
import re
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Mapping
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

OURS = "goalkick-"
"""Names that begin so are in the repository, not in the lock."""

Needs = Mapping[str, tuple[Requirement, ...]]
"""Distribution -> what it says it needs, extras and markers included."""


class ClosureError(Exception):
    """Something is needed that is not there."""


def read_lock(text: str) -> dict[str, str]:
    """Name -> its lines in a lock of pip's form.

    Raises:
        ClosureError: a line belongs to no distribution.
    """
    entries: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not line[0].isspace():
            found = re.match(r"[A-Za-z0-9._-]+", line)
            if not found:
                raise ClosureError(f"lock: expected `name==version`, found {line!r}")
            name = canonicalize_name(found.group())
            entries.setdefault(name, "")  # a name stands there once for each kind of machine
        if not name:
            raise ClosureError(f"lock: expected a name before {line!r}, found none")
        entries[name] += line + "\n"
    return entries


def needs_of_wheels(folder: Path) -> dict[str, tuple[Requirement, ...]]:
    """What each wheel of a folder says that it needs."""
    return {
        str(parse_wheel_filename(wheel.name)[0]): _needs_of(wheel) for wheel in folder.glob("*.whl")
    }


def needs_of_project(file: Path) -> tuple[str, tuple[Requirement, ...]]:
    """Name of a project of ours, and what it needs."""
    project = tomllib.loads(file.read_text())["project"]
    return project["name"], tuple(Requirement(line) for line in project["dependencies"])


def closure(wanted: Iterable[Requirement], needs: Needs) -> set[str]:
    """All names that `wanted` leads to on this machine, ours left out.

    Raises:
        ClosureError: a distribution is needed whose own needs are not known.
    """
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [(requirement, "") for requirement in wanted]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        if name not in needs:
            raise ClosureError(f"{name}: expected a wheel or a project of that name, found none")
        if not name.startswith(OURS):
            found.add(name)
        for part in ("", *requirement.extras):
            if (name, part) not in seen:
                seen.add((name, part))
                waiting += [(need, part) for need in needs[name]]
    return found


def pick(lock: Mapping[str, str], names: Iterable[str]) -> str:
    """The lines of some names, in order of name.

    Raises:
        ClosureError: a name is not in the lock.
    """
    wanted = sorted(set(names))
    missing = [name for name in wanted if name not in lock]
    if missing:
        raise ClosureError(
            f"lock: expected {', '.join(missing)} in it, found none; run `make lock`"
        )
    return "".join(lock[name] for name in wanted)


def _needs_of(wheel: Path) -> tuple[Requirement, ...]:
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        headers = HeaderParser().parsestr(archive.read(metadata).decode("utf-8", "replace"))
    return tuple(Requirement(line) for line in headers.get_all("Requires-Dist") or ())


def main() -> int:
    """Prints the part of the lock; returns the exit code."""
    parser = argparse.ArgumentParser(description="Picks a part out of a lock.")
    parser.add_argument("--lock", type=Path, required=True)
    parser.add_argument("--wheels", type=Path, required=True)
    parser.add_argument("--project", type=Path, action="append", default=[])
    parser.add_argument("--without", type=Path, help="a list whose names are left out")
    asked = parser.parse_args()
    try:
        needs = needs_of_wheels(asked.wheels)
        wanted: list[Requirement] = []
        for file in asked.project:
            name, requirements = needs_of_project(file)
            needs[name] = requirements
            wanted += requirements
        names = closure(wanted, needs)
        if asked.without is not None:
            names -= read_lock(asked.without.read_text()).keys()
        sys.stdout.write(pick(read_lock(asked.lock.read_text()), names))
    except ClosureError as error:
        sys.stderr.write(f"closure: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
