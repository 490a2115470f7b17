"""The venue as a process: starts all, says where everything is, runs until it is told to stop."""

import asyncio
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from os import environ
from pathlib import Path
from types import MappingProxyType
from typing import Any

from goalkick.common.adapters.secrets.settings import VaultSettings
from goalkick.common.adapters.secrets.stores import decrypting
from goalkick.common.config.sections import SECTIONS
from goalkick.common.config.settings import load
from goalkick.common.config.types import Settings
from goalkick.common.core.errors import GoalkickError
from goalkick.venue.server import VenueServer
from goalkick.venue.settings import VenueSettings


class VenueProcessSettings(Settings):
    """The sections that the venue reads."""

    venue: VenueSettings = VenueSettings()
    vault: VaultSettings = VaultSettings()


def load_settings(
    file: Path | None, overrides: Mapping[str, Any] = MappingProxyType({})
) -> VenueSettings:
    """The venue's settings from a file, variables and options.

    Args:
        file: YAML with a section `venue`; None: none.
        overrides: dotted key, such as `venue.flow.seed`, -> value.

    Raises:
        SettingsError: something in them is wrong.
    """
    loaded = load(
        VenueProcessSettings,
        file=file,
        environ=environ,
        overrides=overrides,
        other_sections=SECTIONS,
        decrypt=decrypting("venue"),
    )
    return loaded.value.venue


async def serve(settings: VenueSettings, started: Callable[[VenueServer], None]) -> None:
    """Runs the venue until SIGINT or SIGTERM.

    Args:
        settings: as configured.
        started: is called once everything listens.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with VenueServer(settings) as server:
        started(server)
        waits = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(server.pump.failed())]
        done, left = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in left:
            wait.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for wait in done:
            wait.result()


def describe(server: VenueServer) -> str:
    """What a person needs to know of a running venue: addresses, keys, two lines to try."""
    lines = [f"{name:<8} {url}" for name, url in server.urls.items()]
    for account, key in server.keys.items():
        lines += [f"account  {account}", f"  key    {key.key}", f"  secret {key.secret}"]
    if server.settings.tls.enabled:
        lines.append(f"trust    {server.settings.tls.folder / 'ca.pem'}")
    lines.append("try      " + _first_try(server))
    lines.append(f"         curl -X POST {server.control_url}/presets/F1")
    return "\n".join(lines)


def facts(server: VenueServer) -> dict[str, Any]:
    """The same for machines."""
    return {
        "event": "started",
        **{f"{name}_url": url for name, url in server.urls.items()},
        "accounts": {
            account: {"key": key.key, "secret": key.secret} for account, key in server.keys.items()
        },
        "ca": str(server.settings.tls.folder / "ca.pem") if server.settings.tls.enabled else None,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the venue; returns the exit code."""
    parser = ArgumentParser("goalkick.venue", description="An exchange in a box.")
    parser.add_argument("--config", type=Path, help="YAML with a section `venue`")
    asked = parser.parse_args(argv)
    try:
        asyncio.run(serve(load_settings(asked.config), _tell))
    except GoalkickError as error:
        sys.stderr.write(f"goalkick.venue: {error}\n")
        return 1
    return 0


def _tell(server: VenueServer) -> None:
    sys.stdout.write(describe(server) + "\n")
    sys.stdout.flush()


def _first_try(server: VenueServer) -> str:
    ca = f"--cacert {server.settings.tls.folder / 'ca.pem'} " if server.settings.tls.enabled else ""
    if "binance" in server.urls:
        return f"curl {ca}'{server.binance_url}/api/v3/depth?symbol=BTCUSDT&limit=5'"
    if "bybit" in server.urls:
        return f"curl {ca}'{server.bybit_url}/v5/market/tickers?category=spot&symbol=BTCUSDT'"
    return f"curl {server.control_url}/ledger"
