"""A venue's history over ccxt's REST interface: one page at a time, paced, patient, and exact.

ccxt's own paging is not used: it drops history silently where the span is long, and asks a venue
again that has just said to stop. What ccxt raises leaves here as our errors.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, Self, TypeVar

import structlog

from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.config.secret import Secret
from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.ports.budget import Budget
from goalkick.common.ports.clock import Clock
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND
from goalkick.ingest.archive.layout import SINGLE
from goalkick.ingest.archive.pace import Pace
from goalkick.ingest.feeds.ccxt_venue import CcxtVenue, nearest
from goalkick.ingest.feeds.retries import retry_delay_s
from goalkick.ingest.settings import CcxtVenueSettings

Answer = TypeVar("Answer")

PAGE: Final = 1000
"""Rows asked for at once, unless a venue gives fewer."""
_ON_THE_WAY: Final = 4
"""Requests that are unanswered at a time, at venues whose limits we do not know."""
_ATTEMPTS: Final = 6
_FIRST_DELAY_NS, _LONGEST_DELAY_NS = NS_PER_SECOND // 2, 10 * NS_PER_SECOND
_TOO_MANY, _BANNED = 429, 418
_LISTS: Final = re.compile(r"/(klines|aggTrades|historicalTrades|fundingRate)\b")
"""Requests that Binance answers with a list, whatever happens."""
_USED: Final = "x-mbx-used-weight-1m"
_LIMIT: Final = re.compile(
    r'"rateLimitType":\s*"REQUEST_WEIGHT",\s*"interval":\s*"MINUTE",\s*"intervalNum":\s*1,'
    r'\s*"limit":\s*(\d+)'
)

log = structlog.get_logger()


class Weights(NamedTuple):
    """What requests weigh at a venue.

    Attributes:
        limit: weight that is allowed in a minute, until the venue says another.
        candles: of a page of candles.
        aggregates: of a page of aggregate trades.
        singles: of a page of single ones.
        funding: of a page of funding rates.
        rules: of the list of instruments.
    """

    limit: int
    candles: int
    aggregates: int
    singles: int
    funding: int
    rules: int


_SPOT: Final = Weights(limit=6000, candles=2, aggregates=4, singles=25, funding=1, rules=20)
_LINEAR: Final = Weights(limit=2400, candles=5, aggregates=20, singles=20, funding=5, rules=1)
"""Binance's documented weights; funding has a limit of its own, 500 in five minutes: at 5 of
2400 that is never reached."""
_TIME: Final = 1

Ohlcv = list[Any]
"""Open in ms, then open, high, low, close and volume as text."""


class History:
    """A connection for one download; an async context manager.

    Attributes:
        page: bars that one request for candles brings at most.
        requests: how many were sent.
        waits: how often the venue said to slow down.
    """

    def __init__(
        self,
        venue: CcxtVenue,
        settings: CcxtVenueSettings,
        clock: Clock,
        jitter: Callable[[], float],
        *,
        paced: bool = True,
        key: Secret | None = None,
    ) -> None:
        """Use `connect`."""
        self._venue = venue
        self._client: Any = venue.client
        self._name = settings.venue
        self._place = f"{settings.venue} at {settings.endpoint or 'its usual address'}"
        self._clock = clock
        self._jitter = jitter
        self._linear = all(":" in name for name in settings.instruments)
        self._weights = _LINEAR if self._linear else _SPOT
        self._pace: Pace | None = None
        if settings.venue.startswith("binance") and paced:
            # ccxt's own bucket knows nothing of other programs at the same address, nor of what
            # the venue says in its answers.
            self._pace = Pace(self._weights.limit)
            self._client.enableRateLimit = False
        if key is not None:
            # It signs nothing: Binance wants to know who asks for single trades, and no more.
            self._client.apiKey = key.reveal()
        self._told = self._client.on_rest_response
        self._client.on_rest_response = self._tap
        self._turn_lock = asyncio.Lock()
        self._slots: dict[int, asyncio.Semaphore] = {}
        self.page = self._page(settings.instruments[0])
        self.requests = 0
        self.waits = 0

    @classmethod
    async def connect(
        cls,
        settings: CcxtVenueSettings,
        clock: Clock | None = None,
        jitter: Callable[[], float] = lambda: 0.5,
        budget: Budget | None = None,
        key: Secret | None = None,
    ) -> Self:
        """Loads ccxt and makes a client; no network is used yet.

        Args:
            settings: which venue, and what of it.
            clock: of the machine unless said else.
            jitter: numbers in [0, 1) that keep several from retrying in step.
            budget: gives leave for requests, where others use the same address; None: as fast as
                the venue lets one who is alone.
            key: an API key, resolved, for single trades; None: there is none.

        Raises:
            SettingsError: ccxt knows no such venue, or the venue has no such bars.
        """
        venue = await CcxtVenue.connect(settings, budget)
        return cls(venue, settings, clock or SystemClock(), jitter, paced=budget is None, key=key)

    async def __aenter__(self) -> Self:
        """Nothing to do: sockets open when they are needed."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes the sockets."""
        await self._client.close()

    @property
    def bounded(self) -> bool:
        """Whether the venue tells its first bar, and trades by id: Binance does."""
        return self._name.startswith("binance")

    async def check(self, instruments: tuple[str, ...]) -> None:
        """Loads the venue's instruments.

        Raises:
            SettingsError: it has none of such a name.
            TransientError: it does not answer.
        """
        markets = await self._ask(self._weights.rules, self._client.load_markets)
        for name in instruments:
            if name not in markets:
                raise SettingsError(
                    f"{self._place}: expected an instrument of the venue, found {name!r}"
                    + nearest(name, markets)
                )

    async def now_ns(self) -> int:
        """The venue's clock, UTC; ours where it does not tell.

        Raises:
            TransientError: it does not answer.
        """
        if not self._client.has["fetchTime"]:
            return self._clock.now_ns()
        return int(await self._ask(_TIME, self._client.fetch_time)) * NS_PER_MS

    async def candles(
        self, name: str, since_ns: int, until_ns: int | None, limit: int
    ) -> list[Ohlcv]:
        """One page of candles that open in [since_ns, until_ns), as the venue orders them.

        Raises:
            TransientError: the venue does not answer, or answers nonsense.
        """
        params = {} if until_ns is None else {"until": until_ns // NS_PER_MS - 1}
        rows = await self._ask(
            self._weights.candles,
            lambda: self._client.fetch_ohlcv(
                name, self._venue.timeframe, since_ns // NS_PER_MS, limit, params
            ),
            _are_candles,
        )
        return list(rows)

    async def first_open_ns(self, name: str, since_ns: int) -> int | None:
        """When the first bar at or after `since_ns` opens; None where there is none.

        Raises:
            TransientError: the venue does not answer.
        """
        rows = await self.candles(name, since_ns, None, 1)
        # No bar at all would leave out the whole span: not on the strength of one answer.
        rows = rows or await self.candles(name, since_ns, None, 1)
        return int(rows[0][0]) * NS_PER_MS if rows else None

    async def trades(
        self, name: str, grain: str, from_id: int | None, limit: int = PAGE
    ) -> list[Mapping[str, Any]]:
        """One page of trades from an id on, oldest first, in the form of aggregate ones.

        Args:
            name: the instrument's, at the venue.
            grain: `aggregate` or `single`.
            from_id: the first one's; None: the newest trades.
            limit: how many at most.

        Raises:
            TransientError: the venue does not answer, or answers nonsense.
        """
        query = {"symbol": self._client.market(name)["id"], "limit": limit}
        if from_id is not None:
            query["fromId"] = from_id
        if grain == SINGLE:
            fetch = self._client.publicGetHistoricalTrades
            rows = await self._ask(self._weights.singles, lambda: fetch(query), _are_singles)
            return [_as_aggregate(row) for row in rows]
        fetch = (
            self._client.fapiPublicGetAggTrades if self._linear else self._client.publicGetAggTrades
        )
        return list(
            await self._ask(self._weights.aggregates, lambda: fetch(query), _are_aggregates)
        )

    async def funding(self, name: str, since_ns: int) -> list[tuple[int, str]]:
        """One page of funding: time in ms and rate as text, from a time on, oldest first.

        Raises:
            TransientError: the venue does not answer, or answers nonsense.
            SettingsError: the venue has no funding.
        """
        if not self._client.has["fetchFundingRateHistory"]:
            raise SettingsError(f"{self._place}: expected a venue that tells funding, found none")
        rows = await self._ask(
            self._weights.funding,
            lambda: self._client.fetch_funding_rate_history(name, since_ns // NS_PER_MS, PAGE),
        )
        return sorted((int(row["timestamp"]), str(row["fundingRate"])) for row in rows)

    async def _ask(
        self,
        weight: int,
        request: Callable[[], Awaitable[Answer]],
        makes_sense: Callable[[Any], bool] = lambda _: True,
    ) -> Answer:
        """Waits for its turn and for an answer; asks again where that may help."""
        library = self._venue.library
        failures = 0
        while True:
            failures += 1
            try:
                async with self._slot(weight):
                    await self._turn(weight)
                    answer = await request()
                if makes_sense(answer):
                    return answer
                found = f"an answer that makes no sense: {str(answer)[:80]}"
            except library.BadSymbol as error:
                raise SettingsError(
                    f"{self._place}: expected to know the instrument, found: {error}"
                ) from error
            except (library.BaseError, TypeError, ValueError, KeyError) as error:
                found = f"{type(error).__name__}: {str(error)[:200]}"
                if isinstance(error, library.ExchangeError):
                    # The venue has understood, and says no.
                    failures = _ATTEMPTS
            if failures >= _ATTEMPTS:
                raise TransientError(
                    f"{self._place}: expected an answer, found {found}; what was fetched is kept, "
                    "the same command goes on from there"
                )
            log.info("asking again", venue=self._name, failures=failures, found=found)
            await asyncio.sleep(
                retry_delay_s(failures, _FIRST_DELAY_NS, _LONGEST_DELAY_NS, self._jitter())
            )

    def _slot(self, weight: int) -> asyncio.Semaphore:
        if weight not in self._slots:
            many = _ON_THE_WAY if self._pace is None else self._pace.on_the_way(weight)
            self._slots[weight] = asyncio.Semaphore(many)
        return self._slots[weight]

    async def _turn(self, weight: int) -> None:
        async with self._turn_lock:
            self.requests += 1
            if self._pace is None:
                return
            loop = asyncio.get_running_loop()
            while True:
                now_ns = round(loop.time() * NS_PER_SECOND)
                wait_ns = self._pace.wait_ns(now_ns)
                if not wait_ns:
                    break
                await asyncio.sleep(wait_ns / NS_PER_SECOND)
            self._pace.spend(weight, now_ns)

    def _tap(
        self, status: int, reason: str, url: str, method: str, headers: Any, body: str, *rest: Any
    ) -> str:
        """The client's hook: sees each answer with its own headers.

        The client itself keeps only those of the latest answer, whosever it was.
        """
        told = {str(key).lower(): value for key, value in headers.items()}
        if self._pace is not None:
            self._listen(self._pace, status, told, body)
        if status == _BANNED:
            raise TransientError(
                f"{self._place}: expected to be served, found this address banned for "
                f"{told.get('retry-after', 'some')} s; what was fetched is kept, the same command "
                "goes on from there"
            )
        body = self._told(status, reason, url, method, headers, body, *rest)
        lists = self.bounded and _LISTS.search(url)
        if status == 200 and body[:1] not in (("[",) if lists else ("[", "{")):
            # The library takes it for an empty answer, which would become a gap.
            raise self._venue.library.ExchangeNotAvailable(f"{url}: no rows: {body[:80]!r}")
        return body

    def _listen(self, pace: Pace, status: int, told: Mapping[str, str], body: str) -> None:
        if used := told.get(_USED):
            pace.told(int(used))
        if status in (_TOO_MANY, _BANNED):
            self.waits += 1
            now_ns = round(asyncio.get_running_loop().time() * NS_PER_SECOND)
            pace.refuse(float(told.get("retry-after", 1)), now_ns)
        if '"rateLimits"' in body[:2000] and (found := _LIMIT.search(body)):
            pace.allow(int(found[1]))

    def _page(self, instrument: str) -> int:
        kind = "swap" if self._linear else "spot"
        features = (self._client.features or {}).get(kind) or {}
        if self._linear:
            features = features.get("linear") or {}
        limit = (features.get("fetchOHLCV") or {}).get("limit")
        return min(PAGE, int(limit or PAGE))


def _are_candles(answer: Any) -> bool:
    return isinstance(answer, list) and all(isinstance(r, list) and len(r) >= 6 for r in answer)


def _are_aggregates(answer: Any) -> bool:
    return _have(answer, {"a", "p", "q", "f", "l", "T", "m"})


def _are_singles(answer: Any) -> bool:
    return _have(answer, {"id", "price", "qty", "time", "isBuyerMaker"})


def _have(answer: Any, names: set[str]) -> bool:
    return isinstance(answer, list) and all(
        isinstance(row, dict) and row.keys() >= names for row in answer
    )


def _as_aggregate(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A single trade as the aggregate of itself."""
    number = row["id"]
    told = {"p": row["price"], "q": row["qty"], "T": row["time"], "m": row["isBuyerMaker"]}
    return {"a": number, "f": number, "l": number, **told}
