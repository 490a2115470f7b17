"""Looks up known vulnerabilities of everything in the locks: a part of `make lint`.

Exit code 1 where there are any. Where the database cannot be reached, it says so in one line and
exits with 0: a machine without a network can still check the rest.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCKS = tuple(Path(__file__).with_name(name) for name in ("run.txt", "train.txt", "dev.txt"))
LIMIT_S = 120
"""How long one lock may take; it takes about 10 s where the database answers."""


def known(lock: Path) -> list[dict[str, Any]]:
    """What the database says of each distribution of a lock; nothing where it cannot be reached."""
    words = ["pip_audit", "--no-deps", "--disable-pip", "--progress-spinner=off", "-f", "json"]
    try:
        done = subprocess.run(  # noqa: S603 (our own words)
            [sys.executable, "-m", *words, "-r", str(lock)],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return []
    return [one for one in found if "skip_reason" not in one]


def main() -> int:
    """Audits the locks; returns the exit code."""
    worst = 0
    for lock in LOCKS:
        looked_up = known(lock)
        if not looked_up:
            print(f"audit of {lock.name}: nothing was looked up, the database does not answer")
            continue
        vulnerable = [one for one in looked_up if one["vulns"]]
        for one in vulnerable:
            ids = ", ".join(vulnerability["id"] for vulnerability in one["vulns"])
            print(f"audit of {lock.name}: {one['name']} {one['version']}: {ids}")
        print(f"audit of {lock.name}: {len(looked_up)} looked up, {len(vulnerable)} vulnerable")
        worst = worst or int(bool(vulnerable))
    return worst


if __name__ == "__main__":
    sys.exit(main())
