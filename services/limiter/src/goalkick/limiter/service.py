"""The limiter as a process: the composition root."""

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import structlog
import uvloop
from prometheus_client import CollectorRegistry

from goalkick.common.adapters.budget.desk import Desk
from goalkick.common.adapters.budget.settings import adjusted
from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.adapters.secrets.dumps import forbid_core_dumps
from goalkick.common.adapters.secrets.stores import decrypting
from goalkick.common.adapters.state.sqlite import SqliteStateStore
from goalkick.common.config.sections import SECTIONS
from goalkick.common.config.settings import Loaded, describe, load
from goalkick.common.core.budget.core import BudgetCore
from goalkick.common.core.budget.limits import VenueLimits
from goalkick.common.core.budget.venues import VENUES
from goalkick.common.core.errors import GoalkickError, InvalidDataError, SettingsError
from goalkick.common.ports.clock import Clock
from goalkick.common.ports.state import StateStore
from goalkick.common.runtime.health import Info, Probe, make_app, serve
from goalkick.common.runtime.service import ServiceSettings
from goalkick.common.telemetry import logs
from goalkick.common.telemetry.metrics import Metrics, new_registry
from goalkick.limiter.app import Counter, serving
from goalkick.limiter.settings import LimiterSettings

KEY = "limiter"
"""Under which the state is saved."""

log = structlog.get_logger()


class LimiterServiceSettings(ServiceSettings):
    """The sections that the limiter reads."""

    limiter: LimiterSettings = LimiterSettings()


@asynccontextmanager
async def limiter(
    settings: LimiterSettings,
    registry: CollectorRegistry,
    *,
    clock: Clock | None = None,
    venues: Mapping[str, VenueLimits] = VENUES,
) -> AsyncIterator[str]:
    """The limiter, while the block runs; yields its URL.

    Args:
        settings: what can be configured.
        registry: where its metrics are read from.
        clock: for all limits; None: the system's.
        venues: the table that the settings change.

    Raises:
        SettingsError: the address or the state file cannot be used, or a limit is not known.
        TransientError: another limiter holds the state file.
        InvalidDataError: the state file is damaged or another version's.
    """
    time = SystemClock() if clock is None else clock
    table = adjusted(venues, settings.limits)
    store = None if settings.state is None else SqliteStateStore(settings.state)
    try:
        desk = _desk(
            BudgetCore(table, lease_ns=settings.lease, after_lease=time.now_ns()), time, store
        )
        counter = Counter(desk, time, tuple(table), Metrics(registry, "limiter"))
        async with serving(counter.app(), settings.host, settings.port) as url:
            try:
                yield url
            finally:
                await desk.close()  # before the server: who still waits shall hear that it is over
    finally:
        if store is not None:
            store.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the limiter until SIGTERM or SIGINT.

    Returns:
        0 after a stop that was asked for, 1 after a failure, 2 where the settings are wrong.
    """
    parser = argparse.ArgumentParser(
        prog="python -m goalkick.limiter",
        description="Goalkick's shared budget of calls to venues.",
    )
    parser.add_argument("--config", type=Path, help="YAML file with a section for each service")
    arguments = parser.parse_args(argv)
    forbid_core_dumps()
    logs.configure("limiter")
    try:
        loaded = load(
            LimiterServiceSettings,
            file=arguments.config,
            environ=os.environ,
            other_sections=SECTIONS,
            decrypt=decrypting("limiter"),
        )
        runtime = loaded.value.runtime
        logs.configure("limiter", runtime.log_level, runtime.log_form)
        uvloop.run(_serve(loaded))
    except SettingsError as error:
        print(f"goalkick limiter: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except GoalkickError as error:
        log.exception("stopped by a failure", kind=type(error).__name__, reason=str(error))
        return 1
    return 0


async def _serve(loaded: Loaded[LimiterServiceSettings]) -> None:
    registry = new_registry()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    info = Info(
        "limiter", version("goalkick-common"), f"{socket.gethostname()}-{os.getpid()}",
        describe(loaded),
    )  # fmt: skip
    pages = make_app(Probe({}), registry, info)
    http = loaded.value.runtime.http
    async with (
        limiter(loaded.value.limiter, registry) as url,
        serve(pages, http.host, http.port) as address,
    ):
        log.info("started", url=url, pages=address.url)
        await stop.wait()
    log.info("stopped")


def _desk(core: BudgetCore, clock: Clock, store: StateStore | None) -> Desk:
    """A desk that knows what its predecessor granted, or takes everything for used up."""
    if store is None or not _restored(core, store, clock):
        core.assume(1.0, clock.now_ns())
        log.warning("nothing is known of the time before: all windows are taken for used up")
    if store is None:
        return Desk(core, clock)
    safe = store

    async def commit(snapshot: bytes) -> None:
        await asyncio.to_thread(safe.save, {KEY: snapshot})

    return Desk(core, clock, commit)


def _restored(core: BudgetCore, store: StateStore, clock: Clock) -> bool:
    """Whether the core knows now what was granted before."""
    saved = store.load(KEY)
    if saved is None:
        return False
    try:
        core.restore(saved, clock.now_ns())
    except InvalidDataError as error:
        log.warning("the saved state cannot be used", reason=str(error))
        return False
    return True
