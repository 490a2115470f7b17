"""Several venues as one: orders that take what is offered are split over them at the least cost.

Each venue gets at most one part of an order, under the order's own client order id, so whoever
comes after asks every venue and needs no memory of ours. What waits in a book goes whole to the
first venue that is not in doubt. Nothing goes to a venue whose book is stale, with an order of
unknown fate, or which is not heard.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from goalkick.common.core.errors import GoalkickError, InvalidDataError, InvariantError
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.common.events.venue import (
    CancelAll,
    CancelOrder,
    PlaceOrder,
    QueryAccount,
    QueryOrder,
    VenueClosed,
    VenueContact,
    VenueEvent,
    VenueExternalOrder,
    VenueExternalTrade,
    VenueHoldings,
    VenueOrderEvent,
    VenueRejected,
    VenueTraded,
    VenueUnreachable,
)
from goalkick.common.ports.venue import Venue
from goalkick.common.values.ids import ClientOrderId, InstrumentId, name_of
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.money import ZERO
from goalkick.execution.routing import LeftOut, Route, VenueBook, route
from goalkick.execution.venues.depth import Depth, Look
from goalkick.execution.venues.routed_order import RoutedOrder
from goalkick.execution.venues.tasks import Tasks
from goalkick.execution.venues.venue_standing import VenueStanding

_WAITING: Final = 10_000
"""Pieces of news that may wait to be heard."""
_REMEMBERED: Final = 10_000
"""Orders that have ended and whose parts are kept, for trades that become known late."""


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One of the venues.

    Attributes:
        name: unique among them.
        prefix: what its instruments' ids begin with.
        venue: an account there.
        look: asks what it offers.
        latency_bps: what the way there is thought to cost, in basis points of notional.
        max_age_s: from when on, after it was asked for, a book counts as stale; seconds.
    """

    name: str
    prefix: str
    venue: Venue
    look: Look
    latency_bps: Decimal = ZERO
    max_age_s: float = 1.0


_NO_RULES: Final = Instrument(id=InstrumentId("unknown:"), base="", quote="")
"""Of a venue that did not say: nothing goes there."""


class RoutingVenue:
    """Several accounts on several venues, as one; see `ports/venue.py`.

    Instruments are named as on the first venue; each of the others must list the same pairs.
    """

    def __init__(
        self, legs: Sequence[Leg], account: str, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Nothing is connected before `start`.

        Args:
            legs: the venues; what waits in a book goes to the first that is not in doubt.
            account: for the name.
            now_s: a clock that only goes forward, seconds.
        """
        names = [leg.name for leg in legs]
        if not legs or len(set(names)) != len(names):
            raise InvariantError(f"expected venues with a name each, found {names}")
        self.name = f"{'+'.join(names)}/{account}"
        self._legs = {leg.name: leg for leg in legs}
        self._home = legs[0].prefix
        self._now_s = now_s
        self._tasks = Tasks(self.name)
        self._begin()

    def _begin(self) -> None:
        self._news: asyncio.Queue[VenueEvent | Exception] = asyncio.Queue(_WAITING)
        self._orders: dict[ClientOrderId, RoutedOrder] = {}
        self._routing: set[ClientOrderId] = set()
        self._withdrawn: set[ClientOrderId] = set()
        self._standing = {name: VenueStanding() for name in self._legs}

    async def start(self) -> None:
        """Connects to all; see the port."""
        self._begin()
        for leg in self._legs.values():
            await leg.venue.start()
            self._standing[leg.name].holds(await leg.venue.holdings())
        for leg in self._legs.values():
            self._tasks.begin(f"news of {leg.name}", self._listen(leg), lambda: None)

    def carry_out(self, command: VenueEvent) -> None:
        """Begins to carry out a command; see the port."""
        match command:
            case PlaceOrder(client_order_id=handle) if _takes(command):
                self._routing.add(handle)
                self._tasks.begin("route", self._route(command), lambda: self._doubt(command))
            case PlaceOrder():
                self._place_whole(command)
            case CancelOrder(client_order_id=handle) if handle in self._routing:
                self._withdrawn.add(handle)
            case QueryOrder(client_order_id=handle) if handle in self._routing:
                pass  # what comes of it is told
            case CancelOrder() | QueryOrder():
                order = self._order(command.client_order_id)
                asked = order.asked()
                self._note(command.client_order_id, order)
                for name in asked:
                    self._ask(self._legs[name], command)
            case CancelAll() | QueryAccount():
                for leg in self._legs.values():
                    leg.venue.carry_out(command)
            case _:
                raise InvalidDataError(
                    f"{self.name}: expected a command, found {type(command).__name__}"
                )

    async def answers(self) -> Sequence[VenueEvent]:
        """Waits for news of all; see the port."""
        found = [await self._news.get()]
        while not self._news.empty():
            found.append(self._news.get_nowait())
        news: list[VenueEvent] = []
        for each in found:
            if isinstance(each, Exception):
                raise each
            news.append(each)
        return news

    async def holdings(self) -> Mapping[str, Decimal]:
        """What all accounts have together; see the port."""
        return _sum([await leg.venue.holdings() for leg in self._legs.values()])

    async def close(self) -> None:
        """Hangs up; see the port."""
        await self._tasks.close()
        for leg in self._legs.values():
            await leg.venue.close()

    def doubt_about(self, name: str) -> str:
        """Why nothing is sent to a venue; "": nothing speaks against it."""
        if not self._standing[name].connected:
            return "it is not heard"
        for handle in self._standing[name].doubted:
            return f"the fate of {handle} there is not known"
        return ""

    # --- commands

    async def _route(self, order: PlaceOrder) -> None:
        """Looks at all venues at once, and sends each its part."""
        handle = order.client_order_id
        try:
            looks = [self._look_at(leg, order) for leg in self._legs.values()]
            books = list(await asyncio.gather(*looks))
            found = route(order.side, order.quantity, books, order.limit_price)
        except InvalidDataError as error:
            self._routing.discard(handle)
            await self._say(VenueRejected(**_about(order), reason=f"not sent: {error}"))
            return
        self._routing.discard(handle)
        if handle in self._withdrawn:
            self._withdrawn.discard(handle)
            reason = "cancelled before it was sent"
            await self._say(VenueClosed(**_about(order), cancelled=True, reason=reason))
        elif not found.portions:
            await self._say(_unsent(order, found))
        else:
            self._send(order, found)

    def _send(self, order: PlaceOrder, found: Route) -> None:
        rest = f"{found.unrouted} was not sent: {_why(found)}" if found.unrouted else ""
        quantities = {portion.venue: portion.quantity for portion in found.portions}
        self._remember(order.client_order_id, RoutedOrder(quantities, rest))
        for portion in found.portions:
            leg = self._legs[portion.venue]
            leg.venue.carry_out(
                msgspec.structs.replace(
                    order,
                    instrument=_there(leg, order.instrument),
                    quantity=portion.quantity,
                    kind=OrderKind.LIMIT,
                    limit_price=portion.limit_price,
                    time_in_force=TimeInForce.IMMEDIATE,
                )
            )

    async def _look_at(self, leg: Leg, order: PlaceOrder) -> VenueBook:
        """What a venue offers to whoever takes that side; stale where it does not say in time."""
        began_s, depth = self._now_s(), None
        if not self.doubt_about(leg.name):
            try:
                async with asyncio.timeout(leg.max_age_s):
                    depth = await leg.look(_there(leg, order.instrument))
            except (GoalkickError, TimeoutError):
                depth = None
        return self._book(leg, order.side, depth, self._now_s() - began_s)

    def _book(self, leg: Leg, side: Side, depth: Depth | None, age_s: float) -> VenueBook:
        doubt = self.doubt_about(leg.name)
        if depth is None:
            return VenueBook(
                venue=leg.name, rules=_NO_RULES, levels=(), stale=not doubt, doubt=doubt
            )
        levels = depth.asks if side is Side.BUY else depth.bids
        return VenueBook(
            venue=leg.name,
            rules=depth.rules,
            levels=levels,
            stale=age_s > leg.max_age_s,
            doubt=doubt,
            latency_bps=leg.latency_bps,
            most=self._standing[leg.name].most(side, depth.rules, levels),
        )

    def _place_whole(self, order: PlaceOrder) -> None:
        handle = order.client_order_id
        doubts = {name: self.doubt_about(name) for name in self._legs}
        name = next((name for name, doubt in doubts.items() if not doubt), None)
        if name is None:
            why = "; ".join(f"{name}: {doubt}" for name, doubt in doubts.items())
            self._say_now(VenueRejected(**_about(order), reason=f"not sent: {why}"))
            return
        self._remember(handle, RoutedOrder({name: order.quantity}))
        leg = self._legs[name]
        instrument = _there(leg, order.instrument)
        leg.venue.carry_out(msgspec.structs.replace(order, instrument=instrument))

    def _ask(self, leg: Leg, command: CancelOrder | QueryOrder) -> None:
        changes: dict[str, Any] = {"instrument": _there(leg, command.instrument)}
        if isinstance(command, QueryOrder):
            # Which of the venues has had it for certain is not said.
            changes["known"] = False
        elif ":" in command.venue_order_id:
            changes["venue_order_id"] = ""
        leg.venue.carry_out(msgspec.structs.replace(command, **changes))

    def _doubt(self, order: PlaceOrder) -> None:
        """A route broke in a way that nobody had thought of: nothing is known about it."""
        self._routing.discard(order.client_order_id)
        reason = "our own routing broke; see the log"
        self._say_now(VenueUnreachable(**_about(order), reason=reason))

    # --- news

    async def _listen(self, leg: Leg) -> None:
        try:
            while True:
                for news in await leg.venue.answers():
                    for told in self._heard(leg, news):
                        await self._say(told)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            await self._news.put(error)

    def _heard(self, leg: Leg, news: VenueEvent) -> Iterable[VenueEvent]:
        standing = self._standing[leg.name]
        instrument = getattr(news, "instrument", None)
        if instrument is not None:
            here = InstrumentId(f"{self._home}:{name_of(instrument)}")
            news = msgspec.structs.replace(news, instrument=here)
        match news:
            case VenueOrderEvent():
                if isinstance(news, VenueTraded):
                    standing.saw(news)
                order = self._order(news.client_order_id)
                told = order.hear(leg.name, news)
                if order.unasked and isinstance(news, VenueClosed | VenueRejected):
                    # One of an earlier life: the other venues may have parts of it.
                    self.carry_out(QueryOrder(**_about(news)))
                self._note(news.client_order_id, order)
                return told
            case VenueHoldings():
                return self._held(leg, news)
            case VenueContact():
                return (self._contact(leg, news),)
            case VenueExternalOrder() | VenueExternalTrade():
                if isinstance(news, VenueExternalTrade):
                    standing.saw(news)
                number = f"{leg.name}:{news.venue_order_id}"
                return (msgspec.structs.replace(news, venue_order_id=number),)
        return (news,)

    def _held(self, leg: Leg, news: VenueHoldings) -> Iterable[VenueEvent]:
        """Tells what all have together once each has said it anew."""
        self._standing[leg.name].holds(news.holdings)
        standings = self._standing.values()
        if not all(each.fresh for each in standings):
            return ()
        for each in standings:
            each.fresh = False
        together = dict(_sum([each.holdings for each in standings]))
        return (msgspec.structs.replace(news, holdings=together),)

    def _contact(self, leg: Leg, news: VenueContact) -> VenueContact:
        """All are heard that have orders of ours, and one at least."""
        self._standing[leg.name].connected = news.connected
        silent = [each for each in self._standing.values() if not each.connected]
        connected = len(silent) < len(self._legs) and not any(each.working for each in silent)
        return msgspec.structs.replace(news, connected=connected)

    def _order(self, handle: ClientOrderId) -> RoutedOrder:
        """An order's parts; of one that is not known, every venue may have one."""
        order = self._orders.get(handle)
        if order is None:
            order = RoutedOrder(dict.fromkeys(self._legs))
            self._remember(handle, order)
        return order

    def _note(self, handle: ClientOrderId, order: RoutedOrder) -> None:
        """Which venues have something of an order, and where nobody knows what became of it."""
        for name, part in order.parts.items():
            self._standing[name].has(handle, working=not part.over, doubted=part.doubted)

    def _remember(self, handle: ClientOrderId, order: RoutedOrder) -> None:
        self._orders[handle] = order
        self._note(handle, order)
        if len(self._orders) > _REMEMBERED:
            ended = next((h for h, each in self._orders.items() if each.over), None)
            if ended is not None:
                del self._orders[ended]

    async def _say(self, event: VenueEvent) -> None:
        await self._news.put(event)

    def _say_now(self, event: VenueEvent) -> None:
        self._news.put_nowait(event)


def _takes(order: PlaceOrder) -> bool:
    """Whether an order takes what is offered now, and does not wait."""
    if order.kind is OrderKind.MARKET:
        return True
    return order.kind is OrderKind.LIMIT and order.time_in_force is TimeInForce.IMMEDIATE


def _there(leg: Leg, instrument: InstrumentId) -> InstrumentId:
    return InstrumentId(f"{leg.prefix}:{name_of(instrument)}")


def _why(found: Route) -> str:
    return "; ".join(
        f"{each.venue}: {each.reason}{f' ({each.detail})' if each.detail else ''}"
        for each in found.omissions
    )


def _unsent(order: PlaceOrder, found: Route) -> VenueEvent:
    """Nothing is offered, so it would expire at once; or nobody takes it, or can say."""
    reason = f"not sent: {_why(found)}"
    reasons = {each.reason for each in found.omissions}
    if LeftOut.EMPTY_BOOK in reasons and LeftOut.BELOW_MINIMUM not in reasons:
        return VenueClosed(**_about(order), cancelled=False, reason=reason)
    return VenueRejected(**_about(order), reason=reason)


def _sum(parts: Iterable[Mapping[str, Decimal]]) -> Mapping[str, Decimal]:
    found: dict[str, Decimal] = {}
    for part in parts:
        for currency, amount in part.items():
            found[currency] = found.get(currency, ZERO) + amount
    return found


def _about(order: VenueOrderEvent) -> dict[str, Any]:
    return {
        "time_ns": order.time_ns,
        "client_order_id": order.client_order_id,
        "instrument": order.instrument,
    }
