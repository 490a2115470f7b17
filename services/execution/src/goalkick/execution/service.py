"""The execution service as a process: the composition root."""

from collections.abc import Sequence

from pydantic import model_validator

from goalkick.common.adapters.budget.settings import BudgetSettings, open_budget
from goalkick.common.config.trading import TradingSettings
from goalkick.common.core.machine import Core
from goalkick.common.runtime.outside import OutsideWorker
from goalkick.common.runtime.service import (
    Pump,
    ServiceSettings,
    Spec,
    Surroundings,
    core_service,
    run,
)
from goalkick.common.runtime.wiring import Service
from goalkick.execution.live import LiveExecution
from goalkick.execution.paper import PaperExecution
from goalkick.execution.settings import ExecutionSettings, check_trading, honoured_for_ns
from goalkick.execution.standing import LOOKS
from goalkick.execution.venues.build import build_venue


class ExecutionServiceSettings(ServiceSettings):
    """The sections that the execution service reads."""

    execution: ExecutionSettings = ExecutionSettings()
    trading: TradingSettings = TradingSettings()
    budget: BudgetSettings = BudgetSettings()

    @model_validator(mode="after")
    def _live_is_said_twice(self) -> "ExecutionServiceSettings":
        check_trading(self.trading, self.execution)
        if self.trading.live and self.grace >= self.runtime.kafka.session_timeout:
            raise ValueError(
                "mode live: expected runtime.kafka.session_timeout to be longer than "
                "execution.venue.recv_window and margin together, so that of two copies only one "
                f"can trade, found {self.runtime.kafka.session_timeout} and {self.grace} ns"
            )
        return self

    @property
    def grace(self) -> int:
        """For how long the venue honours what is signed now, ns."""
        return honoured_for_ns(self.execution)


def has_working_orders(core: Core) -> bool:
    """Whether risk may await a report of an order; the mirror of risk's own knowledge."""
    assert isinstance(core, PaperExecution)  # noqa: S101
    return core.execution.busy


def build(settings: ExecutionServiceSettings, around: Surroundings) -> Pump:
    """The service with its paper venue, or with a venue outside; not started yet.

    Raises:
        SettingsError: a secret cannot be had.
    """
    execution = settings.execution
    if settings.trading.live:
        service = Service(
            "execution",
            lambda: LiveExecution(execution),
            account=execution.account,
            looks=LOOKS,
        )

        budget = open_budget(settings.budget, around.clock, around.meter.metrics)
        around.closing.push_async_callback(budget.close)

        def may_place() -> bool:
            return worker.may_act()

        venue = build_venue(execution, around.stores, may_place, budget)
        worker = OutsideWorker(
            around.bus,
            service,
            venue,
            settings.runtime,
            around.clock,
            around.meter,
            around.instance,
            settings.grace,
            execution.cancel_all.grace,
        )
        return worker
    service = Service(
        "execution",
        lambda: PaperExecution(execution),
        account=execution.account,
        reports=has_working_orders,
    )
    return core_service(settings, around, service)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the service; returns the exit code."""
    return run(Spec("execution", ExecutionServiceSettings, build), argv)
