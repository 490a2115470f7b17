"""Leaves out the tests of the chart where there is no helm, and of others; says so."""

from pathlib import Path
from typing import Any

from tests.deploy.chart import KUBECTL_MISSING, HelmMissingError, helm_program, kubectl_program
from tests.deploy.promql import MISSING, promtool

collect_ignore: list[str] = []
_WHY: list[str] = []
try:
    helm_program()
except HelmMissingError as error:
    collect_ignore += [path.name for path in Path(__file__).parent.glob("test_chart_*.py")]
    _WHY.append(str(error))
if kubectl_program() is None:
    _WHY.append(KUBECTL_MISSING)
if promtool() is None:
    _WHY.append(MISSING)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Says what was left out for want of helm."""
    for why in _WHY:
        terminalreporter.write_line(f"left out tests: {why}", yellow=True)
