"""The execution core: approved orders in, venue commands and order reports out.

It says what it is about to do (`OrderIntended`) before it does it (`PlaceOrder`), places each
order once, and books each trade once. It never guesses what a venue did.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from goalkick.common.core.errors import InvariantError
from goalkick.common.core.machine import Handler
from goalkick.common.core.snapshot import decode_snapshot, encode_snapshot
from goalkick.common.events.base import Event
from goalkick.common.events.market import InstrumentListed
from goalkick.common.events.order import (
    BalanceChanged,
    CancelRequested,
    OrderAccepted,
    OrderApproved,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderPartiallyFilled,
    OrderRejected,
    OrderUnknown,
    PositionChanged,
)
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
    VenueUnreachable,
)
from goalkick.common.values.ids import ClientOrderId, InstrumentId, client_order_id, name_of
from goalkick.common.values.money import ZERO
from goalkick.execution.ledger import Ledger, Position
from goalkick.execution.order_state import Order, OrderStatus, flaw_of
from goalkick.execution.settings import ExecutionSettings, Which

_CORE = "execution/1"

REMEMBERED = 10_000
"""Finished orders whose ids are kept, so that a repeated approval is not placed again. The runtime
drops repetitions by position in the log; this is the second line."""


Instruments = Collection[InstrumentId] | None

RECENT = 200
"""Orders that ended with something left to trade and are kept whole: a trade of theirs may still
become known, for a cancel and a fill may cross on their way."""


def concerns(which: Which, approved: OrderApproved) -> bool:
    """Whether an order is among those that are to be cancelled."""
    return which == "all" or (which == "opening" and not approved.reduce_only)


class _State(msgspec.Struct):
    opened: bool
    ledger: Ledger
    working: dict[ClientOrderId, Order]
    finished: list[ClientOrderId]
    recent: dict[ClientOrderId, Order] = msgspec.field(default_factory=dict)
    bases: dict[InstrumentId, str] = msgspec.field(default_factory=dict)


class ExecutionCore:
    """Answers for the orders of one account.

    Attributes:
        now_ns: the clock's time where a shell with a real venue says it, else 0: a decision about
            prices of the past may have expired when it arrives. UTC ns.
    """

    now_ns = 0

    def __init__(self, settings: ExecutionSettings) -> None:
        """Starts with the opening balance and no orders."""
        self._account = settings.account
        self._currency = settings.currency
        self._fingerprint = f"{settings.account}|{settings.currency}"
        self._state = _State(False, Ledger(settings.initial_cash), {}, [])
        # Not a plain dict: its first key is found in constant time only until keys are deleted.
        self._finished: OrderedDict[ClientOrderId, None] = OrderedDict()
        self.handlers: Mapping[type[Event], Handler] = {
            InstrumentListed: self._on_listed,
            OrderApproved: self._on_approved,
            CancelRequested: self._on_cancel,
            VenueAccepted: self._on_accepted,
            VenueRejected: self._on_rejected,
            VenueTraded: self._on_traded,
            VenueClosed: self._on_closed,
            VenueUnreachable: self._on_unreachable,
            VenueNotFound: self._on_not_found,
        }

    def open(self, holdings: Mapping[str, Decimal]) -> None:
        """Begins with what a real account has instead of the opening balance on paper."""
        self._state.ledger.cash = holdings.get(self._currency, ZERO)

    @property
    def ledger(self) -> Ledger:
        """Positions and cash; to be read, not changed."""
        return self._state.ledger

    @property
    def working(self) -> Mapping[ClientOrderId, Order]:
        """Orders that have not ended; to be read, not changed."""
        return self._state.working

    def knows(self, handle: ClientOrderId) -> bool:
        """Whether an order is or was ours, as far back as is remembered."""
        return handle in self._state.working or handle in self._finished

    def base_of(self, instrument: InstrumentId) -> str:
        """What an instrument trades: by its rules, or by its name where they are not known yet."""
        known = self._state.bases.get(instrument)
        return known or name_of(instrument).partition("/")[0]

    def cancel(self, order: Order, time_ns: int) -> CancelOrder:
        """The command to take an order out of the book."""
        return CancelOrder(
            time_ns=time_ns,
            client_order_id=order.approved.client_order_id,
            instrument=order.approved.instrument,
            venue_order_id=order.venue_order_id,
        )

    def query(self, order: Order, time_ns: int) -> QueryOrder:
        """The question what became of an order."""
        return QueryOrder(
            time_ns=time_ns,
            client_order_id=order.approved.client_order_id,
            instrument=order.approved.instrument,
            known=order.was_there,
        )

    def snapshot(self) -> bytes:
        """Ledger, working orders and the ids of finished ones."""
        self._state.finished = list(self._finished)
        return encode_snapshot(_CORE, self._fingerprint, self._state)

    def restore(self, data: bytes) -> None:
        """Takes over a snapshot.

        Raises:
            InvalidDataError: it is of another account or currency.
        """
        self._state = decode_snapshot(data, _CORE, self._fingerprint, _State)
        self._finished = OrderedDict.fromkeys(self._state.finished)

    def recall(self, which: Which, time_ns: int, instruments: Instruments = None) -> list[Event]:
        """Wants orders gone that are not leaving already; returns the commands.

        Args:
            which: all of them, or those only that may add risk.
            time_ns: the present moment.
            instruments: of these only; None: of all.
        """
        commands: list[Event] = []
        for order in tuple(self._state.working.values()):
            approved = order.approved
            if order.leaving or not concerns(which, approved):
                continue
            if instruments is None or approved.instrument in instruments:
                commands += self._on_cancel(
                    CancelRequested(
                        time_ns=time_ns,
                        account=self._account,
                        order=approved.order,
                        cause=approved.order,
                        reason="cancel all",
                    )
                )
        return commands

    def refuse(self, approved: OrderApproved, reason: str) -> Sequence[Event]:
        """Does not place an order, and says why."""
        handle = approved.client_order_id
        if self.knows(handle):
            return ()
        self._remember(handle)
        return (self._rejected(approved, approved.time_ns, reason),)

    def _on_listed(self, event: InstrumentListed) -> Sequence[Event]:
        """The first instrument opens the account's book."""
        self._state.bases[event.instrument] = event.rules.base
        if self._state.opened:
            return ()
        self._state.opened = True
        return (self._balance(event.time_ns, self._account),)

    def _on_approved(self, approved: OrderApproved) -> Sequence[Event]:
        handle = approved.client_order_id
        if handle in self._state.working or handle in self._finished:
            return ()
        if 0 < approved.expires_at_ns <= max(approved.time_ns, self.now_ns):
            return self.refuse(approved, "expired before it was placed")
        if flaw := flaw_of(approved):
            return self.refuse(approved, flaw)
        self._state.working[handle] = Order(approved)
        return (
            OrderIntended(
                time_ns=approved.time_ns,
                account=approved.account,
                order=approved.order,
                instrument=approved.instrument,
                client_order_id=handle,
            ),
            PlaceOrder(
                time_ns=approved.time_ns,
                client_order_id=handle,
                instrument=approved.instrument,
                side=approved.side,
                quantity=approved.quantity,
                kind=approved.kind,
                limit_price=approved.limit_price,
                stop_price=approved.stop_price,
                reduce_only=approved.reduce_only,
                time_in_force=approved.time_in_force,
            ),
        )

    def _on_cancel(self, request: CancelRequested) -> Sequence[Event]:
        handle = client_order_id(request.order)
        order = self._state.working.get(handle)
        if order is None:
            return ()
        order.leaving = True
        return (self.cancel(order, request.time_ns),)

    def _on_accepted(self, answer: VenueAccepted) -> Sequence[Event]:
        order = self._order(answer)
        if order is None:
            return self._take_back(answer)
        order.venue_order_id = answer.venue_order_id
        # It is open though it is wanted gone: the cancel came before it, or never arrived.
        again = (self.cancel(order, answer.time_ns),) if order.leaving else ()
        if order.status not in (OrderStatus.INTENDED, OrderStatus.UNKNOWN):
            return again
        order.advance(OrderStatus.ACCEPTED)
        return (
            OrderAccepted(
                time_ns=answer.time_ns,
                account=self._account,
                order=order.approved.order,
                instrument=answer.instrument,
                venue_order_id=answer.venue_order_id,
            ),
            *again,
        )

    def _take_back(self, answer: VenueAccepted) -> Sequence[Event]:
        """The venue has an order that counts as rejected: nobody reckons with it, so it must go."""
        order = self._state.recent.get(answer.client_order_id)
        if order is None or order.status is not OrderStatus.REJECTED:
            return ()
        return (
            CancelOrder(
                time_ns=answer.time_ns,
                client_order_id=answer.client_order_id,
                instrument=answer.instrument,
                venue_order_id=answer.venue_order_id,
            ),
        )

    def _on_rejected(self, answer: VenueRejected) -> Sequence[Event]:
        order = self._order(answer)
        if order is None:
            return ()
        if order.filled:
            # Whatever the venue calls it: the rest of a traded order does not wait any more.
            order.advance(OrderStatus.EXPIRED)
            self._finish(order)
            return (OrderExpired(filled=order.filled, **self._about(order, answer)),)
        order.advance(OrderStatus.REJECTED)
        self._finish(order)
        return (self._rejected(order.approved, answer.time_ns, answer.reason),)

    def _on_traded(self, trade: VenueTraded) -> Sequence[Event]:
        order = self._order(trade) or self._state.recent.get(trade.client_order_id)
        if order is None or not order.book(trade.trade_id, trade.quantity):
            return ()
        kind: type[OrderFilled | OrderPartiallyFilled] = OrderPartiallyFilled
        if order.status is OrderStatus.FILLED:
            kind = OrderFilled
            self._finish(order)
        approved = order.approved
        fill = kind(
            time_ns=trade.time_ns,
            account=self._account,
            order=approved.order,
            instrument=trade.instrument,
            strategy=approved.strategy,
            trade_id=trade.trade_id,
            venue_time_ns=trade.venue_time_ns,
            side=trade.side,
            quantity=trade.quantity,
            price=trade.price,
            fee=trade.fee,
            fee_currency=trade.fee_currency,
            slippage=trade.slippage,
            filled=order.filled,
            remaining=order.remaining,
        )
        position = self._book(trade)
        cause = fill.id
        changed = PositionChanged(
            time_ns=trade.time_ns,
            account=self._account,
            cause=cause,
            instrument=trade.instrument,
            quantity=position.quantity,
            cost=position.cost,
            realised=position.realised,
            fees=position.fees,
        )
        return fill, changed, self._balance(trade.time_ns, cause)

    def _on_closed(self, answer: VenueClosed) -> Sequence[Event]:
        order = self._order(answer)
        if order is None:
            return ()
        order.advance(OrderStatus.CANCELLED if answer.cancelled else OrderStatus.EXPIRED)
        self._finish(order)
        kind: Callable[..., Event] = OrderCancelled if answer.cancelled else OrderExpired
        return (kind(filled=order.filled, **self._about(order, answer)),)

    def _on_unreachable(self, answer: VenueUnreachable) -> Sequence[Event]:
        """Reports the doubt, and asks the venue: never sends again on a guess."""
        order = self._order(answer)
        if order is None:
            return ()
        query = self.query(order, answer.time_ns)
        if order.status is OrderStatus.UNKNOWN:
            return (query,)
        order.advance(OrderStatus.UNKNOWN)
        order.unknown_ns = answer.time_ns
        return OrderUnknown(**self._about(order, answer)), query

    def _on_not_found(self, answer: VenueNotFound) -> Sequence[Event]:
        """The venue's evidence that an order of unknown fate never arrived."""
        order = self._order(answer)
        if order is None:
            return ()
        if order.was_there:
            # It had the order once: that it does not know it now is no evidence of anything. It is
            # asked about again with every comparison; more questions would only repeat this.
            if order.status is OrderStatus.UNKNOWN:
                return ()
            doubt = VenueUnreachable(
                time_ns=answer.time_ns,
                client_order_id=answer.client_order_id,
                instrument=answer.instrument,
                reason="the venue does not know an order that it had accepted",
            )
            return self._on_unreachable(doubt)
        order.advance(OrderStatus.REJECTED)
        self._finish(order)
        reason = "the venue does not know the order"
        return (self._rejected(order.approved, answer.time_ns, reason),)

    def _book(self, trade: VenueTraded) -> Position:
        """Books a trade with its fee, in whatever the venue took it."""
        ledger, quantity, fee = self._state.ledger, trade.quantity, trade.fee
        if trade.fee_currency == self._currency:
            return ledger.book(trade.instrument, trade.side, quantity, trade.price, fee)
        if trade.fee_currency == self.base_of(trade.instrument):
            return ledger.book_fee_in_kind(trade.instrument, trade.side, quantity, trade.price, fee)
        ledger.other_fees[trade.fee_currency] = (
            ledger.other_fees.get(trade.fee_currency, ZERO) + fee
        )
        return ledger.book(trade.instrument, trade.side, quantity, trade.price, ZERO)

    def _order(self, answer: VenueOrderEvent) -> Order | None:
        """The order that an answer is about; None if it ended before.

        Raises:
            InvariantError: nobody here ever placed such an order.
        """
        order = self._state.working.get(answer.client_order_id)
        if order is None and answer.client_order_id not in self._finished:
            raise InvariantError(
                f"execution: expected news of an order of ours, found {type(answer).__name__} of "
                f"{answer.client_order_id}"
            )
        return order

    def _finish(self, order: Order) -> None:
        handle, recent = order.approved.client_order_id, self._state.recent
        del self._state.working[handle]
        self._remember(handle)
        if order.remaining:
            recent[handle] = order
            if len(recent) > RECENT:
                del recent[next(iter(recent))]

    def _remember(self, handle: ClientOrderId) -> None:
        self._finished[handle] = None
        if len(self._finished) > REMEMBERED:
            self._finished.popitem(last=False)

    def _about(self, order: Order, answer: Any) -> dict[str, Any]:
        return {
            "time_ns": answer.time_ns,
            "account": self._account,
            "order": order.approved.order,
            "instrument": answer.instrument,
            "reason": answer.reason,
        }

    def _rejected(self, approved: OrderApproved, time_ns: int, reason: str) -> OrderRejected:
        return OrderRejected(
            time_ns=time_ns,
            account=self._account,
            order=approved.order,
            instrument=approved.instrument,
            reason=reason,
        )

    def _balance(self, time_ns: int, cause: str) -> BalanceChanged:
        return BalanceChanged(
            time_ns=time_ns,
            account=self._account,
            cause=cause,
            currency=self._currency,
            total=self._state.ledger.cash,
        )
