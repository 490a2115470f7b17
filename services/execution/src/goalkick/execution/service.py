"""The execution service as a process: the composition root."""

from collections.abc import Sequence

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
from goalkick.execution.paper import PaperExecution
from goalkick.execution.settings import ExecutionSettings


class ExecutionServiceSettings(ServiceSettings):
    """The sections that the execution service reads."""

    execution: ExecutionSettings = ExecutionSettings()


def has_working_orders(core: Core) -> bool:
    """Whether risk may await a report of an order; the mirror of risk's own knowledge."""
    assert isinstance(core, PaperExecution)  # noqa: S101
    return bool(core.execution.working)


def build(settings: ExecutionServiceSettings, around: Surroundings) -> Worker:
    """The service with its paper venue, not started yet."""
    service = Service(
        "execution",
        lambda: PaperExecution(settings.execution),
        account=settings.execution.account,
        reports=has_working_orders,
    )
    return core_service(settings, around, service)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the service; returns the exit code."""
    return run(Spec("execution", ExecutionServiceSettings, build), argv)
