"""Execution against a real venue, as one core: what the venue is to do comes out as commands.

The shell saves the state, which holds every intent, and only then carries the commands out; what
the venue says it hands to `answer`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from goalkick.common.core.machine import Handler
from goalkick.common.core.snapshot import decode_snapshot, encode_snapshot
from goalkick.common.events.base import Event
from goalkick.common.events.control import TradingHalted
from goalkick.common.events.market import (
    BarClosed,
    FeedRecovered,
    FeedStale,
    InstrumentListed,
    MarketEvent,
    QuoteChanged,
)
from goalkick.common.events.order import (
    BalanceDiffers,
    CancelRequested,
    ExternalFillSeen,
    ExternalOrderSeen,
    KeyRefused,
    KeyRotated,
    OrderApproved,
)
from goalkick.common.events.venue import (
    CancelAll,
    QueryAccount,
    VenueContact,
    VenueEvent,
    VenueExternalOrder,
    VenueExternalTrade,
    VenueHoldings,
    VenueKeyRefused,
    VenueKeyRotated,
    VenueOrderEvent,
    VenueTraded,
    VenueUnreachable,
)
from goalkick.common.values.ids import ClientOrderId
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.execution.account import AccountBook, expected_holdings, explained_by
from goalkick.execution.contact import Contact
from goalkick.execution.core import ExecutionCore, concerns
from goalkick.execution.order_state import OrderStatus
from goalkick.execution.settings import ExecutionSettings, Which

_CORE = "live_execution/2"

_OVERLAP_NS = 60 * NS_PER_SECOND
"""After a restart trades are looked for from so long before the last that was seen: a venue may
list them late."""


class _State(msgspec.Struct):
    execution: bytes
    book: AccountBook
    contact: Contact = msgspec.field(default_factory=Contact)


class LiveExecution:
    """The execution core with its commands set aside for the shell, and the rest of the account."""

    def __init__(self, settings: ExecutionSettings) -> None:
        """Knows no orders."""
        self.execution = ExecutionCore(settings)
        self._account = settings.account
        self._currency = settings.currency
        self._when = settings.cancel_all
        self._book = AccountBook()
        self._contact = Contact()
        self._commands: list[VenueEvent] = []
        self._hearers: Mapping[type[VenueEvent], Callable[[Any], Sequence[Event]]] = {
            VenueExternalOrder: self._on_external_order,
            VenueExternalTrade: self._on_external_trade,
            VenueHoldings: self._on_holdings,
            VenueContact: self._on_contact,
            VenueKeyRotated: self._on_key_rotated,
            VenueKeyRefused: self._on_key_refused,
        }
        self.handlers: Mapping[type[Event], Handler] = {
            InstrumentListed: self._apart(self.execution.handlers[InstrumentListed]),
            OrderApproved: self._apart(self._on_approved),
            CancelRequested: self._apart(self.execution.handlers[CancelRequested]),
            TradingHalted: self._on_halted,
            BarClosed: self._on_bar,
            QuoteChanged: self._watched,
            FeedStale: self._on_stale,
            FeedRecovered: self._on_recovered,
        }

    @property
    def book(self) -> AccountBook:
        """What is known of the account beyond our own orders; to be read, not changed."""
        return self._book

    @property
    def contact(self) -> Contact:
        """How contact with the venue and the market stands; to be read, not changed."""
        return self._contact

    def set_clock(self, now_ns: int) -> None:
        """Before what was decided is handed over: what time it is by the clock, UTC ns."""
        self.execution.now_ns = now_ns

    def open(self, holdings: Mapping[str, Decimal]) -> None:
        """Before anything else ever: what the account has, by currency."""
        self.execution.open(holdings)
        self._book.opening = dict(holdings)

    def commands(self) -> Sequence[VenueEvent]:
        """Takes what the venue is to do, oldest first; each is given out once."""
        commands, self._commands = self._commands, []
        return commands

    def answer(self, events: Iterable[VenueEvent], moment_ns: int) -> Sequence[Event]:
        """What the account's owner is told because of the venue's news.

        Args:
            events: from the venue, in order.
            moment_ns: the present moment, which the reports are of; UTC ns.
        """
        reports: list[Event] = []
        for event in events:
            told = msgspec.structs.replace(event, time_ns=moment_ns)
            reports += self._set_aside(self._heard(told))
        return reports

    def cancel_all(self, moment_ns: int) -> Sequence[Event]:
        """Wants all orders of ours out of the book; each one's end is reported when it comes."""
        return self._recall("all", moment_ns)

    def leave(self, moment_ns: int) -> Sequence[Event]:
        """Before a stop: wants those orders gone that are not to work while nobody is here."""
        return self._recall(self._when.on_stop, moment_ns)

    @property
    def left(self) -> bool:
        """Whether all orders that a stop wants gone are known to be."""
        working = self.execution.working.values()
        return not any(concerns(self._when.on_stop, order.sent) for order in working)

    def doubts(self, moment_ns: int) -> Sequence[Event]:
        """After a restart: asks the venue about every order that had not ended.

        An order that was intended and not answered may or may not have been sent: its fate is
        unknown, and that is reported.
        """
        reports: list[Event] = []
        self._contact.begin()
        for handle, order in tuple(self.execution.working.items()):
            if order.status in (OrderStatus.INTENDED, OrderStatus.UNKNOWN):
                doubt = VenueUnreachable(
                    time_ns=moment_ns,
                    client_order_id=handle,
                    instrument=order.approved.instrument,
                    reason="stopped before the venue's answer was seen",
                )
                reports += self.answer((doubt,), moment_ns)
            else:
                self._commands.append(self.execution.query(order, moment_ns))
        if self._book.first_ns:
            # Not from before the first: those are in what the account opened with.
            since_ns = max(self._book.first_ns, self._book.last_ns - _OVERLAP_NS)
            self._commands.append(QueryAccount(time_ns=moment_ns, since_ns=since_ns))
        return reports

    def snapshot(self) -> bytes:
        """The state of the orders; commands that were not taken are asked about after a restart."""
        state = _State(self.execution.snapshot(), self._book, self._contact)
        return encode_snapshot(_CORE, "", state)

    def restore(self, data: bytes) -> None:
        """Takes over a snapshot.

        Raises:
            InvalidDataError: it is of another account or currency.
        """
        state = decode_snapshot(data, _CORE, "", _State)
        self.execution.restore(state.execution)
        self._book = state.book
        self._contact = state.contact
        self._commands.clear()

    def _recall(self, which: Which, moment_ns: int) -> Sequence[Event]:
        reports = self._set_aside(self.execution.recall(which, moment_ns))
        if which == "all":
            # Those too that only the venue knows to be ours.
            self._commands.append(CancelAll(time_ns=moment_ns))
        return reports

    def _on_approved(self, approved: OrderApproved) -> Sequence[Event]:
        if concerns(self._when.on_lost_contact, approved):
            lost_ns = self._when.lost_after
            if self._contact.is_lost(lost_ns):
                return self.execution.refuse(approved, "contact with the venue is lost")
            if approved.instrument in self._contact.blind(lost_ns):
                return self.execution.refuse(approved, "the instrument's bars are stale")
        return self.execution.handlers[OrderApproved](approved)

    def _on_halted(self, event: TradingHalted) -> Sequence[Event]:
        if event.scope not in ("*", self._account):
            return ()
        return self._recall(self._when.on_halt, event.time_ns)

    def _on_bar(self, bar: BarClosed) -> Sequence[Event]:
        self._contact.saw(bar)
        return self._watched(bar) if self.execution.parents.busy else ()

    def _watched(self, event: MarketEvent) -> Sequence[Event]:
        """What algos do about the market."""
        if not self.execution.parents.busy:
            return ()
        return self._set_aside(self.execution.watch(event))

    def _on_stale(self, event: FeedStale) -> Sequence[Event]:
        if event.stream == "bar":
            self._contact.stale.setdefault(event.instrument, self._contact.now_ns)
        return ()

    def _on_recovered(self, event: FeedRecovered) -> Sequence[Event]:
        if event.stream == "bar":
            self._contact.stale.pop(event.instrument, None)
        return ()

    def _on_contact(self, event: VenueContact) -> Sequence[Event]:
        """Takes back what works without contact, again and again: more may have come."""
        self._contact.heard(event)
        which, after_ns = self._when.on_lost_contact, self._when.lost_after
        if self._contact.is_lost(after_ns):
            return self.execution.recall(which, event.time_ns)
        blind = self._contact.blind(after_ns)
        recalled = self.execution.recall(which, event.time_ns, blind) if blind else ()
        if not self.execution.parents.busy:
            return recalled
        # The clock goes on where no market does, and it is what slices wait for.
        return [*recalled, *self.execution.pass_time(event.at_ns, event.time_ns)]

    def _heard(self, event: VenueEvent) -> Sequence[Event]:
        if not isinstance(event, VenueOrderEvent):
            return self._hearers[type(event)](event)
        if isinstance(event, VenueTraded):
            self._book.saw(event)
        if self.execution.knows(event.client_order_id):
            return self.execution.handlers[type(event)](event)
        # It has a name of ours and is none of this account's orders: an earlier life's, say.
        return self._on_external_trade(_external(event)) if isinstance(event, VenueTraded) else ()

    def _on_external_order(self, event: VenueExternalOrder) -> Sequence[Event]:
        if self.execution.knows(ClientOrderId(event.client_order_id)):
            return ()
        if not self._book.is_new_order(event.instrument, event.venue_order_id):
            return ()
        return (ExternalOrderSeen(account=self._account, **_fields(event)),)

    def _on_external_trade(self, event: VenueExternalTrade) -> Sequence[Event]:
        self._book.saw(event)
        base = self.execution.base_of(event.instrument)
        if not self._book.book(event, base, self._currency):
            return ()
        return (ExternalFillSeen(account=self._account, **_fields(event)),)

    def _on_key_rotated(self, event: VenueKeyRotated) -> Sequence[Event]:
        return (KeyRotated(account=self._account, **_fields(event)),)

    def _on_key_refused(self, event: VenueKeyRefused) -> Sequence[Event]:
        return (KeyRefused(account=self._account, **_fields(event)),)

    def _on_holdings(self, event: VenueHoldings) -> Sequence[Event]:
        execution, currency = self.execution, self._currency
        expected = expected_holdings(execution.ledger, self._book, currency, execution.base_of)
        doubtful = explained_by(execution.working.values(), currency, execution.base_of)
        differences, unconfirmed = self._book.compare(event.holdings, expected, doubtful)
        if unconfirmed:
            self._commands.append(QueryAccount(time_ns=event.time_ns))
        return [
            BalanceDiffers(
                time_ns=event.time_ns,
                account=self._account,
                currency=each.currency,
                expected=each.expected,
                found=each.found,
                explained=each.explained,
            )
            for each in differences
        ]

    def _apart(self, handler: Handler) -> Handler:
        return lambda event: self._set_aside(handler(event))

    def _set_aside(self, events: Iterable[Event]) -> Sequence[Event]:
        reports: list[Event] = []
        for event in events:
            if isinstance(event, VenueEvent):
                self._commands.append(event)
            else:
                reports.append(event)
        return reports


def _fields(event: VenueEvent) -> dict[str, Any]:
    return msgspec.structs.asdict(event)


def _external(trade: VenueTraded) -> VenueExternalTrade:
    fields = _fields(trade)
    return VenueExternalTrade(**{n: fields[n] for n in VenueExternalTrade.__struct_fields__})
