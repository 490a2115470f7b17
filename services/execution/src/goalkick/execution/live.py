"""Execution against a real venue, as one core: what the venue is to do comes out as commands.

The shell saves the state, which holds every intent, and only then carries the commands out; what
the venue says it hands to `answer`.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from goalkick.common.core.machine import Handler
from goalkick.common.core.snapshot import decode_snapshot, encode_snapshot
from goalkick.common.events.base import Event
from goalkick.common.events.market import InstrumentListed
from goalkick.common.events.order import CancelRequested, OrderApproved
from goalkick.common.events.venue import QueryOrder, VenueEvent, VenueUnreachable
from goalkick.execution.core import ExecutionCore
from goalkick.execution.order_state import OrderStatus
from goalkick.execution.settings import ExecutionSettings

_CORE = "live_execution/1"


class LiveExecution:
    """The execution core with its commands set aside for the shell.

    Attributes:
        now_ns: the clock's time, which the shell sets before it hands over what was decided: a
            decision about prices of the past may have expired when it arrives. UTC ns.
    """

    def __init__(self, settings: ExecutionSettings) -> None:
        """Knows no orders."""
        self.execution = ExecutionCore(settings)
        self.now_ns = 0
        self._commands: list[VenueEvent] = []
        self.handlers: Mapping[type[Event], Handler] = {
            kind: self._apart(self.execution.handlers[kind])
            for kind in (InstrumentListed, CancelRequested)
        }
        self.handlers = {**self.handlers, OrderApproved: self._on_approved}

    def open(self, holdings: Mapping[str, Decimal]) -> None:
        """Before anything else ever: what the account has, by currency."""
        self.execution.open(holdings)

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
            reports += self._set_aside(self.execution.handlers[type(event)](told))
        return reports

    def doubts(self, moment_ns: int) -> Sequence[Event]:
        """After a restart: asks the venue about every order that had not ended.

        An order that was intended and not answered may or may not have been sent: its fate is
        unknown, and that is reported.
        """
        reports: list[Event] = []
        for handle, order in tuple(self.execution.working.items()):
            instrument = order.approved.instrument
            if order.status in (OrderStatus.INTENDED, OrderStatus.UNKNOWN):
                doubt = VenueUnreachable(
                    time_ns=moment_ns,
                    client_order_id=handle,
                    instrument=instrument,
                    reason="stopped before the venue's answer was seen",
                )
                reports += self.answer((doubt,), moment_ns)
            else:
                self._commands.append(
                    QueryOrder(time_ns=moment_ns, client_order_id=handle, instrument=instrument)
                )
        return reports

    def snapshot(self) -> bytes:
        """The state of the orders; commands that were not taken are asked about after a restart."""
        return encode_snapshot(_CORE, "", self.execution.snapshot())

    def restore(self, data: bytes) -> None:
        """Takes over a snapshot.

        Raises:
            InvalidDataError: it is of another account or currency.
        """
        self.execution.restore(decode_snapshot(data, _CORE, "", bytes))
        self._commands.clear()

    def _on_approved(self, approved: OrderApproved) -> Sequence[Event]:
        if 0 < approved.expires_at_ns <= self.now_ns:
            approved = msgspec.structs.replace(approved, expires_at_ns=approved.time_ns)
        return self._set_aside(self.execution.handlers[OrderApproved](approved))

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
