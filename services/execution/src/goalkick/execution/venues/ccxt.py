"""An account on a venue through ccxt: each order sent at most once, every doubt asked about.

A placement has three outcomes: the venue's answer, the venue's refusal, and not knowing. Not
knowing is ended by asking for the order by its client id, again and again: it is found, or it is
not there and no request of ours can reach the venue any more. A request is void `recv_window` after
it was signed, and the venue's engine may sit on it for `engine_timeout` more.

The private stream is a convenience: it makes news fast. What it may have missed is asked for
whenever it begins again, and on a period besides.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
import structlog

from goalkick.common.core.errors import (
    GoalkickError,
    InvalidDataError,
    SettingsError,
    TransientError,
)
from goalkick.common.events.venue import (
    CancelOrder,
    PlaceOrder,
    QueryOrder,
    VenueAccepted,
    VenueClosed,
    VenueEvent,
    VenueNotFound,
    VenueRejected,
    VenueTraded,
    VenueUnreachable,
)
from goalkick.common.values.ids import ClientOrderId, InstrumentId, name_of
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND
from goalkick.execution.settings import VenueSettings
from goalkick.execution.venues.dialect import Dialect, Ended, Found, Lost, Told

OURS: Final = "gk-"
"""What our client order ids begin with."""
_WAITING: Final = 10_000
"""Pieces of news that may wait to be heard; more than a venue says in the time of a snapshot."""

log = structlog.get_logger()


class _Open(msgspec.Struct):
    """An order that is not known to have ended; `quantity` None where it was not placed here."""

    instrument: InstrumentId
    quantity: Decimal | None = None
    traded: dict[str, Decimal] = msgspec.field(default_factory=dict)


class CcxtVenue:
    """One account; see `ports/venue.py`.

    Attributes:
        name: `<venue>/<account>`.
        connected: whether the private stream stands.
        rebuilt: how often it had to begin again.
    """

    def __init__(
        self,
        settings: VenueSettings,
        dialect: Dialect,
        account: str,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Nothing is loaded or connected before `start`.

        Args:
            settings: which venue, where, with which keys and how patiently.
            dialect: the venue's own language.
            account: for the name.
            jitter: numbers in [0, 1) that keep retries of several accounts apart.
        """
        self.name = f"{settings.name}/{account}"
        self.connected = False
        self.rebuilt = 0
        self._settings = settings
        self._dialect = dialect
        self._jitter = jitter
        self._news: asyncio.Queue[VenueEvent] = asyncio.Queue(_WAITING)
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked: dict[str, bool] = {}
        self._open: dict[str, _Open] = {}
        self._sent_s: dict[str, float] = {}
        self._instruments: dict[str, InstrumentId] = {}
        self._began_s = 0.0
        self._library: Any = None
        self._rest: Any = None

    async def start(self) -> None:
        """Connects; see the port."""
        # Imported here because it takes 100 MB and a second, which paper trading should not pay.
        self._library = await asyncio.to_thread(_load)
        self._began_s = time.monotonic()
        self._rest = self._client()
        await self._bounded(self._rest.load_markets())
        await self._bounded(self._rest.load_time_difference())
        await self.holdings()
        up = asyncio.Event()
        self._begin(self._keep_listening(up))
        self._begin(self._keep_comparing())
        try:
            async with asyncio.timeout(self._seconds("timeout") * 2):
                await up.wait()
        except TimeoutError:
            raise TransientError(
                f"{self.name}: expected the private stream within "
                f"{self._seconds('timeout') * 2:g} s, found none"
            ) from None

    def carry_out(self, command: VenueEvent) -> None:
        """Begins to carry out a command; see the port."""
        handle = command.client_order_id
        order = self._open.setdefault(handle, _Open(command.instrument))
        match command:
            case PlaceOrder():
                order.quantity = command.quantity
                self._begin(self._place(command))
            case CancelOrder():
                self._begin(self._cancel(command))
            case QueryOrder():
                self._ask(handle)
            case _:
                raise InvalidDataError(
                    f"{self.name}: expected a command, found {type(command).__name__}"
                )

    async def answers(self) -> Sequence[VenueEvent]:
        """Waits for news; see the port."""
        news = [await self._news.get()]
        while not self._news.empty():
            news.append(self._news.get_nowait())
        return news

    async def holdings(self) -> Mapping[str, Decimal]:
        """What the account has; see the port."""
        found: Mapping[str, Decimal] = await self._bounded(self._dialect.holdings(self._rest))
        return found

    async def close(self) -> None:
        """Hangs up; see the port."""
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._rest is not None:
            await self._rest.close()

    # --- commands

    async def _place(self, order: PlaceOrder) -> None:
        handle, symbol = order.client_order_id, self._symbol(order.instrument)
        try:
            async with asyncio.timeout(self._seconds("timeout") * 2):
                told = await self._dialect.place(self._rest, order, symbol)
        except Exception as error:
            self._sent_s[handle] = time.monotonic()
            reason = f"{type(error).__name__}: {str(error)[:300]}"
            if self._is_refusal(error):
                self._open.pop(handle, None)
                await self._say(
                    VenueRejected(
                        time_ns=time.time_ns(),
                        client_order_id=handle,
                        instrument=order.instrument,
                        reason=reason,
                    )
                )
                return
            log.warning("outcome of an order is not known", order=handle, reason=reason)
            await self._say(
                VenueUnreachable(
                    time_ns=time.time_ns(),
                    client_order_id=handle,
                    instrument=order.instrument,
                    reason=reason,
                )
            )
            return
        self._sent_s[handle] = time.monotonic()
        for event in told:
            await self._say(event)

    def _is_refusal(self, error: Exception) -> bool:
        """Whether an error says that the venue has not taken the order."""
        library = self._library
        if isinstance(error, library.InvalidOrder) and "uplicate" in str(error):
            # An order with this id is there: ours.
            return False
        # Refused before they reached the engine, though ccxt counts them as network errors.
        early = (library.InvalidNonce, library.DDoSProtection, library.RateLimitExceeded)
        if isinstance(error, early):
            return True
        return isinstance(error, library.ExchangeError) and not isinstance(
            error, library.OperationFailed
        )

    async def _cancel(self, command: CancelOrder) -> None:
        handle, symbol = command.client_order_id, self._symbol(command.instrument)
        attempt = 0
        while True:
            try:
                await self._bounded(self._dialect.cancel(self._rest, handle, symbol))
                break
            except self._library.OrderNotFound:
                break
            except GoalkickError as error:
                # To cancel twice does no harm.
                log.warning("cancel failed", order=handle, reason=str(error)[:300])
                attempt += 1
                await self._pause(attempt)
        self._ask(handle)

    def _ask(self, handle: str) -> None:
        """Asks about an order; once more if somebody is just being told how it was before."""
        if handle in self._asked:
            self._asked[handle] = True
        else:
            self._asked[handle] = False
            self._begin(self._answer_for(handle))

    async def _answer_for(self, handle: str) -> None:
        try:
            while True:
                self._asked[handle] = False
                await self._find_out(handle)
                if not self._asked[handle]:
                    return
        finally:
            del self._asked[handle]

    async def _find_out(self, handle: str) -> None:
        """Asks until the venue's answer settles what is open about the order."""
        attempt = 0
        while (order := self._open.get(handle)) is not None:
            symbol = self._symbol(order.instrument)
            try:
                found = await self._bounded(self._dialect.find(self._rest, handle, symbol))
            except self._library.OrderNotFound:
                if await self._is_void(handle):
                    await self._say(VenueNotFound(**_about(handle, order)))
                    return
                continue
            except GoalkickError as error:
                log.warning("venue does not say", order=handle, reason=str(error)[:300])
                attempt += 1
                await self._pause(attempt)
                continue
            for trade in found.trades:
                await self._say(trade)
            if found.complete:
                await self._say_state(handle, order, found)
                return
            # The order is ahead of its trades: they follow.
            attempt += 1
            await self._pause(attempt)

    async def _say_state(self, handle: str, order: "_Open", found: Found) -> None:
        common = _about(handle, order)
        match found.status:
            case "open":
                await self._say(VenueAccepted(**common, venue_order_id=found.venue_order_id))
                return
            case "rejected":
                await self._say(VenueRejected(**common, reason="rejected"))
            case "cancelled" | "expired":
                cancelled = found.status == "cancelled"
                await self._say(VenueClosed(**common, cancelled=cancelled, reason=found.status))
        self._open.pop(handle, None)

    async def _is_void(self, handle: str) -> bool:
        """Whether no request of ours for an order that is not found can arrive any more.

        Waits a little where it still can.
        """
        sent_s = self._sent_s.get(handle, self._began_s)
        window = sum(self._seconds(name) for name in ("recv_window", "engine_timeout", "margin"))
        if time.monotonic() >= sent_s + window:
            return True
        await asyncio.sleep(self._seconds("query_every"))
        return False

    # --- the private stream

    async def _keep_listening(self, up: asyncio.Event) -> None:
        """Holds the private stream; begins anew whatever happens to it."""
        failures = 0
        while True:
            client = self._client(tapped=True)
            client.set_markets_from_exchange(self._rest)
            try:
                await client.load_time_difference()
                async with asyncio.timeout(self._seconds("timeout")):
                    await self._dialect.subscribe(client)
                self.connected, failures = True, 0
                up.set()
                self._compare()
                await self._until_lost(client)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                reason = f"{type(error).__name__}: {str(error)[:200]}"
                log.warning("private stream lost", venue=self.name, reason=reason)
            finally:
                self.connected = False
                with contextlib.suppress(Exception):
                    await client.close()
            failures += 1
            self.rebuilt += 1
            await self._pause(failures)

    async def _until_lost(self, client: Any) -> None:
        waiting = asyncio.ensure_future(self._dialect.wait(client))
        lost = asyncio.ensure_future(client.lost.wait())
        try:
            await asyncio.wait((waiting, lost), return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                waiting.result()
        finally:
            for task in (waiting, lost):
                task.cancel()
            await asyncio.wait((waiting, lost))

    def _hear(self, client: Any, message: Any) -> bool:
        """Takes what is about our orders; whether ccxt need not see the message."""
        try:
            news = self._dialect.hear(message)
        except (InvalidDataError, ValueError, KeyError, TypeError) as error:
            log.warning("private message is not understood", venue=self.name, reason=repr(error))
            self._compare()
            return False
        for piece in news:
            match piece:
                case Told(handle, event) if handle.startswith(OURS):
                    self._say_now(event)
                case Ended(handle, symbol) if handle.startswith(OURS):
                    self._open.setdefault(handle, _Open(self._instrument(symbol)))
                    self._ask(handle)
                case Lost(reason):
                    log.warning("private stream ends", venue=self.name, reason=reason)
                    client.lost.set()
                case _:
                    log.warning("order of somebody else", venue=self.name, order=piece)
        return bool(news)

    async def _keep_comparing(self) -> None:
        while True:
            await asyncio.sleep(self._seconds("compare_every"))
            self._compare()

    def _compare(self) -> None:
        """Asks about every order that is not known to have ended."""
        for handle in tuple(self._open):
            self._ask(handle)

    # --- small parts

    def _client(self, *, tapped: bool = False) -> Any:
        settings = self._settings
        kind = getattr(self._library, settings.name)
        if tapped:
            kind = _tapped(kind, self._hear)
        client = kind(
            {
                "apiKey": settings.key.reveal() if settings.key else "",
                "secret": settings.secret.reveal() if settings.secret else "",
                "timeout": settings.timeout // NS_PER_MS,
                "enableRateLimit": True,
                "newUpdates": True,
                "maxRetriesOnFailure": 0,
                "streaming": {"keepAlive": settings.keep_alive // NS_PER_MS},
                "options": dict(self._dialect.options(settings.recv_window // NS_PER_MS)),
            }
        )
        if settings.endpoint:
            client.urls["api"] = self._dialect.move(client.urls["api"], settings.endpoint)
        return client

    async def _bounded(self, request: Coroutine[Any, Any, Any]) -> Any:
        """Waits for an answer, not for ever.

        Raises:
            TransientError: there is none, or it says nothing.
            SettingsError: the keys are refused.
        """
        library, limit_s = self._library, self._seconds("timeout") * 2
        try:
            async with asyncio.timeout(limit_s):
                return await request
        except library.OrderNotFound:
            raise
        except library.InvalidNonce as error:
            with contextlib.suppress(Exception):
                await self._rest.load_time_difference()
            raise TransientError(
                f"{self.name}: our clock and the venue's differ: {error}"
            ) from error
        except library.AuthenticationError as error:
            raise SettingsError(
                f"execution.venue: expected keys that {self.name} accepts, found: {error}"
            ) from error
        except (library.BaseError, TimeoutError, KeyError, TypeError, ValueError) as error:
            raise TransientError(
                f"{self.name}: expected an answer within {limit_s:g} s, found "
                f"{type(error).__name__}: {str(error)[:200]}"
            ) from error

    async def _pause(self, failures: int) -> None:
        settings = self._settings
        delay_ns = min(settings.retry_delay << min(failures - 1, 20), settings.max_retry_delay)
        await asyncio.sleep(delay_ns / NS_PER_SECOND * (0.5 + self._jitter() / 2))

    async def _say(self, event: VenueEvent) -> None:
        self._note(event)
        await self._news.put(self._mapped(event))

    def _note(self, event: VenueEvent) -> None:
        """Asks no more about an order whose whole quantity is known to have traded."""
        order = self._open.get(event.client_order_id)
        if order is not None and isinstance(event, VenueTraded):
            order.traded[event.trade_id] = event.quantity
            if order.quantity is not None and sum(order.traded.values()) >= order.quantity:
                del self._open[event.client_order_id]

    def _say_now(self, event: VenueEvent) -> None:
        try:
            self._news.put_nowait(self._mapped(event))
            self._note(event)
        except asyncio.QueueFull:
            # Nobody listens; what is dropped here is asked for.
            self._ask(event.client_order_id)

    def _mapped(self, event: VenueEvent) -> VenueEvent:
        """With our name of the instrument where it still has the venue's."""
        if event.instrument.startswith(f"{self._settings.name}:"):
            return event
        return msgspec.structs.replace(event, instrument=self._instrument(event.instrument))

    def _symbol(self, instrument: InstrumentId) -> str:
        return str(self._rest.market(name_of(instrument))["id"])

    def _instrument(self, symbol: str) -> InstrumentId:
        known = self._instruments.get(symbol)
        if known is None:
            name = self._rest.safe_symbol(symbol)
            known = self._instruments[symbol] = InstrumentId(f"{self._settings.name}:{name}")
        return known

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _seconds(self, name: str) -> float:
        return float(getattr(self._settings, name) / NS_PER_SECOND)


def _about(handle: str, order: _Open) -> dict[str, Any]:
    return {
        "time_ns": time.time_ns(),
        "client_order_id": ClientOrderId(handle),
        "instrument": order.instrument,
    }


def _load() -> Any:
    import ccxt.pro  # noqa: PLC0415

    return ccxt.pro


def _tapped(kind: Any, hear: Callable[[Any, Any], bool]) -> Any:
    """The exchange's class with one method changed: messages are shown to us first.

    An error in one of ccxt's own handlers would leave the connection open and deaf.
    """

    class Tapped(kind):  # type: ignore[misc]
        def __init__(self, config: Mapping[str, Any]) -> None:
            super().__init__(config)
            self.lost = asyncio.Event()

        def handle_message(self, client: Any, message: Any) -> None:
            if hear(self, message):
                return
            try:
                super().handle_message(client, message)
            except Exception as error:
                log.warning("message that ccxt does not understand", reason=repr(error))

    return Tapped
