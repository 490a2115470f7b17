"""From settings to a feed. What one feed needs is not loaded for another: pyarrow, ccxt."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.core.errors import SettingsError
from goalkick.common.ports.budget import Budget
from goalkick.common.ports.clock import Clock
from goalkick.common.ports.feed import LiveFeed, RecordedFeed
from goalkick.common.values.time import parse_time
from goalkick.ingest.feeds.aggregate import (
    live_with_intervals,
    with_intervals,
)
from goalkick.ingest.settings import (
    CcxtSettings,
    IngestSettings,
    RecordingSettings,
    ReplaySettings,
)

if TYPE_CHECKING:
    from goalkick.common.telemetry.metrics import Metrics
    from goalkick.ingest.candles import CandleTable
    from goalkick.ingest.feeds.recording import Frames


def build_recorded(settings: IngestSettings) -> RecordedFeed:
    """A simulated or recorded market, with longer bars where they are asked for.

    Raises:
        SettingsError: the feed is a live one, or there are no files to replay.
        InvalidDataError: a candle file or a recording is bad.
    """
    if settings.feed == "simulated":
        from goalkick.ingest.feeds.simulated import SimulatedFeed  # noqa: PLC0415

        return with_intervals(SimulatedFeed(settings.simulated), settings.intervals)
    if settings.feed == "replay":
        from goalkick.ingest.feeds.replay import ReplayFeed  # noqa: PLC0415

        return with_intervals(ReplayFeed(read_tables(settings.replay)), settings.intervals)
    if settings.feed == "recording":
        return with_intervals(read_recordings(settings), settings.intervals)
    raise SettingsError(
        f"ingest.feed: expected simulated, replay or recording where time is not the clock's, "
        f"found {settings.feed}"
    )


def build_live(
    settings: IngestSettings,
    clock: Clock | None = None,
    metrics: "Metrics | None" = None,
    budget: Budget | None = None,
) -> LiveFeed:
    """Venues' market data as it comes, with longer bars where they are asked for.

    Args:
        settings: of the service.
        clock: says which bars are closed; None: the machine's.
        metrics: where counts are shown; None: nowhere.
        budget: gives leave for requests; None: they go at ccxt's own pace.

    Raises:
        SettingsError: the feed is a recorded one.
    """
    if settings.feed != "ccxt":
        raise SettingsError(f"ingest.feed: expected ccxt for a live feed, found {settings.feed}")
    clock = clock or SystemClock()
    feed: LiveFeed
    if settings.ccxt.transport == "poll":
        from goalkick.ingest.feeds.ccxt import CcxtFeed  # noqa: PLC0415

        feed = CcxtFeed(settings.ccxt, clock, budget=budget)
    else:
        feed = _streaming(settings.ccxt, clock, metrics, budget)
    return live_with_intervals(feed, settings.intervals)


def _streaming(
    settings: CcxtSettings, clock: Clock, metrics: "Metrics | None", budget: Budget | None
) -> LiveFeed:
    """One feed for each connection, and what makes them one."""
    from goalkick.ingest.feeds.redundant import RedundantFeed  # noqa: PLC0415
    from goalkick.ingest.feeds.stream import StreamFeed  # noqa: PLC0415
    from goalkick.ingest.feeds.stream_tally import FeedTally  # noqa: PLC0415
    from goalkick.ingest.feeds.stream_venues import dialect_of  # noqa: PLC0415

    feeds: list[StreamFeed] = []
    for number in range(1, settings.connections + 1):
        tally = FeedTally(metrics, beside=feeds[0].tally if feeds else None)
        own = settings
        if settings.record is not None and feeds:
            # What one connection lacks another's recording has: they are not mixed.
            folder = settings.record / f"connection-{number}"
            own = settings.model_copy(update={"record": folder})
        feeds.append(StreamFeed(own, clock, tally=tally, budget=budget))
    if len(feeds) == 1:
        return feeds[0]
    unnumbered = [name for name in settings.venues if not dialect_of(name).numbered]
    return RedundantFeed(feeds, clock, unnumbered=unnumbered, metrics=metrics)


def read_recordings(settings: IngestSettings) -> RecordedFeed:
    """Recordings of raw frames: ours as the live feed told them, others' with bars of the trades.

    Raises:
        SettingsError: there are no files, or the venue of one is not known.
        InvalidDataError: a recording is corrupt, or does not list the instruments.
    """
    from goalkick.ingest.feeds.recorded_stream import RecordedStream  # noqa: PLC0415
    from goalkick.ingest.feeds.recording import RecordingFeed, instruments_in  # noqa: PLC0415
    from goalkick.ingest.recording import Recording  # noqa: PLC0415

    recordings = recordings_by_venue(settings.recording)
    ccxt = settings.ccxt
    if all(isinstance(one, Recording) for files in recordings.values() for one in files):
        return RecordedStream(recordings, ccxt)
    listed = {
        venue: [one for one in instruments_in(files, venue) if one.rules.id in ccxt.instruments]
        for venue, files in recordings.items()
    }
    return RecordingFeed(recordings, listed, (ccxt.interval,))


def recordings_by_venue(settings: RecordingSettings) -> "dict[str, list[Frames]]":
    """The recordings of each venue, oldest first.

    Raises:
        SettingsError: there are no files, or the venue of one is not known.
    """
    from goalkick.ingest.feeds.recording import open_recording  # noqa: PLC0415
    from goalkick.ingest.recording import SUFFIX  # noqa: PLC0415

    if not settings.files:
        raise SettingsError("ingest.recording.files: expected recordings, found none")
    found: dict[str, list[Frames]] = {}
    for path in sorted(settings.files, key=lambda path: path.name):
        if not path.is_file():
            raise SettingsError(f"{path}: expected a recording, found no such file")
        named = path.name.partition("-")[0] if path.name.endswith(SUFFIX) else None
        venue = named or settings.venue
        if venue is None:
            raise SettingsError(
                f"{path}: expected a name such as binance-20240101T00-0000{SUFFIX}, or the venue's "
                "name besides (ingest.recording.venue, or --venue), found neither"
            )
        found.setdefault(venue, []).append(open_recording(path))
    return found


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
