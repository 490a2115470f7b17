"""Makes the golden renderings: `python -m tests.deploy.golden`. Look at what git says changed."""

from pathlib import Path
from typing import Any

import yaml

from tests.deploy.chart import CASES, CHART, rendered

USUAL_LABELS = frozenset(
    {
        "app.kubernetes.io/name",
        "app.kubernetes.io/instance",
        "app.kubernetes.io/part-of",
        "app.kubernetes.io/version",
        "app.kubernetes.io/managed-by",
        "helm.sh/chart",
    }
)

FOLDER = Path(__file__).with_name("golden")


def golden(case: str) -> str:
    """What a case renders to, without what is many times the same: programs and usual labels."""
    programs = {
        path.read_text().strip(): f"<{path.relative_to(CHART)}>"
        for path in sorted(CHART.glob("files/*.py"))
    }
    text = yaml.safe_dump_all(
        (_shortened(found, programs) for found in rendered(case)), sort_keys=False, width=120
    )
    return str(text)


def _shortened(found: Any, programs: dict[str, str]) -> Any:
    if isinstance(found, dict):
        return {
            key: _shortened(one, programs) for key, one in found.items() if key not in USUAL_LABELS
        }
    if isinstance(found, list):
        return [_shortened(one, programs) for one in found]
    return programs.get(found.strip(), found) if isinstance(found, str) else found


def main() -> None:
    """Writes all of them."""
    FOLDER.mkdir(exist_ok=True)
    for case in CASES:
        (FOLDER / f"{case}.yaml").write_text(golden(case))


if __name__ == "__main__":
    main()
