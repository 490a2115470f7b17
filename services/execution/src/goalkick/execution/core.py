"""The execution core: approved orders in, venue commands and order reports out.

It says what it is about to do (`OrderIntended`) before it does it (`PlaceOrder`), places each
order once, and books each trade once. It never guesses what a venue did. An order with an algo is
worked by child orders, which are ordinary orders under the same approval.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal

import msgspec

from goalkick.common.core.errors import InvalidDataError, InvariantError
from goalkick.common.core.machine import Handler
from goalkick.common.core.snapshot import decode_snapshot, encode_snapshot
from goalkick.common.events.base import Event
from goalkick.common.events.market import InstrumentListed
from goalkick.common.events.order import (
    BalanceChanged,
    CancelRequested,
    OrderApproved,
    OrderCancelled,
    OrderExpired,
    OrderReport,
    OrderUnknown,
    PositionChanged,
)
from goalkick.common.events.venue import (
    CancelOrder,
    QueryOrder,
    VenueAccepted,
    VenueClosed,
    VenueNotFound,
    VenueOrderEvent,
    VenueRejected,
    VenueTraded,
    VenueUnreachable,
)
from goalkick.common.values.ids import (
    ClientOrderId,
    EventId,
    InstrumentId,
    client_order_id,
    name_of,
)
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.money import ZERO
from goalkick.execution import reports
from goalkick.execution.algos.model import CancelChild, PlaceChild
from goalkick.execution.algos.parents import Wanted
from goalkick.execution.ledger import Ledger, Position
from goalkick.execution.order_state import Order, OrderStatus, Terms, flaw_of
from goalkick.execution.parent_orders import ParentOrders, less_of, terms_of, worked
from goalkick.execution.settings import ExecutionSettings, Which

_CORE = "execution/1"

REMEMBERED = 10_000
"""Finished orders whose ids are kept, so that a repeated approval is not placed again. The runtime
drops repetitions by position in the log; this is the second line."""


Instruments = Collection[InstrumentId] | None

RECENT = 200
"""Orders that ended with something left to trade and are kept whole: a trade of theirs may still
become known, for a cancel and a fill may cross on their way."""


def concerns(which: Which, sent: OrderApproved | Terms) -> bool:
    """Whether an order is among those that are to be cancelled."""
    return which == "all" or (which == "opening" and not sent.reduce_only)


class _State(msgspec.Struct):
    opened: bool
    ledger: Ledger
    working: dict[ClientOrderId, Order]
    finished: list[ClientOrderId]
    recent: dict[ClientOrderId, Order] = msgspec.field(default_factory=dict)
    bases: dict[InstrumentId, str] = msgspec.field(default_factory=dict)
    rules: dict[InstrumentId, Instrument] = msgspec.field(default_factory=dict)
    parents: bytes = b""


class ExecutionCore:
    """Answers for the orders of one account.

    Attributes:
        now_ns: the clock's time where a shell with a real venue says it, else 0: a decision about
            prices of the past may have expired when it arrives. UTC ns.
        parents: orders that algos work; to be read, not changed.
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
        self.parents = ParentOrders()
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

    @property
    def busy(self) -> bool:
        """Whether anything may still be reported that was approved before."""
        return bool(self._state.working) or self.parents.busy

    def knows(self, handle: ClientOrderId) -> bool:
        """Whether an order is or was ours, as far back as is remembered."""
        return handle in self._state.working or handle in self._finished

    def base_of(self, instrument: InstrumentId) -> str:
        """What an instrument trades: by its rules, or by its name where they are not known yet."""
        known = self._state.bases.get(instrument)
        return known or name_of(instrument).partition("/")[0]

    def query(self, order: Order, time_ns: int) -> QueryOrder:
        """The question what became of an order."""
        return reports.question(order, time_ns)

    def snapshot(self) -> bytes:
        """Ledger, working orders and the ids of finished ones."""
        self._state.finished = list(self._finished)
        self._state.parents = self.parents.snapshot()
        return encode_snapshot(_CORE, self._fingerprint, self._state)

    def restore(self, data: bytes) -> None:
        """Takes over a snapshot.

        Raises:
            InvalidDataError: it is of another account or currency.
        """
        self._state = decode_snapshot(data, _CORE, self._fingerprint, _State)
        self._finished = OrderedDict.fromkeys(self._state.finished)
        self.parents.restore(self._state.parents)

    def watch(self, event: Event) -> Sequence[Event]:
        """What algos do about the market or the time; ask only while `parents.busy`."""
        return self._carried_out(self.parents.watch(event), event.time_ns)

    def pass_time(self, now_ns: int, time_ns: int) -> Sequence[Event]:
        """What algos do because of the clock.

        Args:
            now_ns: what it says, UTC ns.
            time_ns: the present moment.
        """
        return self._carried_out(self.parents.pass_time(now_ns), time_ns)

    def recall(self, which: Which, time_ns: int, instruments: Instruments = None) -> list[Event]:
        """Wants orders gone that are not leaving already; returns commands and reports.

        Args:
            which: all of them, or those only that may add risk.
            time_ns: the present moment.
            instruments: of these only; None: of all.
        """
        commands: list[Event] = []
        for order in tuple(self._state.working.values()):
            if order.leaving or order.parent is not None or not concerns(which, order.sent):
                continue
            if instruments is None or order.approved.instrument in instruments:
                order.leaving = True
                commands.append(reports.cancellation(order, time_ns))
        waiting = [held.approved for held in self.parents.held]
        for approved in (*self.parents.working, *waiting) if self.parents.busy else ():
            if not concerns(which, approved):
                continue
            if instruments is None or approved.instrument in instruments:
                entry_only = which != "all"
                commands += self._stop(approved.order, time_ns, "cancel all", entry_only)
        return commands

    def refuse(self, approved: OrderApproved, reason: str) -> Sequence[Event]:
        """Does not place an order, and says why."""
        handle = approved.client_order_id
        if self.knows(handle):
            return ()
        self._remember(handle)
        return (reports.rejected(Order(approved), approved.time_ns, reason),)

    def _on_listed(self, event: InstrumentListed) -> Sequence[Event]:
        """The first instrument opens the account's book."""
        self._state.bases[event.instrument] = event.rules.base
        self._state.rules[event.instrument] = event.rules
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
        if approved.algo is not None or self.parents.busy:
            return self._begin(approved)
        order = self._state.working[handle] = Order(approved)
        return reports.intent(order, approved.time_ns)

    def _begin(self, approved: OrderApproved) -> Sequence[Event]:
        """Works an order, or sends it, as soon as nothing that is leaving may trade for it."""
        if self.parents.leaving(approved.instrument, approved.side):
            self._remember(approved.client_order_id)
            self.parents.hold(approved)
            return ()
        if approved.algo is None:
            return self._place(Order(approved), approved.time_ns)
        return self._work(approved, approved.quantity, approved.time_ns)

    def _work(self, approved: OrderApproved, quantity: Decimal, time_ns: int) -> Sequence[Event]:
        self._remember(approved.client_order_id)
        rules = self._state.rules.get(approved.instrument)
        try:
            wanted = self.parents.open(approved, quantity, rules, time_ns)
        except InvalidDataError as error:
            return (reports.rejected(Order(approved), time_ns, str(error)),)
        return self._carried_out(wanted, time_ns)

    def _released(self, time_ns: int) -> Sequence[Event]:
        """Goes on with what has waited, less what was traded for it meanwhile."""
        events: list[Event] = []
        for held in self.parents.released():
            approved, left = held.approved, held.left
            if left <= 0:
                reason = "what it had to wait for has traded all of it"
                events.append(reports.rejected(Order(approved), time_ns, reason))
            elif 0 < approved.expires_at_ns <= max(time_ns, self.now_ns):
                reason = "expired before it was placed"
                events.append(reports.rejected(Order(approved), time_ns, reason))
            elif approved.algo is not None:
                events += self._work(approved, left, time_ns)
            else:
                terms = less_of(approved, left) if held.traded else None
                events += self._place(Order(approved, terms=terms), time_ns)
        return events

    def _carried_out(self, wanted: Sequence[Wanted], time_ns: int) -> Sequence[Event]:
        """What algos want, as orders, commands and reports."""
        events: list[Event] = []
        for each in wanted:
            deed, approved = each.deed, self.parents.approval(each.parent.order)
            if isinstance(deed, PlaceChild):
                terms = terms_of(each.order, deed, approved)
                events += self._place(Order(approved, terms=terms), time_ns)
            elif isinstance(deed, CancelChild):
                order = self._state.working.get(client_order_id(each.order))
                if order is not None:
                    order.leaving = True
                    events.append(reports.cancellation(order, time_ns))
            else:
                events.append(worked(deed.measurement, approved, time_ns))
        return [*events, *self._released(time_ns)] if self.parents.held else events

    def _place(self, order: Order, time_ns: int) -> Sequence[Event]:
        """Says that an order is intended, and places it."""
        said = reports.intent(order, time_ns)
        self._state.working[said[0].client_order_id] = order
        return said

    def _on_cancel(self, request: CancelRequested) -> Sequence[Event]:
        handle = client_order_id(request.order)
        order = self._state.working.get(handle)
        if order is None:
            return self._stop(request.order, request.time_ns, request.reason, False)
        order.leaving = True
        return (reports.cancellation(order, request.time_ns),)

    def _stop(self, order: EventId, time_ns: int, reason: str, entry_only: bool) -> Sequence[Event]:
        """Ends an order that an algo works, or that waits; nothing where there is none."""
        if not self.parents.busy:
            return ()
        held = self.parents.drop(order)
        if held is not None:
            return (reports.rejected(Order(held.approved), time_ns, f"not placed: {reason}"),)
        wanted = self.parents.stop(order, time_ns, reason, entry_only=entry_only)
        return self._carried_out(wanted, time_ns)

    def _told(self, order: Order, report: OrderReport, *others: Event) -> Sequence[Event]:
        """A report with what goes along, and what an algo does about it."""
        if order.parent is None:
            return (report, *others)
        wanted = self.parents.report(report)
        return (report, *others, *self._carried_out(wanted, report.time_ns))

    def _on_accepted(self, answer: VenueAccepted) -> Sequence[Event]:
        order = self._order(answer)
        if order is None:
            return self._take_back(answer)
        order.venue_order_id = answer.venue_order_id
        # It is open though it is wanted gone: the cancel came before it, or never arrived.
        again = (reports.cancellation(order, answer.time_ns),) if order.leaving else ()
        if order.status not in (OrderStatus.INTENDED, OrderStatus.UNKNOWN):
            return again
        order.advance(OrderStatus.ACCEPTED)
        return reports.accepted(order, answer), *again

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
            expired = OrderExpired(filled=order.filled, **reports.about(order, answer))
            return self._told(order, expired)
        return self._fail(order, answer.time_ns, answer.reason)

    def _fail(self, order: Order, time_ns: int, reason: str) -> Sequence[Event]:
        order.advance(OrderStatus.REJECTED)
        self._finish(order)
        return self._told(order, reports.rejected(order, time_ns, reason))

    def _on_traded(self, trade: VenueTraded) -> Sequence[Event]:
        order = self._order(trade) or self._state.recent.get(trade.client_order_id)
        if order is None or not order.book(trade.trade_id, trade.quantity):
            return ()
        if order.status is OrderStatus.FILLED:
            self._finish(order)
        fill = reports.fill(order, trade)
        position, cause = self._book(trade), fill.id
        moved = PositionChanged(
            time_ns=trade.time_ns,
            account=self._account,
            cause=cause,
            instrument=trade.instrument,
            quantity=position.quantity,
            cost=position.cost,
            realised=position.realised,
            fees=position.fees,
        )
        balance = self._balance(trade.time_ns, cause)
        if order.terms is None:
            return fill, moved, balance
        return self._told(order, fill, moved, balance)

    def _on_closed(self, answer: VenueClosed) -> Sequence[Event]:
        order = self._order(answer)
        if order is None:
            return ()
        order.advance(OrderStatus.CANCELLED if answer.cancelled else OrderStatus.EXPIRED)
        self._finish(order)
        kind: Callable[..., OrderReport] = OrderCancelled if answer.cancelled else OrderExpired
        return self._told(order, kind(filled=order.filled, **reports.about(order, answer)))

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
        return OrderUnknown(**reports.about(order, answer)), query

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
        return self._fail(order, answer.time_ns, "the venue does not know the order")

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
        terms, recent = order.terms, self._state.recent
        handle = (order.approved if terms is None else terms).client_order_id
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

    def _balance(self, time_ns: int, cause: str) -> BalanceChanged:
        return BalanceChanged(
            time_ns=time_ns,
            account=self._account,
            cause=cause,
            currency=self._currency,
            total=self._state.ledger.cash,
        )
