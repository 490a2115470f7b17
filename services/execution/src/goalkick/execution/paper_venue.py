"""The paper venue: accepts orders and trades them against market data. A pure core.

It answers as a venue does: acceptance, rejection with a reason, trades, end of an order. It takes
no liquidity from anybody and never trades at a price that the data does not show.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import msgspec

from goalkick.common.core.machine import Handler
from goalkick.common.core.snapshot import decode_snapshot, encode_snapshot
from goalkick.common.events.base import Event, Side
from goalkick.common.events.market import BarClosed, InstrumentListed, QuoteChanged
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.common.events.venue import (
    CancelOrder,
    PlaceOrder,
    QueryOrder,
    VenueAccepted,
    VenueClosed,
    VenueNotFound,
    VenueOrderEvent,
    VenueRejected,
    VenueTraded,
)
from goalkick.common.values.ids import ClientOrderId, InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.money import BPS, ZERO, is_multiple, plain, round_down
from goalkick.execution.fill_models import Meeting, at_once, meeting, slipped
from goalkick.execution.settings import ExecutionSettings

_CORE = "paper_venue/2"

TAKEN = (OrderKind.MARKET, OrderKind.LIMIT, OrderKind.STOP)
"""What trades here; bars do not show enough to do more without guessing."""


class _Resting(msgspec.Struct):
    """An order in the venue's book."""

    order: PlaceOrder
    remaining: Decimal
    trades: int = 0


class _State(msgspec.Struct):
    """`bars` are the last ones; of bars of several lengths only the shortest count."""

    rules: dict[InstrumentId, Instrument]
    bars: dict[InstrumentId, BarClosed]
    quotes: dict[InstrumentId, tuple[Decimal, Decimal]]
    book: dict[InstrumentId, list[_Resting]]
    positions: dict[InstrumentId, Decimal]


class PaperVenueCore:
    """A venue in memory."""

    def __init__(self, settings: ExecutionSettings) -> None:
        """An empty book without instruments."""
        self._settings = settings
        self._fee = None if settings.fee_bps is None else settings.fee_bps * BPS
        self._state = _State({}, {}, {}, {}, {})
        self.handlers: Mapping[type[Event], Handler] = {
            InstrumentListed: self._on_listed,
            BarClosed: self._on_bar,
            QuoteChanged: self._on_quote,
            PlaceOrder: self._on_place,
            CancelOrder: self._on_cancel,
            QueryOrder: self._on_query,
        }

    def snapshot(self) -> bytes:
        """Rules, last bars, book and positions."""
        return encode_snapshot(_CORE, self._settings.account, self._state)

    def restore(self, data: bytes) -> None:
        """Takes over a snapshot.

        Raises:
            InvalidDataError: it is of another account.
        """
        self._state = decode_snapshot(data, _CORE, self._settings.account, _State)

    def _on_listed(self, event: InstrumentListed) -> Sequence[Event]:
        self._state.rules[event.instrument] = event.rules
        return ()

    def _on_bar(self, bar: BarClosed) -> Sequence[Event]:
        state = self._state
        last = state.bars.get(bar.instrument)
        if last is not None and last.interval_ns < bar.interval_ns and _sums_up(bar, last):
            return ()
        state.bars[bar.instrument] = bar
        book = state.book.get(bar.instrument)
        return self._match(bar, book) if book else ()

    def _match(self, bar: BarClosed, book: Sequence[_Resting]) -> Sequence[Event]:
        """Trades what a bar meets, in the order in which it does."""
        met: list[tuple[Decimal, int, _Resting, Meeting]] = []
        for index, resting in enumerate(book):
            # A bar that began before the order was placed may show what happened before it.
            if bar.open_time_ns >= resting.order.time_ns:
                found = meeting(resting.order, bar, self._settings.fill)
                if found is not None:
                    met.append((found.place, index, resting, found))
        if len(met) > 1:
            met.sort(key=lambda each: each[:2])
        left = self._liquidity(bar)
        answers: list[Event] = []
        for _, _, resting, found in met:
            quantity = resting.remaining if left is None else min(resting.remaining, left)
            at_ns = bar.open_time_ns if not found.place else bar.time_ns
            traded = self._trade(resting, bar.time_ns, at_ns, quantity, found)
            if left is not None:
                left -= traded.quantity if isinstance(traded, VenueTraded) else ZERO
            if traded is not None:
                answers.append(traded)
        self._tidy(bar.instrument)
        return [*answers, *self._ended(bar)] if self._state.book[bar.instrument] else answers

    def _ended(self, bar: BarClosed) -> Sequence[Event]:
        """Ends the orders that may not wait any longer than a bar that they have seen."""
        book = self._state.book[bar.instrument]
        hasty = [
            resting
            for resting in book
            if resting.order.time_in_force is TimeInForce.IMMEDIATE
            and bar.open_time_ns >= resting.order.time_ns
        ]
        ends = [self._expired(resting, bar.time_ns) for resting in hasty]
        if ends:
            self._tidy(bar.instrument)
        return ends

    def _expired(self, resting: _Resting, time_ns: int) -> Event:
        resting.remaining = ZERO
        return _closed(resting.order, time_ns, "immediate: the rest did not trade")

    def _on_quote(self, quote: QuoteChanged) -> Sequence[Event]:
        self._state.quotes[quote.instrument] = (quote.bid, quote.ask)
        if self._settings.fill != "touch":
            return ()
        answers: list[Event] = []
        for resting in self._state.book.get(quote.instrument, ()):
            found = self._touch(resting.order)
            if found is not None:
                now = quote.time_ns
                traded = self._trade(resting, now, now, resting.remaining, found)
                answers += [traded] if traded else []
        self._tidy(quote.instrument)
        return answers

    def _on_place(self, order: PlaceOrder) -> Sequence[Event]:
        if self._find(order) is not None:
            return (self._accepted(order),)
        refusal = self._refusal(order)
        if not refusal and order.time_in_force is TimeInForce.POST_ONLY:
            refusal = self._would_trade(order)
        if refusal:
            return (_answer(VenueRejected, order, order.time_ns, reason=refusal),)
        resting = _Resting(order, order.quantity)
        self._state.book.setdefault(order.instrument, []).append(resting)
        accepted = self._accepted(order)
        found = self._touch(order) if self._settings.fill == "touch" else None
        if found is None:
            if self._settings.fill == "touch" and order.time_in_force is TimeInForce.IMMEDIATE:
                expired = self._expired(resting, order.time_ns)
                self._tidy(order.instrument)
                return accepted, expired
            return (accepted,)
        traded = self._trade(resting, order.time_ns, order.time_ns, resting.remaining, found)
        self._tidy(order.instrument)
        return (accepted, traded) if traded else (accepted,)

    def _on_cancel(self, command: CancelOrder) -> Sequence[Event]:
        resting = self._find(command)
        if resting is None:
            return (_answer(VenueNotFound, command, command.time_ns),)
        resting.remaining = ZERO
        self._tidy(command.instrument)
        reason = "cancelled at our wish"
        return (_answer(VenueClosed, command, command.time_ns, cancelled=True, reason=reason),)

    def _on_query(self, query: QueryOrder) -> Sequence[Event]:
        if self._find(query) is None:
            return (_answer(VenueNotFound, query, query.time_ns),)
        return (self._accepted(query),)

    def _touch(self, order: PlaceOrder) -> Meeting | None:
        """Where the order trades at once: the best quote, else the last close."""
        quote = self._state.quotes.get(order.instrument)
        buy = order.side is Side.BUY
        price = quote[buy] if quote else self._last_close(order.instrument)
        if price is None:
            return None
        level = order.limit_price if order.kind is OrderKind.LIMIT else order.stop_price
        if level is not None:
            falling = buy != (order.kind is OrderKind.STOP)
            if not (price <= level if falling else price >= level):
                return None
        return at_once(order, price)

    def _would_trade(self, order: PlaceOrder) -> str:
        """Why an order that may only rest is refused; "" if it is not."""
        found = self._touch(order)
        return "" if found is None else "post-only: it would trade at once"

    def _trade(
        self, resting: _Resting, time_ns: int, at_ns: int, quantity: Decimal, found: Meeting
    ) -> VenueTraded | VenueClosed | None:
        order = resting.order
        rules = self._state.rules[order.instrument]
        held = self._state.positions.get(order.instrument, ZERO)
        buying = order.side is Side.BUY
        if order.reduce_only:
            reducible = -held if buying else held
            if reducible <= ZERO:
                resting.remaining = ZERO
                reason = "reduce-only, and there is no position to reduce"
                return _closed(order, time_ns, reason)
            quantity = min(quantity, reducible)
        if not quantity:
            return None
        price = found.price
        if found.taking and order.kind is not OrderKind.LIMIT:
            price = slipped(price, order.side, self._settings.slippage_bps, rules.tick_size)
        resting.remaining -= quantity
        resting.trades += 1
        self._state.positions[order.instrument] = held + quantity if buying else held - quantity
        return VenueTraded(
            time_ns=time_ns,
            client_order_id=order.client_order_id,
            instrument=order.instrument,
            trade_id=f"{order.client_order_id}-{resting.trades}",
            venue_time_ns=at_ns,
            side=order.side,
            quantity=quantity,
            price=price,
            fee=quantity * price * self._fee_rate(rules, found.taking),
            fee_currency=rules.quote,
            slippage=abs(price - found.price) * quantity,
        )

    def _fee_rate(self, rules: Instrument, taking: bool) -> Decimal:
        if self._fee is not None:
            return self._fee
        return rules.taker_fee if taking else rules.maker_fee

    def _liquidity(self, bar: BarClosed) -> Decimal | None:
        """What our orders may take out of a bar, in whole lots; None: as much as they want."""
        share = self._settings.max_volume_share
        if share is None:
            return None
        return round_down(bar.volume * share, self._state.rules[bar.instrument].lot_size)

    def _refusal(self, order: PlaceOrder) -> str:
        """Why the venue does not take an order; "" if it does."""
        rules = self._state.rules.get(order.instrument)
        if rules is None:
            return f"{order.instrument} is not listed here"
        return _unknown_kind(order) or self._breach(order, rules)

    def _breach(self, order: PlaceOrder, rules: Instrument) -> str:
        """Which of the instrument's rules an order breaks; "" if none."""
        if rules.quote != self._settings.currency:
            return (
                f"{order.instrument} is paid in {rules.quote}, the account holds "
                f"{self._settings.currency}"
            )
        if not rules.accepts_quantity(order.quantity):
            return (
                f"expected a multiple of {plain(rules.lot_size)} of at least "
                f"{plain(rules.min_quantity)}, found quantity {plain(order.quantity)}"
            )
        price = order.limit_price if order.kind is OrderKind.LIMIT else order.stop_price
        if order.kind is not OrderKind.MARKET and (
            price is None or price <= 0 or not is_multiple(price, rules.tick_size)
        ):
            return f"expected a price on the grid of {plain(rules.tick_size)}, found {price}"
        price = price or self._last_close(order.instrument)
        if price and price * order.quantity < rules.min_notional and not order.reduce_only:
            return (
                f"expected a notional of at least {plain(rules.min_notional)}, "
                f"found {plain(price * order.quantity)}"
            )
        return ""

    def _accepted(self, order: PlaceOrder | QueryOrder) -> Event:
        # The paper venue's own id of an order is the one that it was given.
        handle = str(order.client_order_id)
        return _answer(VenueAccepted, order, order.time_ns, venue_order_id=handle)

    def _last_close(self, instrument: InstrumentId) -> Decimal | None:
        bar = self._state.bars.get(instrument)
        return None if bar is None else bar.close

    def _find(self, about: VenueOrderEvent) -> _Resting | None:
        for resting in self._state.book.get(about.instrument, ()):
            if resting.order.client_order_id == about.client_order_id:
                return resting
        return None

    def _tidy(self, instrument: InstrumentId) -> None:
        """Drops what has nothing left to trade."""
        book = [each for each in self._state.book.get(instrument, ()) if each.remaining]
        self._state.book[instrument] = book


def _sums_up(bar: BarClosed, last: BarClosed) -> bool:
    """Whether a longer bar only shows again what shorter ones have shown: nothing trades twice."""
    return bar.open_time_ns < last.time_ns


def _unknown_kind(order: PlaceOrder) -> str:
    how = order.time_in_force
    if how is TimeInForce.UNTIL_CANCELLED and order.kind in TAKEN:
        return ""
    if order.kind not in TAKEN:
        return f"expected an order of kind {', '.join(TAKEN)}, found {order.kind}"
    if how is TimeInForce.ALL_OR_NOTHING:
        return "expected an order that may trade in parts, found all or nothing"
    if order.kind is not OrderKind.LIMIT:
        return f"expected a limit order where the time in force is {how}, found {order.kind}"
    return ""


def _answer(
    kind: Callable[..., Event], about: VenueOrderEvent, time_ns: int, **fields: object
) -> Event:
    handle: ClientOrderId = about.client_order_id
    return kind(time_ns=time_ns, client_order_id=handle, instrument=about.instrument, **fields)


def _closed(order: PlaceOrder, time_ns: int, reason: str) -> VenueClosed:
    return VenueClosed(
        time_ns=time_ns,
        client_order_id=order.client_order_id,
        instrument=order.instrument,
        cancelled=False,
        reason=reason,
    )
