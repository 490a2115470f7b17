"""Leaves out the tests of the chart where there is no helm, and says so."""

from pathlib import Path
from typing import Any

from tests.deploy.chart import HelmMissingError, helm_program

collect_ignore: list[str] = []
_WHY: list[str] = []
try:
    helm_program()
except HelmMissingError as error:
    collect_ignore += [path.name for path in Path(__file__).parent.glob("test_chart_*.py")]
    _WHY.append(str(error))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Says what was left out for want of helm."""
    for why in _WHY:
        terminalreporter.write_line(f"left out the tests of the chart: {why}", yellow=True)
