"""An account on a venue through ccxt: each order sent at most once, every doubt asked about.

A placement has three outcomes: the venue's answer, the venue's refusal, and not knowing. Not
knowing is ended by asking for the order by its client id, again and again: it is found, or it is
not there and no request of ours can reach the venue any more. A request is void `recv_window` after
it was signed, and the venue's engine may sit on it for `engine_timeout` more.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec
import structlog

from goalkick.common.adapters.budget.metered import Metering, prioritised
from goalkick.common.adapters.secrets.rotation import KeyRefused, KeyRotated
from goalkick.common.core.errors import GoalkickError, InvalidDataError
from goalkick.common.events.venue import (
    CancelAll,
    CancelOrder,
    PlaceOrder,
    QueryAccount,
    QueryOrder,
    VenueAccepted,
    VenueClosed,
    VenueContact,
    VenueEvent,
    VenueExternalOrder,
    VenueExternalTrade,
    VenueNotFound,
    VenueRejected,
    VenueTraded,
    VenueUnreachable,
)
from goalkick.common.values.ids import ClientOrderId, InstrumentId
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.execution.settings import VenueSettings
from goalkick.execution.venues.client import VenueClient, said, seconds
from goalkick.execution.venues.dialect import Dialect, Ended, Foreign, Found, News, Told, is_ours
from goalkick.execution.venues.keys import MakeKeys, news_of
from goalkick.execution.venues.orders import OpenOrder, Orders
from goalkick.execution.venues.stream import PrivateStream
from goalkick.execution.venues.tasks import Tasks
from goalkick.execution.venues.watch import AccountWatch

_WAITING: Final = 10_000
"""Pieces of news that may wait to be heard; more than a venue says in the time of a snapshot."""
_AT_ONCE: Final = 3
"""Orders that are asked about one by one; more wait for the list of all open orders first."""

_LOOK_S: Final = 0.2
"""Between two looks at how contact stands, seconds."""
_TELL_S: Final = 2.0
"""How often that is told where it does not change, seconds: how exactly a loss is timed."""

Event = TypeVar("Event", bound=VenueEvent)

log = structlog.get_logger()


class CcxtVenue:
    """One account; see `ports/venue.py`.

    Attributes:
        name: `<venue>/<account>`.
        client: its access to the venue, there once it has started.
        stream: the private stream.
        tasks: what goes on in the background.
    """

    def __init__(
        self,
        settings: VenueSettings,
        dialect: Dialect,
        account: str,
        jitter: Callable[[], float] = random.random,
        may_place: Callable[[], bool] = lambda: True,
        make_keys: MakeKeys | None = None,
        metering: Metering | None = None,
    ) -> None:
        """Nothing is loaded or connected before `start`.

        Args:
            settings: which venue, where, with which keys and how patiently.
            dialect: the venue's own language.
            account: for the name.
            jitter: numbers in [0, 1) that keep retries of several accounts apart.
            may_place: whether orders may be placed, asked when one is about to be signed; may
                raise `InvalidDataError` to say why not.
            make_keys: makes what signs where keys turn while we work; None: those of the settings.
            metering: gives leave for requests; None: they go at ccxt's own pace.
        """
        self.name = f"{dialect.name}/{account}"
        self._settings = settings
        self._dialect = dialect
        self.client = VenueClient(settings, dialect, self.name, jitter, may_place)
        if make_keys is not None:
            self.client.keys = make_keys(self.client.attempt, self._say_of_key)
        self.tasks = Tasks(self.name)
        self.stream = PrivateStream(self.client, dialect, self.name, self._hear, self._compare)
        self._watch = AccountWatch(
            self.client, dialect, self._say, self._turned_up, self._settle, lambda: self._trades
        )
        self._news: asyncio.Queue[VenueEvent] = asyncio.Queue(_WAITING)
        self._asked: dict[str, bool] = {}
        self._orders = Orders(
            seconds(settings.recv_window + settings.engine_timeout + settings.margin)
        )
        self._cancelling: set[str] = set()
        self._trades = 0

    @property
    def connected(self) -> bool:
        """Whether the private stream stands, as far as is known."""
        return self.stream.connected

    async def start(self) -> None:
        """Connects; see the port."""
        self._forget()
        await self.client.load()
        if self.client.keys is not None:
            self._keep("keys", self.client.keys.run)
        if self._settings.dead_man is not None:
            window_s = self._settings.dead_man // NS_PER_SECOND
            await self.client.ask(self._dialect.guard(self.client.rest, window_s))
        self._watch.begin()
        await self.holdings()
        self._keep("private stream", self.stream.run)
        self._keep("comparison", self._keep_comparing)
        self._keep("contact", self._keep_telling)
        self._keep("watch of the account", self._watch.run)
        await self.stream.up()

    def carry_out(self, command: VenueEvent) -> None:
        """Begins to carry out a command; see the port."""
        match command:
            case PlaceOrder(client_order_id=handle):
                order = self._orders.of(handle, command.instrument)
                order.quantity, order.sending = command.quantity, True
                self._begin("placement", self._place(command), lambda: self._doubt(command))
            case CancelOrder(client_order_id=handle):
                # That it is there still is news from now on.
                self._orders.of(handle, command.instrument).told = False
                self._cancel(handle)
            case QueryOrder(client_order_id=handle):
                order = self._orders.of(handle, command.instrument)
                order.known |= command.known
                order.told = False
                if len(self._asked) < _AT_ONCE:
                    self._ask(handle)
                else:
                    self._watch.look()
            case CancelAll():
                self._begin("cancel of all", self._cancel_all(), lambda: self.carry_out(command))
            case QueryAccount():
                self._watch.look(command.since_ns)
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
        found: Mapping[str, Decimal] = await self.client.ask(
            self._dialect.holdings(self.client.rest)
        )
        self._watch.begin()
        return found

    async def close(self) -> None:
        """Hangs up; see the port."""
        await self.tasks.close()
        await self.stream.close()
        await self.client.close()

    # --- commands

    async def _place(self, order: PlaceOrder) -> None:
        handle = order.client_order_id
        state = self._orders.open[handle]
        try:
            told = await self._send(order)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            state.was_sent()
            if self.client.is_refusal(error):
                self._orders.finish(handle)
                await self._say(VenueRejected(**_about(handle, state), reason=said(error)))
            else:
                log.warning("outcome of an order is not known", order=handle, reason=said(error))
                await self._say(VenueUnreachable(**_about(handle, state), reason=said(error)))
            await self.client.learn_from(error)
            return
        state.was_sent()
        for event in told:
            await self._say(event)
            if isinstance(event, VenueClosed):
                self._orders.finish(handle)
        if not self.connected:
            self._ask(handle)

    async def _send(self, order: PlaceOrder) -> Sequence[VenueEvent]:
        lacking = self._dialect.lacks(order)
        if lacking:
            raise InvalidDataError(lacking)
        symbol = await self.client.symbol(order.instrument)
        self._watch.trades_here(symbol)
        async with asyncio.timeout(self.client.limit_s):
            with prioritised("reduce" if order.reduce_only else "open"):
                return await self._dialect.place(self.client.trading, order, symbol)

    def _doubt(self, order: PlaceOrder) -> None:
        """A placement broke in a way that nobody had thought of: nothing is known about it."""
        state = self._orders.of(order.client_order_id, order.instrument)
        state.was_sent()
        reason = "our own placement broke; see the log"
        self._say_now(VenueUnreachable(**_about(order.client_order_id, state), reason=reason))

    def _cancel(self, handle: str) -> None:
        if handle not in self._cancelling:
            self._cancelling.add(handle)
            self._begin("cancel", self._cancel_until_done(handle), lambda: self._ask(handle))

    async def _cancel_until_done(self, handle: str) -> None:
        """Cancels, however often it takes: to cancel twice does no harm."""
        attempt = 0
        try:
            while (order := self._orders.open.get(handle)) is not None:
                try:
                    symbol = await self.client.symbol(order.instrument)
                    request = self._dialect.cancel(self.client.trading, handle, symbol)
                    await self.client.answer_to(request)
                    if not order.sending:
                        break
                except GoalkickError as error:
                    log.warning("cancel failed", order=handle, reason=str(error)[:300])
                    # It may be that there is nothing to cancel any more.
                    self._ask(handle)
                attempt += 1
                await self.client.pause(attempt)
        finally:
            self._cancelling.discard(handle)
        self._ask(handle)

    async def _cancel_all(self) -> None:
        """Cancels what is known here, and what the venue lists; only ours."""
        for handle in tuple(self._orders.open):
            self._cancel(handle)
        attempt = 0
        while True:
            try:
                listed = await self.client.ask(
                    self._dialect.open_orders(self.client.rest), pages=True
                )
                break
            except GoalkickError as error:
                log.warning("open orders cannot be seen", reason=str(error)[:300])
                attempt += 1
                await self.client.pause(attempt)
        for order in listed or ():
            if is_ours(order.client_order_id):
                instrument = self.client.instrument(order.instrument)
                self._orders.of(order.client_order_id, instrument)
                self._cancel(order.client_order_id)

    # --- doubt

    def _ask(self, handle: str) -> None:
        """Asks about an order; once more if somebody is just being told how it was before."""
        if handle in self._asked:
            self._asked[handle] = True
        elif handle in self._orders.open:
            self._asked[handle] = False
            self._begin("question", self._answer_for(handle), self._compare_later)

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
        while (order := self._orders.open.get(handle)) is not None:
            began_s = time.monotonic()
            try:
                symbol = await self.client.symbol(order.instrument)
                request = self._dialect.find(self.client.rest, handle, symbol)
                found = await self.client.ask(request)
            except GoalkickError as error:
                log.warning("venue does not say", order=handle, reason=str(error)[:300])
                attempt += 1
                await self.client.pause(attempt)
                continue
            if found is None:
                if self._orders.is_void(order, began_s):
                    await self._say(VenueNotFound(**_about(handle, order)))
                    if not order.known:
                        self._orders.open.pop(handle, None)
                    return
                await asyncio.sleep(seconds(self._settings.query_every))
                continue
            order.known = True
            self._watch.owned(symbol, found.venue_order_id, handle)
            for trade in found.trades:
                await self._say(trade)
            if found.complete:
                await self._say_state(handle, order, found)
                return
            # The order is ahead of its trades: they follow.
            attempt += 1
            await self.client.pause(attempt)

    async def _say_state(self, handle: str, order: OpenOrder, found: Found) -> None:
        about = _about(handle, order)
        match found.status:
            case "open":
                await self._say(VenueAccepted(**about, venue_order_id=found.venue_order_id))
                return
            case "rejected":
                await self._say(VenueRejected(**about, reason=found.reason))
            case "cancelled" | "expired":
                cancelled = found.status == "cancelled"
                await self._say(VenueClosed(**about, cancelled=cancelled, reason=found.reason))
            case _:
                # Of one that somebody has made smaller all is traded before what we asked for is.
                await self._say(VenueClosed(**about, cancelled=False, reason="all of it traded"))
        self._orders.finish(handle)

    # --- news

    def _hear(self, piece: News) -> None:
        match piece:
            case Told(event):
                self._say_now(event)
            case Ended(handle, symbol, filled):
                known = handle in self._orders.open
                # Of one that was filled everything is known with its last trade.
                if known or not (filled or self._orders.has_ended(handle)):
                    self._orders.of(handle, self.client.instrument(symbol))
                    self._ask(handle)
            case Foreign(event):
                self._watch.trades_here(event.instrument)
                self._say_now(event)

    def _turned_up(self, handle: ClientOrderId, instrument: InstrumentId) -> None:
        """The venue has an order of ours; asks about it unless it is known."""
        if handle not in self._orders.open and not self._orders.has_ended(handle):
            self._orders.of(handle, instrument).known = True
            self._ask(handle)

    async def _keep_comparing(self) -> None:
        while True:
            await asyncio.sleep(seconds(self._settings.compare_every))
            self._compare()

    async def _keep_telling(self) -> None:
        """Tells how contact with the venue stands: when that changes, and now and then."""
        told, told_s = True, time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_S)
            connected = self.connected and self.client.answers
            if connected != told or time.monotonic() - told_s >= _TELL_S:
                told, told_s = connected, time.monotonic()
                now_ns = time.time_ns()
                self._say_now(VenueContact(time_ns=now_ns, connected=connected, at_ns=now_ns))

    def _compare(self) -> None:
        """Looks at the account, and asks about every order of which that does not tell all."""
        self._watch.look()

    async def _settle(self, asked_s: float, listed: Mapping[str, VenueExternalOrder]) -> None:
        """Takes what the venue listed as open orders of ours; asks about all others.

        Args:
            asked_s: when the list was asked for, monotonic seconds.
            listed: by client order id.
        """
        for handle, found in listed.items():
            if self._orders.has_ended(handle):
                continue
            order = self._orders.of(handle, found.instrument)
            if found.filled == order.filled:
                if order.told:
                    continue
                number = found.venue_order_id
                await self._say(VenueAccepted(**_about(handle, order), venue_order_id=number))
                # To whoever does not know it, it is somebody else's.
                await self._say(found)
            else:
                self._ask(handle)
        for handle, order in tuple(self._orders.open.items()):
            if handle not in listed and not order.sending and order.sent_s < asked_s:
                self._ask(handle)

    def _compare_later(self) -> None:
        # The periodic comparison asks again; at once it would only break again.
        pass

    async def _say(self, event: VenueEvent) -> None:
        self._note(event)
        await self._news.put(self._mapped(event))

    def _say_now(self, event: VenueEvent) -> None:
        if self._news.full():
            # Nobody listens; what is dropped here is asked for by the next comparison.
            log.error("news dropped, nobody listens", venue=self.name, news=type(event).__name__)
            return
        self._news.put_nowait(self._mapped(event))
        self._note(event)

    def _note(self, event: VenueEvent) -> None:
        if isinstance(event, VenueTraded | VenueExternalTrade):
            self._trades += 1
        self._orders.note(event)

    # --- small parts

    def _say_of_key(self, told: KeyRotated | KeyRefused) -> None:
        log.info("key of the account", venue=self.name, told=str(told))
        self._say_now(news_of(told))

    def _mapped(self, event: Event) -> Event:
        """With our name of the instrument where it still has the venue's."""
        symbol = getattr(event, "instrument", None)
        if symbol is None or symbol.startswith(f"{self._dialect.name}:"):
            return event
        return msgspec.structs.replace(event, instrument=self.client.instrument(symbol))

    def _forget(self) -> None:
        """Begins as new: whoever listens now asks about what it knows."""
        self._orders.begin()
        self._asked.clear()
        self._cancelling.clear()
        while not self._news.empty():
            with contextlib.suppress(asyncio.QueueEmpty):
                self._news.get_nowait()

    def _begin(
        self, what: str, work: Coroutine[Any, Any, None], broken: Callable[[], None]
    ) -> None:
        self.tasks.begin(what, work, broken)

    def _keep(self, what: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begins work that has no end, and begins it anew should it break."""

        async def worked() -> None:
            await work()

        async def again() -> None:
            await self.client.pause(1)
            self._keep(what, work)
            self._compare()

        def broken() -> None:
            self.tasks.begin(what, again(), broken)

        self.tasks.begin(what, worked(), broken)


def _about(handle: str, order: OpenOrder) -> dict[str, Any]:
    return {
        "time_ns": time.time_ns(),
        "client_order_id": ClientOrderId(handle),
        "instrument": order.instrument,
    }
