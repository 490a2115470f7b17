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
from goalkick.common.events.market import InstrumentListed
from goalkick.common.events.order import (
    BalanceDiffers,
    CancelRequested,
    ExternalFillSeen,
    ExternalOrderSeen,
    OrderApproved,
)
from goalkick.common.events.venue import (
    CancelAll,
    QueryAccount,
    VenueEvent,
    VenueExternalOrder,
    VenueExternalTrade,
    VenueHoldings,
    VenueOrderEvent,
    VenueTraded,
    VenueUnreachable,
)
from goalkick.common.values.ids import ClientOrderId
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.execution.account import AccountBook, expected_holdings, explained_by
from goalkick.execution.core import ExecutionCore
from goalkick.execution.order_state import OrderStatus
from goalkick.execution.settings import ExecutionSettings

_CORE = "live_execution/2"

_OVERLAP_NS = 60 * NS_PER_SECOND
"""After a restart trades are looked for from so long before the last that was seen: a venue may
list them late."""


class _State(msgspec.Struct):
    execution: bytes
    book: AccountBook


class LiveExecution:
    """The execution core with its commands set aside for the shell, and the rest of the account."""

    def __init__(self, settings: ExecutionSettings) -> None:
        """Knows no orders."""
        self.execution = ExecutionCore(settings)
        self._account = settings.account
        self._currency = settings.currency
        self._book = AccountBook()
        self._commands: list[VenueEvent] = []
        self._hearers: Mapping[type[VenueEvent], Callable[[Any], Sequence[Event]]] = {
            VenueExternalOrder: self._on_external_order,
            VenueExternalTrade: self._on_external_trade,
            VenueHoldings: self._on_holdings,
        }
        self.handlers: Mapping[type[Event], Handler] = {
            kind: self._apart(self.execution.handlers[kind])
            for kind in (InstrumentListed, OrderApproved, CancelRequested)
        }

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

    def cancel_all(self, moment_ns: int) -> None:
        """Wants all orders of ours out of the book; each one's end is reported when it comes."""
        self._commands.append(CancelAll(time_ns=moment_ns))

    def doubts(self, moment_ns: int) -> Sequence[Event]:
        """After a restart: asks the venue about every order that had not ended.

        An order that was intended and not answered may or may not have been sent: its fate is
        unknown, and that is reported.
        """
        reports: list[Event] = []
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
        return encode_snapshot(_CORE, "", _State(self.execution.snapshot(), self._book))

    def restore(self, data: bytes) -> None:
        """Takes over a snapshot.

        Raises:
            InvalidDataError: it is of another account or currency.
        """
        state = decode_snapshot(data, _CORE, "", _State)
        self.execution.restore(state.execution)
        self._book = state.book
        self._commands.clear()

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
