"""The strategy service as a process: the composition root."""

from collections.abc import Callable, Sequence

from goalkick.common.runtime.service import (
    ServiceSettings,
    Spec,
    Surroundings,
    core_service,
    run,
)
from goalkick.common.runtime.wiring import Service
from goalkick.common.runtime.worker import Worker
from goalkick.strategy.core import StrategyCore
from goalkick.strategy.discovery import discover
from goalkick.strategy.settings import StrategySettings


class StrategyServiceSettings(ServiceSettings):
    """The sections that the strategy service reads."""

    strategy: StrategySettings = StrategySettings()


def maker(settings: StrategySettings) -> Callable[[], StrategyCore]:
    """What makes the service's cores.

    Raises:
        SettingsError: a strategy or a parameter is unknown.
    """
    catalogue = discover(settings.folder)
    StrategyCore(settings, catalogue)
    return lambda: StrategyCore(settings, catalogue)


def build(settings: StrategyServiceSettings, around: Surroundings) -> Worker:
    """The service, not started yet.

    Raises:
        SettingsError: see `maker`.
    """
    service = Service(
        "strategy",
        maker(settings.strategy),
        deployment=settings.strategy.deployment,
        renews=True,
    )
    return core_service(settings, around, service)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the service; returns the exit code."""
    spec = Spec(
        "strategy", StrategyServiceSettings, build, lambda settings: settings.strategy.deployment
    )
    return run(spec, argv)
