"""The pages of a service: what they answer, when they say no, and that they end in time."""

import asyncio
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter

from goalkick.common.config.secret import MASK, Secret
from goalkick.common.config.settings import describe, load
from goalkick.common.config.types import Settings
from goalkick.common.core.errors import SettingsError
from goalkick.common.runtime.health import Info, Probe, make_app, serve

INFO = Info(service="risk", version="1.2", instance="risk-0")


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x")


async def test_readiness_flips_with_its_checks_and_says_which_one_failed() -> None:
    wrong: dict[str, str | None] = {"bus connected": "no broker", "state restored": None}
    checks = {name: lambda name=name: wrong[name] for name in wrong}
    async with client(make_app(Probe(checks), CollectorRegistry(), INFO)) as http:
        answer = await http.get("/readyz")
        assert answer.status_code == 503
        assert not Probe(checks).is_ready
        assert answer.json() == {
            "status": "failing",
            "failed": {"bus connected": "no broker"},
            "passed": ["state restored"],
        }
        wrong["bus connected"] = None
        answer = await http.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")
        assert Probe(checks).is_ready
        wrong["state restored"] = "on its way"
        answer = await http.get("/readyz")
        assert (answer.status_code, list(answer.json()["failed"])) == (503, ["state restored"])


async def test_a_check_that_breaks_is_a_check_that_fails() -> None:
    def broken() -> str | None:
        raise RuntimeError("lost")

    async with client(make_app(Probe({"bus": broken}), CollectorRegistry(), INFO)) as http:
        answer = await http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["failed"] == {"bus": "the check itself failed: RuntimeError: lost"}


async def test_being_alive_does_not_depend_on_being_ready() -> None:
    app = make_app(Probe({"bus": lambda: "no"}), CollectorRegistry(), INFO)
    async with client(app) as http:
        assert (await http.get("/healthz")).status_code == 200


async def test_a_dead_pump_is_told() -> None:
    probe = Probe({}, alive={"pump": lambda: "stopped"})
    async with client(make_app(probe, CollectorRegistry(), INFO)) as http:
        answer = await http.get("/healthz")
    assert (answer.status_code, answer.json()["failed"]) == (503, {"pump": "stopped"})


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("", "text/plain"), ("application/openmetrics-text; version=1.0.0", "openmetrics-text")],
)
async def test_metrics_are_in_the_form_that_prometheus_asks_for(accept: str, kind: str) -> None:
    registry = CollectorRegistry()
    Counter("things_total", "Things.", registry=registry).inc(3)
    async with client(make_app(Probe({}), registry, INFO)) as http:
        answer = await http.get("/metrics", headers={"accept": accept})
    assert kind in answer.headers["content-type"]
    assert "things_total 3.0" in answer.text


class Venue(Settings):
    key: Secret


class Execution(Settings):
    venue: Venue


async def test_info_tells_what_runs_with_secrets_masked() -> None:
    loaded = load(Execution, file=None, environ={"GOALKICK__VENUE__KEY": "env:HUNTER"})
    tasks: list[str] = []
    info = Info(
        service="execution",
        version="1.2",
        instance="execution-0",
        settings=describe(loaded),
        tasks=lambda: tasks,
        positions=lambda: {"goalkick.market.bar.v1/0": 42},
    )
    async with client(make_app(Probe({}), CollectorRegistry(), info)) as http:
        tasks.append("execution/0")
        answer = (await http.get("/info")).json()
    assert answer == {
        "service": "execution",
        "version": "1.2",
        "instance": "execution-0",
        "settings": {"venue.key": {"value": MASK, "source": "env GOALKICK__VENUE__KEY"}},
        "tasks": ["execution/0"],
        "positions": {"goalkick.market.bar.v1/0": 42},
        "secrets": "fresh",
    }


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/redoc", "/"])
async def test_there_are_no_other_pages(path: str) -> None:
    async with client(make_app(Probe({}), CollectorRegistry(), INFO)) as http:
        assert (await http.get(path)).status_code == 404
        assert (await http.post("/info")).status_code == 405


async def test_pages_are_served_within_the_running_loop_and_gone_afterwards() -> None:
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    app = make_app(Probe({}), CollectorRegistry(), INFO)
    async with serve(app) as address, httpx.AsyncClient(base_url=address.url) as http:
        assert address.host == "127.0.0.1"
        assert address.port > 0
        assert (await http.get("/healthz")).status_code == 200
        assert {one: signal.getsignal(one) for one in before} == before
        started = time.monotonic()  # with a connection that is kept open
    assert time.monotonic() - started < 1
    with pytest.raises(httpx.ConnectError):
        await httpx.AsyncClient().get(f"{address.url}/healthz")


async def test_a_request_that_does_not_end_is_cut_off_within_a_second() -> None:
    app = make_app(Probe({}), CollectorRegistry(), INFO)
    entered = asyncio.Event()

    @app.get("/slow")
    async def slow() -> None:
        entered.set()
        await asyncio.Event().wait()

    async def ask(url: str) -> int:
        async with httpx.AsyncClient() as http:
            return (await http.get(f"{url}/slow", timeout=30)).status_code

    async with serve(app) as address:
        asking = asyncio.create_task(ask(address.url))
        await entered.wait()
        started = time.monotonic()
    assert time.monotonic() - started < 1
    assert await asking == 500
    assert time.monotonic() - started < 2


async def test_an_error_within_the_block_ends_the_pages_and_goes_on() -> None:
    with pytest.raises(RuntimeError, match="mine"):
        async with serve(make_app(Probe({}), CollectorRegistry(), INFO)):
            raise RuntimeError("mine")


async def test_a_taken_port_is_refused_in_words() -> None:
    app = make_app(Probe({}), CollectorRegistry(), INFO)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"found 127\.0\.0\.1:{port}: Address already"):
            async with serve(app, port=port):
                pass


async def test_a_host_that_is_none_is_refused_in_words() -> None:
    with pytest.raises(SettingsError, match="expected an address to listen on"):
        async with serve(FastAPI(), host="256.0.0.1"):
            pass


MEASURED = """
import goalkick.common.config.settings, goalkick.common.runtime.health, psutil
from goalkick.common.telemetry import logs, metrics, traces
print(psutil.Process().memory_info().rss)
"""


def test_the_shell_alone_stays_below_70_megabytes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 70_000_000
