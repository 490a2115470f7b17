"""`goalkick run`: the platform in one process, on paper unless the settings say otherwise."""

# ruff: noqa: PLC0415 (see the package's text)

import sys
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO, cast

import msgspec
import typer

from goalkick.common.values.money import plain
from goalkick.common.values.time import format_time
from goalkick.embedded.commands.grammar import UsageError
from goalkick.embedded.commands.options import (
    BARS_HELP,
    Config,
    DataDir,
    Json,
    OnBadData,
    duration_seconds,
    speed_factor,
)
from goalkick.embedded.console import print_json, print_note, print_table, print_text, progress

if TYPE_CHECKING:
    from goalkick.embedded.markets import LiveVenue, Replay
    from goalkick.embedded.picture import Decision
    from goalkick.embedded.run import Ending, Market, Session, StopRequest
    from goalkick.embedded.settings import GoalkickSettings
    from goalkick.embedded.view import Caption

STATE_FILE = "state.sqlite"
LOG_FILE = "goalkick.log"
"""Warnings, while the screen is shown: they must not be written across it."""


def run(
    config: Config = None,
    duration: Annotated[
        float | None,
        typer.Option(
            parser=duration_seconds,
            metavar="DURATION",
            help="how long to trade, by the clock on the wall: 60s, 5m, 1h [default: until Ctrl-C]",
        ),
    ] = None,
    bars: Annotated[
        list[Path] | None,
        typer.Option(
            "--bars",
            metavar="FILE...",
            help=f"trade a recorded market instead: {BARS_HELP}",
        ),
    ] = None,
    replay: Annotated[
        list[Path] | None,
        typer.Option(
            "--replay",
            metavar="RECORDING...",
            help="trade what a venue said once instead: recordings of raw frames, such as those "
            "that --record makes",
        ),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            parser=speed_factor,
            metavar="FACTOR",
            help="how much faster than the clock the market goes: 1x, 60x, max [default: 60x for "
            "the simulated market, max for --bars and --replay; live prices have a speed of their "
            "own]",
        ),
    ] = None,
    prices_of: Annotated[
        str | None,
        typer.Option(
            "--venue",
            metavar="NAME",
            help="trade on a venue's live prices instead: ccxt's name of it, such as binance; with "
            "--replay: whose recordings they are, if their names do not say it",
        ),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint",
            metavar="URL",
            help="scheme, host and port instead of the venue's own, such as those that `goalkick "
            "venue` prints",
        ),
    ] = None,
    instrument: Annotated[
        list[str] | None,
        typer.Option(
            "--instrument",
            metavar="NAME...",
            help="what to trade on --venue, or of --replay, by unified names [default: BTC/USDT]",
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            "--record",
            metavar="DIR",
            help="where to record every frame of --venue, for --replay",
        ),
    ] = None,
    data_dir: DataDir = None,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh", help="begin anew: the state of earlier runs is moved aside, not deleted"
        ),
    ] = False,
    on_bad_data: OnBadData = "refuse",
    json: Json = False,
) -> None:
    """Trade in this process: on paper, and a simulated market, unless settings say otherwise.

    On a terminal a live view; elsewhere, or with --json, one line of JSON for each decision.
    Ctrl-C stops it cleanly; the next run goes on from there.
    """
    from goalkick.common.adapters.secrets.dumps import forbid_core_dumps
    from goalkick.common.telemetry import logs
    from goalkick.embedded.configuration import data_directory, load_models
    from goalkick.embedded.markets import prepare
    from goalkick.embedded.run import LOG_ROOM, Session, StopRequest
    from goalkick.embedded.safe import open_state, stores_of
    from goalkick.embedded.venues import build_venue
    from goalkick.embedded.view import Caption

    source = _source(prices_of, endpoint, instrument, record, replay, bars)
    directory = data_directory(data_dir)
    forbid_core_dumps()
    with StopRequest() as stop, ExitStack() as stack:
        lines = json or not sys.stdout.isatty()
        # Before anybody warns: standard output is for what is printed.
        logs.configure("run")
        settings, market = prepare(config, bars or (), speed, on_bad_data, source)
        stores = stack.enter_context(stores_of(settings).tended())
        venue = build_venue(settings, stores, market.budget)
        live = venue.name if venue else ""
        _announce(directory, market, settings, live, lines=lines)
        if fresh:
            _move_aside(directory)
        room = LOG_ROOM if venue else 0
        with closing(open_state(directory / STATE_FILE, stores, room_bytes=room)) as store:
            with progress("Getting the indicators ready", None, "steps"):
                session = Session(
                    settings,
                    market,
                    store,
                    _print_decision if lines else _keep_quiet,
                    models=load_models(settings),
                    venue=venue,
                )
            caption = Caption(
                market=market.name,
                pace=market.pace,
                place=str(directory),
                currency=settings.execution.currency,
                live=live,
            )
            if session.resumed:
                print_note(f"goes on after {format_time(session.moment_ns)}, the last run's end")
            ending = _trade(session, caption, stop, duration, lines=lines)
        _print_summary(session, settings, ending, directory, lines=lines)


def _source(
    venue: str | None,
    endpoint: str | None,
    instruments: list[str] | None,
    record: Path | None,
    replay: list[Path] | None,
    bars: list[Path] | None,
) -> "LiveVenue | Replay | None":
    """What the options name to trade on; None: candle files, or what the settings name."""
    from goalkick.embedded.markets import LiveVenue, Replay

    if bars and (replay or venue):
        raise UsageError(f"expected {'--replay' if replay else '--venue'} or --bars, found both")
    if replay:
        if endpoint or record:
            raise UsageError("expected no --endpoint and no --record with --replay, found one")
        return Replay(replay, venue, instruments or ())
    if venue is None:
        if endpoint or instruments or record:
            raise UsageError(
                "expected --venue with --endpoint, --instrument or --record, found none"
            )
        return None
    return LiveVenue(venue, instruments or ("BTC/USDT",), endpoint, record)


def _trade(
    session: "Session",
    caption: "Caption",
    stop: "StopRequest",
    duration: float | None,
    *,
    lines: bool,
) -> "Ending":
    """Trades until it ends; on a terminal with a live view."""
    import uvloop
    from rich.console import Console
    from rich.live import Live

    from goalkick.common.telemetry import logs
    from goalkick.embedded.run import keep_trading
    from goalkick.embedded.view import LogBook, Screen

    if lines:
        logs.configure("run")
        return uvloop.run(keep_trading(session, stop, duration_seconds=duration))
    screen = Screen(session.picture, caption)
    with (
        (Path(caption.place) / LOG_FILE).open("a", encoding="utf-8") as file,
        Live(screen, console=Console(), screen=True, auto_refresh=False) as live,
    ):
        logs.configure("run", "warning", "text", stream=cast("TextIO", LogBook(file, caption)))
        try:
            return uvloop.run(
                keep_trading(session, stop, duration_seconds=duration, redraw=live.refresh)
            )
        finally:
            logs.configure("run")


def _announce(
    directory: Path, market: "Market", settings: "GoalkickSettings", live: str, *, lines: bool
) -> None:
    """The first line of output: where the state is kept, what is traded, and whether for real."""
    strategies = list(settings.strategy.strategies)
    if lines:
        print_json(
            {
                "event": "started",
                "trading": f"live on {live}" if live else "paper",
                "data_dir": str(directory),
                "market": market.name,
                "pace": market.pace,
                "strategies": strategies,
            }
        )
    else:
        print_text(
            f"data directory {directory}; {f'LIVE on {live}' if live else 'paper trading'}, "
            f"{market.name}, {market.pace}; "
            f"strategies {', '.join(strategies)}"
        )


def _print_decision(decision: "Decision") -> None:
    """One line of JSON: time, what, id, and what else is to say."""
    print_json(
        {
            "time": format_time(decision.time_ns),
            "event": decision.kind,
            "id": decision.id,
            **decision.fields,
        }
    )


def _keep_quiet(decision: "Decision") -> None:
    """The screen shows it."""


def _print_summary(
    session: "Session",
    settings: "GoalkickSettings",
    ending: "Ending",
    directory: Path,
    *,
    lines: bool,
) -> None:
    picture = session.picture
    currency = settings.execution.currency
    counts = msgspec.structs.asdict(picture.counts)
    positions = {
        name: holding.quantity for name, holding in picture.holdings.items() if holding.quantity
    }
    if lines:
        print_json(
            {
                "event": "stopped",
                "reason": ending,
                "time": format_time(picture.moment_ns) if picture.moment_ns else None,
                **counts,
                "working": len(picture.working),
                "positions": {name: plain(quantity) for name, quantity in positions.items()},
                "cash": plain(picture.cash),
                "equity": plain(picture.equity),
                "profit": plain(picture.profit),
                "fees": plain(picture.fees),
                "currency": currency,
                "data_dir": str(directory),
            }
        )
        return
    print_table(
        f"Stopped: {ending}",
        ("Figure", ">Value"),
        (
            ("Market time", format_time(picture.moment_ns) if picture.moment_ns else "none yet"),
            *((name.capitalize(), f"{number:,}") for name, number in counts.items()),
            *(("Position", f"{plain(held)} {name}") for name, held in positions.items()),
            ("Cash", f"{picture.cash:,.2f} {currency}"),
            ("Equity", f"{picture.equity:,.2f} {currency}"),
            ("Profit", f"{picture.profit:+,.2f} {currency}"),
            ("Fees", f"{picture.fees:,.2f} {currency}"),
        ),
    )
    print_text(f"The state is in {directory}; run again to go on from there.")


def _move_aside(directory: Path) -> None:
    """Renames the state file and what SQLite keeps beside it.

    Raises:
        TransientError: another run is using it.
    """
    from goalkick.common.adapters.state.sqlite import SqliteStateStore
    from goalkick.common.core.errors import InvalidDataError

    if not (directory / STATE_FILE).exists():
        return
    with suppress(InvalidDataError):
        # Only to see that nobody is in it; what is damaged may be moved aside, too.
        SqliteStateStore(directory / STATE_FILE).close()
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    for file in sorted(directory.glob(f"{STATE_FILE}*")):
        file.rename(directory / f"before-{stamp}-{file.name}")
