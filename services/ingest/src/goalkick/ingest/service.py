"""The ingest service as a process: the composition root."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from goalkick.common.adapters.budget.settings import BudgetSettings, open_budget
from goalkick.common.config.trading import TradingSettings
from goalkick.common.runtime.service import ServiceSettings, Spec, Surroundings, run
from goalkick.common.runtime.source import Source
from goalkick.common.values.time import NS_PER_MS
from goalkick.ingest.settings import IngestSettings

QUIET_EVERY_NS: Final = 250 * NS_PER_MS
"""Time between two promises where orders go to a venue: half of it is what a report waits."""


class IngestServiceSettings(ServiceSettings):
    """The sections that the ingest service reads."""

    ingest: IngestSettings = IngestSettings()
    trading: TradingSettings = TradingSettings()
    budget: BudgetSettings = BudgetSettings()

    @property
    def promising(self) -> IngestSettings:
        """What ingest does, with how often it promises a quiet moment."""
        ccxt = self.ingest.ccxt
        if ccxt.quiet_every is not None or not self.trading.live:
            return self.ingest
        ccxt = ccxt.model_copy(update={"quiet_every": QUIET_EVERY_NS})
        return self.ingest.model_copy(update={"ccxt": ccxt})


def build(settings: IngestServiceSettings, around: Surroundings) -> Source:
    """The service, not started yet.

    Raises:
        InvalidDataError: a recorded file is not what it should be.
    """
    # What reads candle files weighs 100 MB; only who needs it loads it.
    from goalkick.ingest.feeds.aggregate import begun, standing_of  # noqa: PLC0415
    from goalkick.ingest.feeds.build import build_live, build_recorded  # noqa: PLC0415

    ingest = settings.promising
    if ingest.feed == "ccxt":
        budget = open_budget(settings.budget, around.clock, around.meter.metrics)
        around.closing.push_async_callback(budget.close)
        live = build_live(ingest, around.clock, around.meter.metrics, budget)
        return Source(
            around.bus,
            settings.runtime,
            around.clock,
            around.meter,
            live=live.steps,
            standing=partial(standing_of, live),
            begun=partial(begun, live),
            leave_after=ingest.ccxt.leave_after,
        )
    recorded = build_recorded(ingest)
    return Source(
        around.bus,
        settings.runtime,
        around.clock,
        around.meter,
        recorded=recorded.steps,
        speed=ingest.speed,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the service; returns the exit code."""
    return run(Spec("ingest", IngestServiceSettings, build), argv)
