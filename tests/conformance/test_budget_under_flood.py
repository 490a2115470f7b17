"""Ten copies hammer one address at the exchange in a box: none is refused, and cancels come first.

The venue's clock runs ten times as fast as ours, so its minute passes in six seconds.
"""

import asyncio
import hashlib
import hmac
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from goalkick.common.adapters.budget.http import HttpBudget
from goalkick.common.adapters.budget.settings import LimitSettings, adjusted
from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.adapters.state.sqlite import SqliteStateStore
from goalkick.common.core.budget.core import BudgetCore
from goalkick.common.core.budget.limits import Priority
from goalkick.common.core.budget.venues import VENUES
from goalkick.common.ports.budget import BudgetTimeoutError
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.limiter.service import KEY, limiter
from goalkick.limiter.settings import LimiterSettings
from goalkick.venue.binance.settings import BinanceSettings
from goalkick.venue.server import VenueServer
from goalkick.venue.settings import AccountSettings, FlowSettings, VenueSettings

pytestmark = pytest.mark.slow

COPIES = 10
SPEED = 10
WEIGHT = 600
WINDOW_S = 60 / SPEED
ALLOWED_A_SECOND = WEIGHT / WINDOW_S
SECRET = "s" * 64
LIMITS = {
    "binance": {
        "weight": LimitSettings(amount=WEIGHT, window=round(WINDOW_S * NS_PER_SECOND)),
        "orders_10s": LimitSettings(window=10 * NS_PER_SECOND // SPEED),
        "orders_1d": LimitSettings(window=86_400 * NS_PER_SECOND // SPEED),
    }
}
TABLE = adjusted(VENUES, LIMITS)

READS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("time", "/api/v3/time", {}),
    ("depth_100", "/api/v3/depth", {"symbol": "BTCUSDT", "limit": "100"}),
    ("klines", "/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1m"}),
)


class Copy:
    """A copy of some service: it asks the limiter before each request, and tells it the reply."""

    def __init__(self, venue: VenueServer, limiter_url: str, number: int, seen: "Seen") -> None:
        self.venue = venue
        self.number = number
        self.seen = seen
        self.budget = HttpBudget(limiter_url, SystemClock(), TABLE, copies=COPIES)
        self.session = aiohttp.ClientSession()

    async def close(self) -> None:
        await self.budget.close()
        await self.session.close()

    @property
    def paused(self) -> bool:
        return self.budget.paused_ns("binance") > 0

    async def read(self, until: Callable[[], bool]) -> None:
        while not until():
            for call, path, params in READS:
                if not until():
                    await self.send("GET", path, params, call, "query")

    async def trade(self, until: Callable[[], bool]) -> None:
        """Places orders far from the market, and cancels each at once."""
        count = 0
        while not until():
            count += 1
            name = f"copy-{self.number}-{count}"
            placed = await self.send(
                "POST",
                "/api/v3/order",
                {
                    "symbol": "BTCUSDT",
                    "side": "BUY",
                    "type": "LIMIT",
                    "timeInForce": "GTC",
                    "quantity": "0.001",
                    "price": "50000",
                    "newClientOrderId": name,
                },
                "order",
                "open",
            )
            if placed == 200:
                wanted = {"symbol": "BTCUSDT", "origClientOrderId": name}
                since = time.monotonic()
                status = await self.send("DELETE", "/api/v3/order", wanted, "cancel", "cancel")
                assert status in (200, 429)
                self.seen.cancels.append(time.monotonic() - since)

    async def send(
        self, method: str, path: str, params: dict[str, str], call: str, priority: Priority
    ) -> int:
        grant = await self.budget.acquire("binance", call, priority=priority, account="main")
        headers = {}
        if priority != "query":
            params = {**params, "timestamp": str(self.venue.clock.now_ms())}
            digest = hmac.new(SECRET.encode(), urlencode(params).encode(), hashlib.sha256)
            params["signature"] = digest.hexdigest()
            headers["X-MBX-APIKEY"] = "k" * 64
        with grant:
            async with self.session.request(
                method, self.venue.binance_url + path, params=params, headers=headers
            ) as response:
                await response.read()
        self.budget.report(
            "binance", status=response.status, headers=response.headers, account="main"
        )
        self.seen.statuses[response.status] += 1
        if response.status == 200:
            self.seen.weight += TABLE["binance"].calls[call]["weight"]
        self.seen.alone += grant.alone
        return response.status


class Seen:
    """What all copies met together."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.cancels: list[float] = []
        self.weight = 0
        self.alone = 0

    def late_cancel_s(self) -> float:
        """The 99th percentile of the time from the wish to the answer, in seconds."""
        return sorted(self.cancels)[len(self.cancels) * 99 // 100]


@pytest.fixture
async def venue() -> AsyncIterator[VenueServer]:
    account = AccountSettings(balances={"USDT": Decimal(1_000_000)}, key="k" * 64, secret=SECRET)
    settings = VenueSettings(
        front_ends=("binance",),
        binance_port=0,
        control_port=0,
        accounts={"main": account},
        flow=FlowSettings(enabled=False, history=100 * 60 * NS_PER_SECOND),
        binance=BinanceSettings(weight_limit=WEIGHT),
    )
    async with VenueServer(settings) as server:
        server.clock.drift(SPEED)
        yield server


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The memory of a limiter that has granted nothing yet."""
    path = tmp_path / "limiter.sqlite"
    store = SqliteStateStore(path)
    store.save({KEY: BudgetCore(TABLE).snapshot()})
    store.close()
    return path


@asynccontextmanager
async def copies_of(
    venue: VenueServer, url: str, seen: Seen, count: int = COPIES
) -> AsyncIterator[list[Copy]]:
    async with AsyncExitStack() as stack:
        copies = [Copy(venue, url, number, seen) for number in range(count)]
        for copy in copies:
            stack.push_async_callback(copy.close)
        yield copies


def _settings(state: Path, port: int = 0) -> LimiterSettings:
    return LimiterSettings(port=port, state=state, limits=LIMITS)


async def flood(copies: list[Copy], until: Callable[[], bool]) -> float:
    """Two readers and a trader of each copy send all they may; returns how long, in seconds."""
    start = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for copy in copies:
            tasks.create_task(copy.read(until))
            tasks.create_task(copy.read(until))
            tasks.create_task(copy.trade(until))
    return time.monotonic() - start


async def until(flooding: asyncio.Task[float], reached: Callable[[], bool]) -> None:
    """Looks again and again while the flood goes on."""
    async with asyncio.timeout(20):
        while not reached():
            await asyncio.wait((flooding,), timeout=0.02)


def after(length_s: float) -> Callable[[], bool]:
    end = time.monotonic() + length_s
    return lambda: time.monotonic() > end


async def test_ten_copies_use_the_allowed_rate_without_a_refusal(
    venue: VenueServer, state: Path
) -> None:
    seen = Seen()
    async with (
        limiter(_settings(state), CollectorRegistry()) as url,
        copies_of(venue, url, seen) as copies,
    ):
        over, start = after(2.2 * WINDOW_S), time.monotonic()
        flooding = asyncio.create_task(flood(copies, over))
        await until(flooding, over)
        rate = seen.weight / (time.monotonic() - start)
        await flooding
    assert set(seen.statuses) == {200}
    assert rate >= 0.9 * ALLOWED_A_SECOND
    assert len(seen.cancels) >= 100
    assert seen.late_cancel_s() < 1.0
    assert seen.alone == 0


async def disturb(venue: VenueServer, weight: int) -> int:
    """Somebody on the same address who asks nobody; returns what was taken of the weight."""
    taken = 0
    async with aiohttp.ClientSession() as session:
        for limit, cost in ((5000, 250), (1000, 50), (100, 5)):
            params = {"symbol": "BTCUSDT", "limit": str(limit)}
            while taken + cost <= weight:
                url = f"{venue.binance_url}/api/v3/depth"
                async with session.get(url, params=params) as response:
                    if response.status != 200:
                        break
                taken += cost
    return taken


async def test_copies_leave_room_for_what_others_use(venue: VenueServer, state: Path) -> None:
    seen = Seen()
    async with (
        limiter(_settings(state), CollectorRegistry()) as url,
        copies_of(venue, url, seen) as copies,
    ):
        over = after(1.2 * WINDOW_S)
        flooding = asyncio.create_task(flood(copies, over))
        taken = await disturb(venue, 300)
        took_s = await flooding
    assert taken == 300
    assert set(seen.statuses) == {200}
    assert seen.weight <= ALLOWED_A_SECOND * took_s - taken / 2


async def test_three_copies_meet_a_refusal_and_all_stop(venue: VenueServer, state: Path) -> None:
    """The others have taken all there is before the copies start."""
    seen = Seen()
    async with (
        limiter(_settings(state), CollectorRegistry()) as url,
        copies_of(venue, url, seen) as copies,
    ):
        await disturb(venue, WEIGHT)
        flooding = asyncio.create_task(flood(copies, after(20.0)))
        await until(flooding, lambda: all(copy.paused for copy in copies))
        with pytest.raises(BudgetTimeoutError):
            await copies[0].budget.acquire(
                "binance", "cancel", priority="cancel", account="main", timeout_s=0.5
            )
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)
    assert seen.statuses.keys() == {429}
    assert seen.statuses[429] <= 3


async def test_others_who_take_all_under_flood_get_no_copy_banned(
    venue: VenueServer, state: Path
) -> None:
    """The venue bans after ten refusals; the copies meet fewer, if any, before they stop."""
    seen = Seen()
    async with (
        limiter(_settings(state), CollectorRegistry()) as url,
        copies_of(venue, url, seen) as copies,
    ):
        flooding = asyncio.create_task(flood(copies, after(20.0)))
        await until(flooding, lambda: seen.weight > 100)
        await disturb(venue, WEIGHT)
        await asyncio.wait((flooding,), timeout=0.5 * WINDOW_S)
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)
    assert seen.weight > 100
    assert seen.statuses[418] == 0
    assert seen.statuses[429] < 10


async def test_a_restart_of_the_limiter_under_flood_costs_no_refusal(
    venue: VenueServer, state: Path
) -> None:
    seen = Seen()
    async with AsyncExitStack() as stack:
        first = AsyncExitStack()
        url = await first.enter_async_context(limiter(_settings(state), CollectorRegistry()))
        copies = await stack.enter_async_context(copies_of(venue, url, seen))
        flooding = asyncio.create_task(flood(copies, after(2.5 * WINDOW_S)))
        await until(flooding, lambda: seen.weight > 0.5 * WEIGHT)
        await first.aclose()
        await until(flooding, lambda: all(copy.budget.cut_off for copy in copies))
        port = int(url.rpartition(":")[2])
        async with limiter(_settings(state, port), CollectorRegistry()):
            await flooding
            assert not any(copy.budget.cut_off for copy in copies)
            for copy in copies:
                await copy.budget.close()
    assert set(seen.statuses) == {200}
    assert seen.weight > WEIGHT
    assert seen.late_cancel_s() < WINDOW_S
