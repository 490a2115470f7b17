"""The process of a service: settings, logs, health pages, signals, and the pump in the middle."""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar
from uuid import uuid4

import msgspec
import structlog
import uvloop

from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.adapters.log.access import access_of
from goalkick.common.adapters.log.kafka import KafkaLog
from goalkick.common.adapters.secrets.dumps import forbid_core_dumps
from goalkick.common.adapters.secrets.sealing import Seal, SealedLog
from goalkick.common.adapters.secrets.settings import SecretsSettings, VaultSettings
from goalkick.common.adapters.secrets.stores import Stores, decrypting
from goalkick.common.config.sections import SECTIONS
from goalkick.common.config.settings import Loaded, describe, load
from goalkick.common.config.types import Settings
from goalkick.common.core.errors import GoalkickError, SettingsError
from goalkick.common.events.base import Event
from goalkick.common.ports.clock import Clock
from goalkick.common.ports.log import Log
from goalkick.common.runtime.health import Info, Probe, make_app, serve
from goalkick.common.runtime.meter import Meter
from goalkick.common.runtime.settings import RuntimeSettings
from goalkick.common.runtime.task import Spans
from goalkick.common.runtime.wiring import Service
from goalkick.common.runtime.worker import Worker
from goalkick.common.telemetry import logs, names, traces
from goalkick.common.telemetry.metrics import Metrics, new_registry
from goalkick.common.topics import STATE_OF, state_of

STOP_S = 3.5
"""How long a service that is told to stop may save and say; what it cannot is done again. With the
end of its connections (1.5 s at most) it is gone after 5 s."""

log = structlog.get_logger()


class ServiceSettings(Settings):
    """What every service's settings have; a service adds its own sections."""

    runtime: RuntimeSettings = RuntimeSettings()
    secrets: SecretsSettings = SecretsSettings()
    vault: VaultSettings = VaultSettings()


Model = TypeVar("Model", bound=ServiceSettings)
Result = TypeVar("Result")


class Pump(Protocol):
    """What works in the middle of the process."""

    ready: bool

    @property
    def connected(self) -> bool:
        """Whether the log was reached."""
        ...

    @property
    def stalled(self) -> bool:
        """Whether an input is missing."""
        ...

    def tasks_running(self) -> Sequence[str]:
        """What runs here, for people."""
        ...

    def positions(self) -> dict[str, int]:
        """Partition -> offset up to which it was handled."""
        ...

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set."""
        ...


class Surroundings(msgspec.Struct, frozen=True):
    """What a process gives its pump; `stores` are tended while it works.

    What is pushed on `closing` is called when it has ended.
    """

    bus: Log
    clock: Clock
    meter: Meter
    instance: str
    spans: Spans | None
    stores: Stores
    closing: contextlib.AsyncExitStack


class Spec(msgspec.Struct, Generic[Model], frozen=True):
    """A service as a process.

    Attributes:
        name: as `topics.py` calls it.
        settings: its sections.
        build: the pump; heavy imports belong in here.
        deployment: its name where there are several of the service; "" for the only one.
    """

    name: str
    settings: type[Model]
    build: Callable[[Model, Surroundings], Pump]
    deployment: Callable[[Model], str] = lambda _: ""


def core_service(settings: ServiceSettings, around: Surroundings, service: Service) -> Worker:
    """The pump of a service that is a core."""
    return Worker(
        around.bus,
        service,
        settings.runtime,
        around.clock,
        around.meter,
        around.instance,
        around.spans,
    )


def run(spec: Spec[Model], argv: Sequence[str] | None = None) -> int:
    """Runs a service until SIGTERM or SIGINT.

    Args:
        spec: which.
        argv: command line without the program's name; None: that of the process.

    Returns:
        0 after a stop that was asked for, 1 after a failure, 2 where the settings are wrong.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m goalkick.{spec.name}", description=f"Goalkick's {spec.name} service."
    )
    parser.add_argument("--config", type=Path, help="YAML file with a section for each service")
    arguments = parser.parse_args(argv)
    forbid_core_dumps()
    # As it is by default until the settings say otherwise: they may have to wait for Vault.
    logs.configure(spec.name)
    try:
        loaded = load(
            spec.settings,
            file=arguments.config,
            environ=os.environ,
            other_sections=SECTIONS,
            decrypt=decrypting(spec.name),
        )
        runtime = loaded.value.runtime
        logs.configure(spec.name, runtime.log_level, runtime.log_form)
        uvloop.run(_serve(spec, loaded))
    except SettingsError as error:
        print(f"goalkick {spec.name}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except GoalkickError as error:
        log.exception("stopped by a failure", kind=type(error).__name__, reason=str(error))
        return 1
    return 0


async def _serve(spec: Spec[Model], loaded: Loaded[Model]) -> None:
    runtime = loaded.value.runtime
    instance = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
    registry = new_registry()
    tracing = traces.configure(spec.name, runtime.traces, runtime.traces_endpoint)
    meter = Meter(Metrics(registry, spec.name))
    secrets, vault = loaded.value.secrets, loaded.value.vault
    stores = Stores(secrets, vault, os.environ, spec.name, metrics=meter.metrics)
    life = Life(stores)
    meter.metrics.gauge(names.READY).set_function(lambda: float(life.probe.is_ready))
    info = Info(
        spec.name,
        version("goalkick-common"),
        instance,
        describe(loaded),
        life.tasks_running,
        life.positions,
        stores.fresh,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = make_app(life.probe, registry, info)
    # The pages come first: they tell what is waited for.
    async with (
        serve(app, runtime.http.host, runtime.http.port) as address,
        stores,
        contextlib.AsyncExitStack() as closing,
    ):
        log.info("started", instance=instance, pages=address.url)
        try:
            ready = await _unless(stop, _provided(spec, loaded.value, stores))
            if ready is not None:
                settings, seal = ready
                around = Surroundings(
                    _bus(spec, settings, seal, f"goalkick-{spec.name}-{instance}", meter),
                    SystemClock(),
                    meter,
                    instance,
                    spans_of(tracing) if tracing.enabled else None,
                    stores,
                    closing,
                )
                life.pump = spec.build(settings, around)
                await _until_stopped(life.pump, stop)
        finally:
            tracing.shutdown()
    log.info("stopped")


class Life:
    """What the pages tell of a process: before its pump is there, and after.

    Attributes:
        pump: None while secrets are waited for.
        probe: what the answers of /readyz depend on.
    """

    def __init__(self, stores: Stores) -> None:
        """Has no pump yet; whoever makes one sets it."""
        self.pump: Pump | None = None
        self.probe = Probe(
            {
                "secrets fresh": stores.fresh,
                "bus connected": lambda: self._unless("connected", "not connected yet"),
                "partitions assigned and state restored": self._working,
                "inputs fresh": self._inputs,
            }
        )

    def tasks_running(self) -> Sequence[str]:
        """What runs here, for people."""
        return () if self.pump is None else self.pump.tasks_running()

    def positions(self) -> Mapping[str, int]:
        """Partition -> offset up to which it was handled."""
        return {} if self.pump is None else self.pump.positions()

    def _unless(self, attribute: str, wrong: str) -> str | None:
        return None if getattr(self.pump, attribute, False) else wrong

    def _working(self) -> str | None:
        # A copy that stands by can take over; were it not ready, a rollout would wait for ever.
        if getattr(self.pump, "stands_by", False):
            return None
        return self._unless("ready", "not yet")

    def _inputs(self) -> str | None:
        return "an input is silent" if self.pump is not None and self.pump.stalled else None


async def _provided(
    spec: Spec[Model], settings: Model, stores: Stores
) -> tuple[Model, Seal | None]:
    """The settings with their secrets, and what seals the service's state; waits for Vault."""
    resolved = await stores.resolve(settings)
    seal = stores.seal(spec.name) if spec.name in STATE_OF else None
    if seal is not None:
        await stores.ask(seal.prepare)
    return resolved, seal


def _bus(spec: Spec[Model], settings: Model, seal: Seal | None, client: str, meter: Meter) -> Log:
    deployment = spec.deployment(settings)
    rights = access_of(spec.name, deployment).rights
    bus = KafkaLog(settings.runtime.kafka, client, rights, meter.denied)
    if seal is None:
        return bus
    return SealedLog(bus, seal, {state_of(spec.name, deployment).name})


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, Result]) -> Result | None:
    """What `work` gives; None where a stop came first."""
    working, asked = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((working, asked), return_when=asyncio.FIRST_COMPLETED)
        return await working if working.done() else None
    finally:
        for task in (working, asked):
            task.cancel()
        await asyncio.gather(working, asked, return_exceptions=True)


async def _until_stopped(pump: Pump, stop: asyncio.Event) -> None:
    running = asyncio.create_task(pump.run(stop), name="pump")
    asked = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait((running, asked), return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    try:
        async with asyncio.timeout(STOP_S if stop.is_set() else None):
            await running
    except TimeoutError:
        log.warning("stopped without saving", waited_s=STOP_S)


def spans_of(tracing: traces.Traces) -> Spans:
    """A span for each event that a core handles, with the event's trace as its parent."""

    @contextlib.contextmanager
    def span(event: Event, trace: bytes) -> Iterator[bytes]:
        kind = type(event).__name__
        parent = trace.decode("ascii", "replace") or None
        with tracing.span(f"handle {kind}", parent=parent, attributes={"key": event.key}) as open_:
            within = traces.format_traceparent(open_.get_span_context())
            yield within.encode() if within else trace

    return span
