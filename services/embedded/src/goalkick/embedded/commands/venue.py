"""`goalkick venue`: an exchange in a box, to try and to test against."""

# ruff: noqa: PLC0415 (see the package's text)

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from goalkick.embedded.commands.options import Config, Json
from goalkick.embedded.console import print_json, print_note, print_text

if TYPE_CHECKING:
    from goalkick.venue.server import VenueServer

_PORT = "0 takes any free one"


def venue(
    config: Config = None,
    host: Annotated[
        str | None,
        typer.Option("--host", metavar="ADDRESS", help="where to listen [default: 127.0.0.1]"),
    ] = None,
    binance_port: Annotated[
        int | None,
        typer.Option(
            "--binance-port",
            metavar="PORT",
            min=0,
            max=65535,
            help=f"port of Binance; {_PORT} [default: 8080]",
        ),
    ] = None,
    bybit_port: Annotated[
        int | None,
        typer.Option(
            "--bybit-port",
            metavar="PORT",
            min=0,
            max=65535,
            help=f"port of Bybit; {_PORT} [default: 8081]",
        ),
    ] = None,
    control_port: Annotated[
        int | None,
        typer.Option(
            "--control-port",
            metavar="PORT",
            min=0,
            max=65535,
            help=f"port of the control API; {_PORT} [default: 8082]",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="NUMBER", help="of the market's moves [default: 1]"),
    ] = None,
    tls: Annotated[
        Path | None,
        typer.Option(
            "--tls",
            metavar="DIR",
            help="speak TLS, and write the certificate to trust into this folder, as ca.pem",
        ),
    ] = None,
    quiet: Annotated[
        bool,
        typer.Option("--quiet-market", help="nobody trades but you: the books stand still"),
    ] = False,
    json: Json = False,
) -> None:
    """Run an exchange in a box, until Ctrl-C.

    It speaks Binance spot and Bybit v5 spot to unmodified clients, keeps an exact ledger, and
    fails on purpose: its control API arms any fault of its catalogue. Nothing that is traded on
    it is real.
    """
    from goalkick.venue import service

    given: dict[str, Any] = {
        "venue.host": host,
        "venue.binance_port": binance_port,
        "venue.bybit_port": bybit_port,
        "venue.control_port": control_port,
        "venue.flow.seed": seed,
        "venue.flow.enabled": False if quiet else None,
        "venue.tls.enabled": None if tls is None else True,
        "venue.tls.folder": tls,
    }
    overrides = {key: value for key, value in given.items() if value is not None}
    settings = service.load_settings(config, overrides)

    def started(server: "VenueServer") -> None:
        if json:
            print_json(service.facts(server))
        else:
            print_text(service.describe(server))
            print_note("Ctrl-C ends it.")

    asyncio.run(service.serve(settings, started))
    if json:
        print_json({"event": "stopped"})
