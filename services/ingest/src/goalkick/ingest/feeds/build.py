"""From settings to a feed. What one feed needs is not loaded for another: pyarrow, ccxt."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.core.errors import SettingsError
from goalkick.common.ports.clock import Clock
from goalkick.common.ports.feed import LiveFeed, RecordedFeed
from goalkick.common.values.time import parse_time
from goalkick.ingest.feeds.aggregate import (
    live_with_intervals,
    with_intervals,
)
from goalkick.ingest.settings import IngestSettings, ReplaySettings

if TYPE_CHECKING:
    from goalkick.common.telemetry.metrics import Metrics
    from goalkick.ingest.candles import CandleTable


def build_recorded(settings: IngestSettings) -> RecordedFeed:
    """The simulated market, or recorded candles, with longer bars where they are asked for.

    Raises:
        SettingsError: the feed is a live one, or there are no files to replay.
        InvalidDataError: a candle file is bad.
    """
    if settings.feed == "simulated":
        from goalkick.ingest.feeds.simulated import SimulatedFeed  # noqa: PLC0415

        return with_intervals(SimulatedFeed(settings.simulated), settings.intervals)
    if settings.feed == "replay":
        from goalkick.ingest.feeds.replay import ReplayFeed  # noqa: PLC0415

        return with_intervals(ReplayFeed(read_tables(settings.replay)), settings.intervals)
    raise SettingsError(
        f"ingest.feed: expected simulated or replay where time is not the clock's, "
        f"found {settings.feed}"
    )


def build_live(
    settings: IngestSettings, clock: Clock | None = None, metrics: "Metrics | None" = None
) -> LiveFeed:
    """Venues' market data as it comes, with longer bars where they are asked for.

    Args:
        settings: of the service.
        clock: says which bars are closed; None: the machine's.
        metrics: where counts are shown; None: nowhere.

    Raises:
        SettingsError: the feed is a recorded one.
    """
    if settings.feed != "ccxt":
        raise SettingsError(f"ingest.feed: expected ccxt for a live feed, found {settings.feed}")
    clock = clock or SystemClock()
    feed: LiveFeed
    if settings.ccxt.transport == "poll":
        from goalkick.ingest.feeds.ccxt import CcxtFeed  # noqa: PLC0415

        feed = CcxtFeed(settings.ccxt, clock)
    else:
        from goalkick.ingest.feeds.stream import StreamFeed  # noqa: PLC0415
        from goalkick.ingest.feeds.stream_tally import FeedTally  # noqa: PLC0415

        feed = StreamFeed(settings.ccxt, clock, tally=FeedTally(metrics))
    return live_with_intervals(feed, settings.intervals)


def read_tables(settings: ReplaySettings) -> "Sequence[CandleTable]":
    """The candles of all files, within `since` and `until`.

    Raises:
        SettingsError: there are no files.
        InvalidDataError: a file is bad, or has no bar in the span.
    """
    from goalkick.ingest.candles import read_candles  # noqa: PLC0415

    if not settings.files:
        raise SettingsError("ingest.replay.files: expected candle files, found none")
    since_ns = None if settings.since is None else parse_time(settings.since)
    until_ns = None if settings.until is None else parse_time(settings.until)
    return [
        read_candles(path, on_bad_data=settings.on_bad_data).between(since_ns, until_ns)
        for path in settings.files
    ]
