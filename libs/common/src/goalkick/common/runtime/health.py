"""The pages on which a service tells how it is: /healthz, /readyz, /metrics, /info.

They run in the service's own event loop: an answer from /healthz shows that the loop still turns.
They tell and never change anything; whoever can reach them sees positions but no secret.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from goalkick.common.core.errors import SettingsError

Check = Callable[[], str | None]
"""Says what is wrong, or None. It must answer at once: no I/O, it looks at what is known."""

STOP_S = 0.8
"""Time for uvicorn to end by itself, which takes it some tenths of a second."""

_NO_TELEMETRY = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}


@dataclass(frozen=True)
class Probe:
    """What the answers of /healthz and /readyz depend on.

    Attributes:
        ready: checks by name, for example `bus connected`, `partitions assigned`, `state restored`,
            `inputs fresh`; while one fails the service takes no work.
        alive: checks by name whose failure only a restart can mend.
    """

    ready: Mapping[str, Check]
    alive: Mapping[str, Check] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        """Whether /readyz would say 200 now."""
        return all(_checked(check) is None for check in self.ready.values())


@dataclass(frozen=True)
class Info:
    """What /info tells.

    Attributes:
        service: its name.
        version: of the software.
        instance: this copy of the service, for example the pod's name.
        settings: (key, value, source), secrets masked: what `config.settings.describe` gives.
        tasks: says which cores run here now.
        positions: says up to where each input was handled: `topic/partition` -> offset.
        secrets: says why no new risk is taken for want of secrets, or None.
    """

    service: str
    version: str
    instance: str
    settings: Sequence[tuple[str, str, str]] = ()
    tasks: Callable[[], Sequence[str]] = tuple
    positions: Callable[[], Mapping[str, int]] = dict
    secrets: Check = lambda: None


class Address(NamedTuple):
    """Where the pages are served."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """Without a final slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def make_app(probe: Probe, registry: CollectorRegistry, info: Info) -> FastAPI:
    """The pages; GET only, without a schema or documentation of their own."""
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        telemetry=_NO_TELEMETRY,  # type: ignore[arg-type]
    )

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        return _verdict(probe.alive)

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        return _verdict(probe.ready)

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    @app.get("/info")
    async def about() -> dict[str, Any]:
        return {
            "service": info.service,
            "version": info.version,
            "instance": info.instance,
            "settings": {
                key: {"value": value, "source": source} for key, value, source in info.settings
            },
            "tasks": list(info.tasks()),
            "positions": dict(info.positions()),
            "secrets": info.secrets() or "fresh",
        }

    return app


@asynccontextmanager
async def serve(app: FastAPI, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Address]:
    """Serves the pages while the `async with` block runs; yields where.

    It installs no signal handlers, and ends within a second. The port is open before the block
    begins.

    Args:
        app: what to serve.
        host: address to listen on; only this machine unless said otherwise.
        port: 0 takes any that is free.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    logging.getLogger("uvicorn.error").addFilter(_is_worth_telling)
    listening = _listen(host, port)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=0,  # besides uvicorn's own tenth of a second: pages are quick
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listening]), name="health pages")
    try:
        up = asyncio.create_task(server.up.wait())
        await asyncio.wait((running, up), return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if running.done():
            await running
        bound = listening.getsockname()
        yield Address(bound[0], bound[1])
    finally:
        server.should_exit = True
        await asyncio.wait((running,), timeout=STOP_S)
        if not running.done():
            server.force_exit = True
            running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        listening.close()


def _is_worth_telling(record: logging.LogRecord) -> bool:
    """Whether a line is news: a stop that cut off no request is told as an error too."""
    return not (str(record.msg).startswith("Cancel %s running task(s)") and record.args == (0,))


class _Server(uvicorn.Server):
    """uvicorn inside somebody else's loop: signals belong to the process, not to these pages."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise SettingsError(
            f"health pages: expected an address to listen on, found {host}:{port}: "
            f"{error.strerror or error}"
        ) from None


def _verdict(checks: Mapping[str, Check]) -> JSONResponse:
    results = {name: _checked(check) for name, check in checks.items()}
    failed = {name: wrong for name, wrong in results.items() if wrong is not None}
    body = {
        "status": "failing" if failed else "ok",
        "failed": failed,
        "passed": [name for name, wrong in results.items() if wrong is None],
    }
    return JSONResponse(body, status_code=503 if failed else 200)


def _checked(check: Check) -> str | None:
    try:
        return check()
    except Exception as error:  # a check that breaks is a check that fails
        return f"the check itself failed: {type(error).__name__}: {error}"
