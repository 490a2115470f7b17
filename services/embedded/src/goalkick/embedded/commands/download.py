"""`goalkick download`: history of a venue into the archive."""

# ruff: noqa: PLC0415 (see the package's text)

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from goalkick.embedded.commands.grammar import UsageError
from goalkick.embedded.commands.options import Json, moment_ns
from goalkick.embedded.console import print_json, print_note, print_table, print_text, progress

if TYPE_CHECKING:
    from goalkick.common.config.secret import Secret
    from goalkick.ingest.archive.download import Fetched, Wanted

_UNITS = {"candles": "bars", "trades": "trades", "funding": "months"}


def download(
    venue: Annotated[str, typer.Option(metavar="NAME", help="ccxt's name of the venue")],
    instrument: Annotated[
        list[str],
        typer.Option(
            "--instrument", metavar="NAME...", help="unified names: BTC/USDT, BTC/USDT:USDT"
        ),
    ],
    from_ns: Annotated[
        int,
        typer.Option(
            "--from", parser=moment_ns, metavar="DATE", help="start, ISO date or time in UTC"
        ),
    ],
    to_ns: Annotated[
        int | None,
        typer.Option(
            "--to",
            parser=moment_ns,
            metavar="DATE",
            help="end, exclusive, ISO date or time in UTC [default: now]",
        ),
    ] = None,
    kind: Annotated[
        Literal["candles", "trades", "funding"], typer.Option(help="what to fetch")
    ] = "candles",
    grain: Annotated[
        Literal["aggregate", "single"],
        typer.Option(help="trades as the venue adds them up, or each of them, which needs a key"),
    ] = "aggregate",
    key: Annotated[
        str | None,
        typer.Option(
            metavar="REFERENCE",
            help="where an API key is, `env:NAME` or `file:/path`; it needs no rights, and nothing "
            "is signed; for single trades",
        ),
    ] = None,
    bar: Annotated[
        str, typer.Option(metavar="DURATION", help="length of the bars, at most 1d; for candles")
    ] = "1m",
    out: Annotated[Path, typer.Option(metavar="DIR", help="the archive's folder")] = Path("data"),
    endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="scheme, host and port instead of the venue's own; for an emulator"
        ),
    ] = None,
    limiter: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="ask this limiter for leave, where a platform calls the venue from the same "
            "address; its `/` at the end left out",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Fetch candles, trades or funding of a venue into Parquet files.

    It may be stopped anywhere: the same command goes on from there. What the venue does not have is
    asked for twice and then written down as missing in the manifest beside the files.
    """
    from pydantic import ValidationError

    from goalkick.common.telemetry.logs import configure
    from goalkick.common.values.time import parse_duration
    from goalkick.ingest.archive.download import Wanted

    configure("download", "warning")

    try:
        interval_ns = parse_duration(bar)
    except ValueError as error:
        raise UsageError(f"--bar: {error}") from None
    wanted = Wanted(
        venue=venue,
        instruments=tuple(dict.fromkeys(instrument)),
        kind=kind,
        from_ns=from_ns,
        to_ns=time.time_ns() if to_ns is None else to_ns,
        interval_ns=interval_ns,
        out=out,
        endpoint=endpoint.rstrip("/") if endpoint else None,
        grain=grain,
        key=_secret(key) if key else None,
    )
    began = time.perf_counter()
    try:
        found, requests, waits = asyncio.run(_fetch(wanted, limiter))
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"--{first['loc'][0]}: {first['msg']}") from error
    except KeyboardInterrupt:
        print_note("what was fetched is kept; the same command goes on from there")
        raise
    seconds = time.perf_counter() - began
    if json:
        print_json(_summary(wanted, found, requests, waits, seconds))
    else:
        _print(wanted, found, requests, waits, seconds)


def _secret(reference: str) -> "Secret":
    from goalkick.common.adapters.secrets.env import EnvSecrets
    from goalkick.common.adapters.secrets.file import FileSecrets
    from goalkick.common.config.secret import Secret

    return Secret(reference).resolve({"env": EnvSecrets(os.environ), "file": FileSecrets()})


async def _fetch(wanted: "Wanted", limiter: str | None) -> tuple[list["Fetched"], int, int]:
    from contextlib import AsyncExitStack

    from goalkick.common.adapters.budget.settings import BudgetSettings, open_budget
    from goalkick.common.adapters.clock.system import SystemClock
    from goalkick.ingest.archive.download import Download

    async with AsyncExitStack() as stack:
        budget = open_budget(BudgetSettings(limiter=limiter), SystemClock()) if limiter else None
        if budget is not None:
            stack.push_async_callback(budget.close)
        download = await stack.enter_async_context(await Download.open(wanted, budget))
        total = await download.plan()
        with progress("Downloading", total, _UNITS[wanted.kind]) as tell:
            found = await download.run(tell)
        return found, download.history.requests, download.history.waits


def _summary(
    wanted: "Wanted", found: list["Fetched"], requests: int, waits: int, seconds: float
) -> dict[str, Any]:
    return {
        "kind": wanted.kind,
        "series": [
            {
                "instrument": one.instrument,
                "folder": str(one.folder),
                "from": one.start,
                "to": one.end,
                "rows": one.rows,
                "files": one.files,
                "kept": one.kept,
                "missing": one.missing,
                "refused": one.refused,
            }
            for one in found
        ],
        "requests": requests,
        "waits": waits,
        "seconds": seconds,
    }


def _print(
    wanted: "Wanted", found: list["Fetched"], requests: int, waits: int, seconds: float
) -> None:
    print_table(
        "",
        ("Instrument", "From", "To", ">Rows", ">Missing", ">Refused", ">Files", ">New", "Folder"),
        (
            (
                one.instrument,
                "" if one.start is None else one.start,
                "" if one.end is None else one.end,
                f"{one.rows:,}",
                f"{one.missing:,}",
                f"{one.refused:,}",
                one.files,
                one.files - one.kept,
                one.folder,
            )
            for one in found
        ),
    )
    slowed = f", told to slow down {waits} times" if waits else ""
    print_text(f"{requests:,} requests in {seconds:.1f} s{slowed}.")
    if not any(one.files for one in found):
        print_text(f"{wanted.venue} has no {wanted.kind} in that span.")
