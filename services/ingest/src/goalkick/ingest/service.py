"""The ingest service as a process: the composition root."""

from collections.abc import Sequence

from goalkick.common.runtime.service import ServiceSettings, Spec, Surroundings, run
from goalkick.common.runtime.source import Source
from goalkick.ingest.settings import IngestSettings


class IngestServiceSettings(ServiceSettings):
    """The sections that the ingest service reads."""

    ingest: IngestSettings = IngestSettings()


def build(settings: IngestServiceSettings, around: Surroundings) -> Source:
    """The service, not started yet.

    Raises:
        InvalidDataError: a recorded file is not what it should be.
    """
    # What reads candle files weighs 100 MB; only who needs it loads it.
    from goalkick.ingest.feeds.build import build_live, build_recorded  # noqa: PLC0415

    ingest = settings.ingest
    if ingest.feed == "ccxt":
        live = build_live(ingest, around.clock, around.meter.metrics)
        return Source(around.bus, settings.runtime, around.clock, around.meter, live=live.steps)
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
