"""From a bar on Kafka to its order at the exchange, beside bare hops on the same broker.

Services as processes, live orders, the exchange in a box. Bars are as long as the time between
them, for a real venue is asked in real time. An order counts when the exchange has it, so its way
through the exchange's own front end is in the figure; bare hops have nothing of the kind.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import uvloop

from goalkick.common.events.market import BarClosed, InstrumentListed
from goalkick.common.events.order import OrderApproved
from goalkick.common.ports.log import Partition
from goalkick.common.runtime.task import Output
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_SECOND
from tests.bench import bare_hops
from tests.bench.box import ACCOUNT, KEY, PAIR, SECRET, Box, box
from tests.bench.figures import Bench, Figure
from tests.bench.on_kafka import BARS, HOPS, SERVICES, _messages, _quantile, _send
from tests.bench.socket_to_order import STRATEGY
from tests.kafka.broker import Broker, BrokerMissingError, start_broker
from tests.kafka.platform import Platform

BTC: Final = InstrumentId(f"binance:{PAIR}")
RATE: Final = 20
"""Bars a second, and orders: the strategy turns at each."""
_INTERVAL_NS: Final = NS_PER_SECOND // RATE
_READY_S: Final = 60.0


def bar_to_venue(short: bool) -> Iterator[Figure]:
    """Latency, and its ratio to bare hops."""
    try:
        broker = start_broker()
    except BrokerMissingError as error:
        yield Figure("Kafka, live orders", "not measured", str(error))
        return
    try:
        yield from _measured(broker, (5 if short else 20) * RATE)
    finally:
        broker.stop()


BENCHES: Sequence[Bench] = (bar_to_venue,)


def _measured(broker: Broker, count: int) -> Iterable[Figure]:
    with bare_hops.chain(broker.bootstrap, HOPS) as topics:
        bare = uvloop.run(bare_hops.drive(broker.bootstrap, topics, count, RATE))[0]
    with (
        tempfile.TemporaryDirectory() as folder,
        box(trades_per_second=50) as exchange,
        _services(broker, exchange, Path(folder)) as platform,
    ):
        sent = uvloop.run(_drive(platform, exchange, count))
        approved = asyncio.run(_approved(platform))
        seen = exchange.seen()
    arrivals, wrong = seen.arrivals, ""
    # One that came late may have expired, and was never sent.
    if arrivals.keys() - approved.keys() or len(arrivals) != seen.orders:
        wrong = f"expected some of {len(approved)} orders, each once, found {seen.orders}"
    ours = [arrivals[each] - sent[approved[each]] for each in arrivals if approved[each] in sent]
    for label, share in (("p50", 0.5), ("p99", 0.99)):
        own, raw = _quantile(ours, share), _quantile(bare, share)
        yield Figure(
            f"bar on Kafka to order at the exchange, {RATE} a second, {label}",
            f"{own * 1000:.2f} ms",
            f"{own / raw:.2f} x {HOPS} bare hops ({raw * 1000:.2f} ms), {len(ours):,} orders",
            wrong,
        )


@contextlib.contextmanager
def _services(broker: Broker, exchange: Box, folder: Path) -> Iterator[Platform]:
    (folder / "turn.py").write_text(STRATEGY)
    platform = Platform(broker.bootstrap, folder, _settings(exchange, folder), partitions=1)
    asyncio.run(platform.make_topics())
    for service in SERVICES:
        platform.start(service, environ={"VENUE_KEY": KEY, "VENUE_SECRET": SECRET})
    try:
        yield platform
    finally:
        platform.close()


def _settings(exchange: Box, folder: Path) -> dict[str, Any]:
    return {
        "runtime": {"forecasts": False, "log_level": "warning"},
        "trading": {"mode": "live", "account": ACCOUNT},
        "feature": {"features": ["ema_2", "ema_3"]},
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
                "key": "env:VENUE_KEY",
                "secret": "env:VENUE_SECRET",
                "recv_window": "1s",
                "margin": "200ms",
            }
        },
    }


async def _drive(platform: Platform, exchange: Box, count: int) -> dict[int, float]:
    """Sends bars; returns moment -> when its bar was sent, monotonic seconds."""
    producer = bare_hops.producer_for(platform.bootstrap)
    await producer.start()
    output = Output(BARS, Partition(BARS.name, 0), "ingest")
    rules = Instrument(id=BTC, base="BTC", quote="USDT")
    listed = InstrumentListed(time_ns=time.time_ns(), instrument=BTC, rules=rules)
    await _send(producer, _messages(output, [listed]))
    sent: dict[int, float] = {}
    began_s, began_ns, number, counted = time.monotonic(), time.time_ns(), 0, 0
    while counted < count and time.monotonic() < began_s + _READY_S + count / RATE:
        number += 1
        await bare_hops.until(began_s + number / RATE)
        moment, at_s = began_ns + number * _INTERVAL_NS, time.monotonic()
        await _send(producer, _messages(output, [_bar(moment)]))
        # Until the first order is there, somebody is still starting.
        if counted or exchange.seen().arrivals:
            counted += 1
            sent[moment] = at_s
    arrived = -1
    while (found := len(exchange.seen().arrivals)) > arrived:
        arrived = found
        await asyncio.sleep(1)
    await producer.stop()
    return sent


def _bar(moment: int) -> BarClosed:
    price = Decimal(60_000)
    return BarClosed(
        time_ns=moment,
        instrument=BTC,
        interval_ns=_INTERVAL_NS,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Decimal(1),
    )


async def _approved(platform: Platform) -> dict[str, int]:
    """Client order id -> the moment that it was approved in: its bar's."""
    return {
        event.client_order_id: event.time_ns
        for event in await platform.decided()
        if isinstance(event, OrderApproved)
    }
