"""A look at the whole account: what it holds, and orders and trades that are not ours.

It reads and tells; it touches nothing.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
import structlog

from goalkick.common.core.errors import GoalkickError
from goalkick.common.events.venue import (
    VenueEvent,
    VenueExternalOrder,
    VenueExternalTrade,
    VenueHoldings,
)
from goalkick.common.values.ids import ClientOrderId, InstrumentId
from goalkick.common.values.time import NS_PER_MS
from goalkick.execution.venues.client import VenueClient
from goalkick.execution.venues.dialect import Dialect, is_ours

log = structlog.get_logger()

OVERLAP_MS: Final = 60_000
"""Trades are asked for again from so long before the last that was seen: the venue may list them
late. What is told twice is known by its id."""
REACH_MS: Final = 24 * 60 * 60_000
"""How far a venue's answer reaches at least from where it was asked to begin: Bybit's ends after
seven days. What lies behind it is asked for next."""
LATE_MS: Final = 60 * 60_000
"""Trades of the last hour are asked for again where none was seen since: a venue may list them
late."""
REMEMBERED: Final = 10_000
"""Orders of which it is remembered whose they are."""
TRIES: Final = 3
"""How often holdings are asked for while trades come in between."""


class AccountWatch:
    """One account."""

    def __init__(
        self,
        client: VenueClient,
        dialect: Dialect,
        say: Callable[[VenueEvent], Awaitable[None]],
        ours: Callable[[ClientOrderId, InstrumentId], None],
        listed: Callable[[float, Mapping[str, VenueExternalOrder]], Awaitable[None]],
        trades: Callable[[], int],
    ) -> None:
        """Nothing is asked before `run`.

        Args:
            client: asks the venue.
            dialect: the venue's own language.
            say: takes news.
            ours: is told of orders of ours that were traded.
            listed: is told when open orders were asked for, monotonic seconds, and which of them
                are ours, by client order id.
            trades: how many trades were told so far, by whomsoever.
        """
        self._client = client
        self._dialect = dialect
        self._say = say
        self._on_ours = ours
        self._on_listed = listed
        self._trades = trades
        self._wanted = asyncio.Event()
        self._symbols: dict[str, None] = {}
        self._owners: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._floor_ms = self._seen_ms = 0

    def begin(self) -> None:
        """Trades count from now on: those before are in what the account holds."""
        self._floor_ms = self._seen_ms = self._client.venue_ms()

    def look(self, since_ns: int = 0) -> None:
        """Wants a look soon.

        Args:
            since_ns: trades from this time of the venue on; 0: from where it stands.
        """
        if since_ns:
            self._floor_ms = min(self._floor_ms, since_ns // NS_PER_MS)
            self._seen_ms = self._floor_ms
        self._wanted.set()

    def trades_here(self, symbol: str) -> None:
        """This instrument of the venue is one to look for trades of."""
        self._symbols[symbol] = None

    def owned(self, symbol: str, venue_order_id: str, handle: str) -> None:
        """An order that the venue knows by this number has this client order id."""
        if venue_order_id:
            self._owners[symbol, venue_order_id] = handle
            if len(self._owners) > REMEMBERED:
                self._owners.popitem(last=False)

    async def run(self) -> None:
        """Looks whenever that is wanted, until it is cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            failures = 0
            while True:
                try:
                    await self._look_once()
                    break
                except GoalkickError as error:
                    log.warning("the account cannot be seen", reason=str(error)[:300])
                    failures += 1
                    await self._client.pause(failures)

    async def _look_once(self) -> None:
        asked_s = time.monotonic()
        orders = await self._client.ask(self._dialect.open_orders(self._client.rest), pages=True)
        ours: dict[str, VenueExternalOrder] = {}
        for order in orders or ():
            symbol, handle = order.instrument, order.client_order_id
            self.trades_here(symbol)
            self.owned(symbol, order.venue_order_id, handle)
            told: VenueExternalOrder = self._mapped(order)
            if is_ours(handle):
                ours[handle] = told
            else:
                await self._say(told)
        await self._on_listed(asked_s, ours)
        await self._look_for_trades()
        await self._look_for_holdings()

    async def _look_for_trades(self) -> None:
        rest, since_ms = self._client.rest, max(self._floor_ms, self._seen_ms - OVERLAP_MS)
        asked_ms = self._client.venue_ms()
        symbols = tuple(self._symbols)
        found = await self._client.ask(self._dialect.trades(rest, symbols, since_ms), pages=True)
        for each in found or ():
            trade: VenueExternalTrade = each.trade
            handle = each.handle or await self._owner(trade)
            self._seen_ms = max(self._seen_ms, trade.venue_time_ns // NS_PER_MS)
            told = self._mapped(trade)
            if is_ours(handle):
                self._on_ours(ClientOrderId(handle), told.instrument)
            else:
                await self._say(told)
        # Else the answers would end before the present on an account that has long been quiet.
        quiet_ms = min(since_ms + REACH_MS, asked_ms - LATE_MS)
        self._seen_ms = max(self._seen_ms, quiet_ms)

    async def _owner(self, trade: VenueExternalTrade) -> str:
        symbol, number = trade.instrument, trade.venue_order_id
        if (symbol, number) not in self._owners:
            handle = await self._client.ask(self._dialect.owner(self._client.rest, number, symbol))
            self.owned(symbol, number, handle or "")
        return self._owners[symbol, number]

    async def _look_for_holdings(self) -> None:
        for _ in range(TRIES):
            before = self._trades()
            holdings = await self._client.ask(self._dialect.holdings(self._client.rest))
            if self._trades() == before:
                now_ns = self._client.venue_ms() * NS_PER_MS
                await self._say(VenueHoldings(time_ns=now_ns, holdings=dict(holdings)))
                return
        # Too much is traded to see what is held: the next look may.

    def _mapped(self, event: Any) -> Any:
        instrument = self._client.instrument(event.instrument)
        return msgspec.structs.replace(event, instrument=instrument)
