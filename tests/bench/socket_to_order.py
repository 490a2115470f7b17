"""From the venue's socket to the order's request on another socket of it, hop by hop.

The whole of `goalkick run` with live orders in this process, the exchange in another one. A bar of
a second closes, and a strategy turns at each. Once there is an order a second, which finds all
caches cold; and once both processes' clocks run fast, so that there are many.
"""

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import aiohttp
import yaml
from aiohttp.client_proto import ResponseHandler

from goalkick.common.adapters.state.sqlite import SqliteStateStore
from goalkick.common.events.base import Event
from goalkick.common.events.feature import FeatureVector
from goalkick.common.events.order import OrderApproved, OrderIntended
from goalkick.common.events.signal import Signal
from goalkick.common.events.venue import PlaceOrder, VenueEvent
from goalkick.embedded.markets import prepare
from goalkick.embedded.order_log import Given
from goalkick.embedded.pipeline import Pipeline
from goalkick.embedded.run import LOG_ROOM, Session, StopRequest, keep_trading
from goalkick.embedded.safe import stores_of
from goalkick.embedded.settings import GoalkickSettings
from goalkick.embedded.venues import build_venue
from goalkick.ingest.feeds.stream_connection import Connection
from tests.bench.box import ACCOUNT, KEY, PAIR, SECRET, Box, Hurry, box
from tests.bench.figures import Bench, Figure

HOPS: Final = (
    ("read", "bytes out of the socket, to the frame decoded"),
    ("told", "parsed, bars put together, step told"),
    ("features", "features of the bar"),
    ("signal", "strategy"),
    ("approved", "risk"),
    ("intended", "execution"),
    ("encoded", "rest of the moment, entry made"),
    ("logged", "entry on the disk"),
    ("handed", "command to the adapter"),
    ("begun", "request made and signed"),
    ("sent", "request to the socket"),
)
"""What ends each hop, in their order, and what it is."""

FAST: Final = 10
"""How many times as fast the clocks run the second time: so many orders there are a second."""

WANTED_MS: Final = {"p50": 1.0, "p99": 5.0}

STRATEGY: Final = '''"""Turns at every bar."""

from collections.abc import Iterable

from goalkick.common.strategy import FeatureVector, Params, Signal, Strategy


class Turn(Strategy[Params]):
    """Long and flat by turns."""

    def needs(self) -> tuple[str, ...]:
        """Two averages: what a simple strategy looks at."""
        return "ema_2", "ema_3"

    def on_features(self, features: FeatureVector) -> Iterable[Signal]:
        """The other way than before."""
        held = self.memory["held"] = not self.memory.get("held", False)
        yield self.target(features, 1.0 if held else 0.0, reason="turn")
'''


class Stamps:
    """When things happened on the way to the present order, monotonic ns.

    Attributes:
        orders: of each order that was sent, the moments of `HOPS` with `socket` before them.
        handles: their client order ids.
    """

    def __init__(self) -> None:
        """None yet."""
        self.orders: list[Mapping[str, int]] = []
        self.handles: list[str] = []
        self._now: dict[str, int] = {}
        self._way: dict[str, int] = {}

    def at(self, what: str) -> None:
        """It is so now."""
        self._now[what] = time.perf_counter_ns()

    def ordered(self) -> None:
        """What was stamped last belongs to an order."""
        self._way = dict(self._now)

    def sent(self, handle: str) -> None:
        """The order is on its way."""
        self.handles.append(handle)
        self._way |= {name: self._now[name] for name in ("begun", "sent")}
        self.orders.append(self._way)


class StampedStore(SqliteStateStore):
    """Says when an entry is on the disk."""

    stamps: Stamps

    def append(self, entries: Mapping[int, bytes]) -> None:
        """Appends, and stamps."""
        self.stamps.at("encoded")
        super().append(entries)
        self.stamps.at("logged")


class StampedSession(Session):
    """Says where an order is."""

    stamps: Stamps

    def _piped(self, settings: GoalkickSettings, *, quietly: bool = False) -> Pipeline:
        kinds: dict[type[Event], str] = {
            FeatureVector: "features",
            Signal: "signal",
            OrderApproved: "approved",
            OrderIntended: "intended",
        }
        pipeline = super()._piped(settings, quietly=quietly)
        for kind, name in kinds.items():
            hear = pipeline._bus._hearing.get(kind, _nowhere)
            pipeline._bus._hearing[kind] = self._stamping(name, hear)
        return pipeline

    def _stamping(self, name: str, hear: Callable[[Any], None]) -> Callable[[Any], None]:
        def stamped(event: Any) -> None:
            self.stamps.at(name)
            hear(event)

        return stamped

    def _take(self, given: Given) -> None:
        if given.kind == "fed":
            self.stamps.at("told")
        super()._take(given)


def socket_to_order(short: bool) -> Iterator[Figure]:
    """Latency of the whole way, and what each hop takes of it."""
    yield from _measured(1, 15 if short else 60)
    yield from _measured(FAST, 10 if short else 30)


def _measured(rate: int, seconds: int) -> Iterator[Figure]:
    stamps, clock = Stamps(), Hurry(time.time_ns(), rate)
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(time, "time_ns", clock.now_ns),
        patch.object(time, "time", lambda: clock.now_ns() / 1e9),
        box(trades_per_second=50, clock=clock) as exchange,
    ):
        asyncio.run(_trade(exchange, Path(folder), stamps, seconds))
        wrong = _wrong(stamps.handles, exchange)
    # What comes first meets caches and connections that are colder still.
    ways = stamps.orders[max(2, len(stamps.orders) // 10) :]
    if len(ways) < 2:
        yield Figure(f"socket to order sent, {rate} a second", "not measured", "too few orders")
        return
    for label, share in (("p50", 0.5), ("p99", 0.99)):
        found_ms = _quantile([way["sent"] - way["socket"] for way in ways], share) / 1e6
        yield Figure(
            f"socket to order sent, {rate} a second, {label} of {len(ways)}",
            f"{found_ms:.2f} ms",
            f"held against {WANTED_MS[label]:g} ms",
            wrong,
        )
    before = "socket"
    for name, what in HOPS:
        taken = [(way[name] - way[before]) / 1e3 for way in ways]
        yield Figure(
            f"  {what}", f"{statistics.median(taken):,.0f} µs", f"p99 {_quantile(taken, 0.99):,.0f}"
        )
        before = name


def _nowhere(_: Any) -> None:
    """Nobody else hears it."""


BENCHES: Sequence[Bench] = (socket_to_order,)


def _wrong(sent: Sequence[str], exchange: Box) -> str:
    """What the exchange has got must be what was sent, each order once."""
    placed, until_s = exchange.seen().arrivals, time.monotonic() + 5
    while len(placed) < len(sent) and time.monotonic() < until_s:
        placed = exchange.seen().arrivals
    if sorted(sent) == sorted(placed):
        return ""
    return f"expected {len(sent)} orders that were sent to be placed, found {len(placed)}"


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, round(share * len(values)))]


async def _trade(exchange: Box, folder: Path, stamps: Stamps, seconds: int) -> None:
    (folder / "turn.py").write_text(STRATEGY)
    config = folder / "live.yaml"
    config.write_text(yaml.safe_dump(_settings(exchange, folder)))
    settings, market = prepare(config, (), None, "refuse")
    venue = build_venue(settings, stores_of(settings, {"KEY": KEY, "SECRET": SECRET}))
    assert venue is not None
    StampedStore.stamps = StampedSession.stamps = stamps
    with (
        contextlib.closing(StampedStore(folder / "state.sqlite", room_bytes=LOG_ROOM)) as store,
        _taps(stamps),
    ):
        session = StampedSession(settings, market, store, lambda _: None, venue=venue)
        carry_out = venue.carry_out

        def handed(command: VenueEvent) -> None:
            if isinstance(command, PlaceOrder):
                stamps.at("handed")
                stamps.ordered()
                _watch(venue, stamps)
            carry_out(command)

        venue.carry_out = handed  # type: ignore[method-assign]
        await keep_trading(session, StopRequest(), duration_seconds=seconds)


def _settings(exchange: Box, folder: Path) -> dict[str, Any]:
    return {
        "trading": {"mode": "live", "account": ACCOUNT},
        "ingest": {
            "feed": "ccxt",
            "ccxt": {
                "instruments": [f"binance:{PAIR}"],
                "endpoints": {"binance": exchange.url},
                "interval": "1s",
                "warmup": 0,
            },
        },
        "strategy": {"folder": str(folder), "strategies": {"turn": {"strategy": "turn"}}},
        "risk": {
            "sizing": "fixed_quantity",
            "quantity": "0.01",
            "stop_loss": None,
            "max_daily_loss": None,
            "max_drawdown": None,
        },
        "execution": {
            "venue": {
                "endpoint": exchange.url,
                "key": "env:KEY",
                "secret": "env:SECRET",
                "keep_alive": "10m",
                "recv_window": "60s",
            }
        },
    }


def _watch(venue: Any, stamps: Stamps) -> None:
    """Has it noticed when a request begins, and when its bytes go out."""
    session: aiohttp.ClientSession = venue.client.trading.session
    if any(getattr(trace, "of_bench", False) for trace in session.trace_configs):
        return
    trace = aiohttp.TraceConfig()
    trace.of_bench = True  # type: ignore[attr-defined]

    async def begun(*_: Any) -> None:
        stamps.at("begun")

    async def sent(_: Any, __: Any, params: aiohttp.TraceRequestChunkSentParams) -> None:
        if params.method == "POST" and b"newClientOrderId=" in params.chunk:
            stamps.at("sent")
            stamps.sent(handle_in(params.chunk))

    trace.on_request_start.append(begun)
    trace.on_request_chunk_sent.append(sent)
    trace.freeze()
    session.trace_configs.append(trace)


def handle_in(form: bytes) -> str:
    """The client order id in a placement."""
    return form.partition(b"newClientOrderId=")[2].partition(b"&")[0].decode()


@contextlib.contextmanager
def _taps(stamps: Stamps) -> Iterator[None]:
    """Stamps what comes out of sockets, and what the feed hears."""
    received, tap_of = ResponseHandler.data_received, Connection._tap

    def data_received(self: ResponseHandler, data: bytes) -> None:
        stamps.at("socket")
        received(self, data)

    def _tap(self: Connection, over: Any) -> Any:
        tap = tap_of(self, over)

        def tapped(url: str, message: Any) -> bool:
            stamps.at("read")
            return tap(url, message)

        return tapped

    with (
        patch.object(ResponseHandler, "data_received", data_received),
        patch.object(Connection, "_tap", _tap),
    ):
        yield
