"""A venue in memory: the fake of the port, over an exchange that a test can script."""

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from goalkick.common.adapters.venue.memory_exchange import (
    OURS,
    DuplicateError,
    MemoryExchange,
    MemoryOrder,
    RefusedError,
)
from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.events.order import TimeInForce
from goalkick.common.events.venue import (
    CancelAll,
    CancelOrder,
    PlaceOrder,
    QueryAccount,
    QueryOrder,
    VenueAccepted,
    VenueClosed,
    VenueEvent,
    VenueExternalOrder,
    VenueExternalTrade,
    VenueHoldings,
    VenueNotFound,
    VenueRejected,
    VenueTraded,
    VenueUnreachable,
)


class MemoryAccount(MemoryExchange):
    """An exchange in memory that adapters can be had of."""

    def adapter(self) -> "MemoryVenue":
        """A further adapter on the account, not started yet."""
        return MemoryVenue(self)


class MemoryVenue:
    """An adapter of a `MemoryExchange`; see `ports/venue.py`."""

    def __init__(self, exchange: MemoryExchange, account: str = "main") -> None:
        """Not started yet."""
        self.name = f"memory/{account}"
        self._exchange = exchange
        self._news: list[VenueEvent] = []
        self._heard = 0
        self._skew = 0
        self._waiting: list[QueryOrder] = []
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """Connects; see the port."""
        if self._exchange.revoked:
            raise SettingsError(f"expected keys that {self.name} accepts, found revoked ones")
        self._news.clear()
        self._waiting.clear()
        self._heard, self._skew = len(self._exchange.log), self._exchange.skew
        self._exchange.changed.add(self._changed.set)

    def carry_out(self, command: VenueEvent) -> None:
        """Carries out a command; see the port."""
        match command:
            case PlaceOrder():
                self._place(command)
            case CancelOrder():
                self._exchange.cancel(command.client_order_id)
                self._query(_question(command))
            case QueryOrder():
                self._query(command)
            case CancelAll():
                for order in self._exchange.orders:
                    if order.asked.client_order_id.startswith(OURS) and order.status == "open":
                        self.carry_out(_cancel(order.asked))
            case QueryAccount():
                self._look()
            case _:
                raise InvalidDataError(
                    f"{self.name}: expected a command, found {type(command).__name__}"
                )
        self._changed.set()

    async def answers(self) -> Sequence[VenueEvent]:
        """Waits for news; see the port."""
        while True:
            self._changed.clear()
            self._listen()
            if self._news:
                news, self._news = self._news, []
                return news
            await self._changed.wait()

    async def holdings(self) -> Mapping[str, Decimal]:
        """What the account has; see the port."""
        return self._exchange.holdings()

    async def close(self) -> None:
        """Hangs up; see the port."""
        self._exchange.changed.discard(self._changed.set)

    def _place(self, order: PlaceOrder) -> None:
        exchange, about = self._exchange, _about(order)
        refusal = self._refusal(order)
        if refusal:
            self._news.append(VenueRejected(**about, reason=refusal))
            return
        lost = VenueUnreachable(**about, reason="no answer")
        if exchange.requests_to_lose:
            exchange.requests_to_lose -= 1
            self._news.append(lost)
            return
        if exchange.holds_requests:
            exchange.flying.append(order)
            self._news.append(lost)
            return
        try:
            placed = exchange.place(order)
        except RefusedError as error:
            self._news.append(VenueRejected(**about, reason=str(error)))
            return
        except DuplicateError:
            self._news.append(lost)
            return
        if exchange.replies_to_lose:
            exchange.replies_to_lose -= 1
            self._news.append(lost)
            return
        self._news.append(VenueAccepted(**about, venue_order_id=placed.number))

    def _refusal(self, order: PlaceOrder) -> str:
        if self._exchange.revoked:
            return "the keys are refused"
        if self._skew != self._exchange.skew:
            self._skew = self._exchange.skew
            return "our clock and the venue's differ"
        if order.kind.waits and order.time_in_force is TimeInForce.POST_ONLY:
            return "there is no post-only order that waits for a stop price"
        return ""

    def _query(self, question: QueryOrder) -> None:
        exchange, handle = self._exchange, question.client_order_id
        order, about = exchange.find(handle), _about(question)
        if order is None:
            if any(each.client_order_id == handle for each in exchange.flying):
                self._waiting.append(question)
                return
            self._news.append(VenueNotFound(**about))
            return
        self._news += order.trades
        if order.status == "open":
            self._news.append(VenueAccepted(**about, venue_order_id=order.number))
        elif order.status != "filled":
            cancelled = order.status == "cancelled"
            self._news.append(VenueClosed(**about, cancelled=cancelled, reason=order.status))

    def _look(self) -> None:
        for order in self._exchange.orders:
            if order.status == "open" and not order.asked.client_order_id.startswith(OURS):
                self._news.append(_external_order(order))
        moment_ns = len(self._exchange.log)
        holdings = dict(self._exchange.holdings())
        self._news.append(VenueHoldings(time_ns=moment_ns, holdings=holdings))

    def _listen(self) -> None:
        """Takes what the stream says, or what a comparison finds that it kept back."""
        exchange = self._exchange
        waiting, self._waiting = self._waiting, []
        for question in waiting:
            self._query(question)
        if exchange.silent and not exchange.compares:
            return
        fresh, self._heard = exchange.log[self._heard :], len(exchange.log)
        for event in fresh:
            handle = getattr(event, "client_order_id", "")
            if handle.startswith(OURS):
                self._news.append(event)
            elif isinstance(event, VenueAccepted):
                order = exchange.find(handle)
                assert order is not None  # noqa: S101 - it was just accepted
                self._news.append(_external_order(order))
            elif isinstance(event, VenueTraded):
                self._news.append(_external_trade(event))


def _about(about: PlaceOrder | QueryOrder) -> dict[str, Any]:
    return {
        "time_ns": about.time_ns,
        "client_order_id": about.client_order_id,
        "instrument": about.instrument,
    }


def _question(about: CancelOrder) -> QueryOrder:
    return QueryOrder(
        time_ns=about.time_ns, client_order_id=about.client_order_id, instrument=about.instrument
    )


def _cancel(asked: PlaceOrder) -> CancelOrder:
    return CancelOrder(**_about(asked))


def _external_order(order: MemoryOrder) -> VenueExternalOrder:
    asked = order.asked
    return VenueExternalOrder(
        time_ns=asked.time_ns,
        instrument=asked.instrument,
        venue_order_id=order.number,
        client_order_id=asked.client_order_id,
        side=asked.side,
        quantity=asked.quantity,
        filled=order.filled,
        limit_price=asked.limit_price,
        kind=asked.kind,
    )


def _external_trade(trade: VenueTraded) -> VenueExternalTrade:
    fields = msgspec.structs.asdict(trade)
    return VenueExternalTrade(**{n: fields[n] for n in VenueExternalTrade.__struct_fields__})
