"""The risk service as a process: the composition root."""

from collections.abc import Sequence

from goalkick.common.config.trading import TradingSettings
from goalkick.common.core.machine import Core
from goalkick.common.runtime.service import (
    ServiceSettings,
    Spec,
    Surroundings,
    core_service,
    run,
)
from goalkick.common.runtime.wiring import Service
from goalkick.common.runtime.worker import Worker
from goalkick.risk.core import RiskCore
from goalkick.risk.settings import RiskSettings
from goalkick.risk.standing import LOOKS


class RiskServiceSettings(ServiceSettings):
    """The sections that the risk service reads."""

    risk: RiskSettings = RiskSettings()
    trading: TradingSettings = TradingSettings()


def awaits_reports(core: Core) -> bool:
    """Whether execution may still have something to say about what a risk core decided."""
    assert isinstance(core, RiskCore)  # noqa: S101
    return core.awaits_reports


def build(settings: RiskServiceSettings, around: Surroundings) -> Worker:
    """The service, not started yet."""
    service = Service(
        "risk",
        lambda: RiskCore(settings.risk, live=settings.trading.live),
        awaits_reports,
        settings.risk.account,
        looks=LOOKS,
    )
    return core_service(settings, around, service)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the service; returns the exit code."""
    return run(Spec("risk", RiskServiceSettings, build), argv)
