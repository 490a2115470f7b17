"""Execution against the paper venue, as one core: commands and answers stay inside."""

from collections.abc import Mapping, Sequence

import msgspec

from goalkick.common.core.machine import Handler
from goalkick.common.core.snapshot import decode_snapshot, encode_snapshot
from goalkick.common.events.base import Event
from goalkick.common.events.control import TradingHalted
from goalkick.common.events.market import BarClosed, InstrumentListed, QuoteChanged
from goalkick.common.events.order import CancelRequested, OrderApproved
from goalkick.common.events.venue import VenueEvent
from goalkick.execution.core import ExecutionCore
from goalkick.execution.paper_venue import PaperVenueCore
from goalkick.execution.settings import ExecutionSettings

_CORE = "paper_execution/1"


class _State(msgspec.Struct):
    execution: bytes
    venue: bytes


class PaperExecution:
    """The execution core and a paper venue, chained."""

    def __init__(self, settings: ExecutionSettings) -> None:
        """Builds both."""
        self.execution = ExecutionCore(settings)
        self._account = settings.account
        self._on_halt = settings.cancel_all.on_halt
        self._venue = PaperVenueCore(settings)
        self._bar = self._venue.handlers[BarClosed]
        self._parents = self.execution.parents
        self._commands: dict[type[Event], Handler] = {
            kind: handler
            for handlers in (self._venue.handlers, self.execution.handlers)
            for kind, handler in handlers.items()
            if issubclass(kind, VenueEvent)
        }
        self.handlers: Mapping[type[Event], Handler] = {
            InstrumentListed: self._on_listed,
            BarClosed: self._on_bar,
            QuoteChanged: self._on_quote,
            OrderApproved: lambda order: self._settle(
                self.execution.handlers[OrderApproved](order)
            ),
            CancelRequested: lambda request: self._settle(
                self.execution.handlers[CancelRequested](request)
            ),
            TradingHalted: self._on_halted,
        }

    def snapshot(self) -> bytes:
        """Both states."""
        state = _State(self.execution.snapshot(), self._venue.snapshot())
        return encode_snapshot(_CORE, "", state)

    def restore(self, data: bytes) -> None:
        """Takes over a snapshot.

        Raises:
            InvalidDataError: it is of another account or currency.
        """
        state = decode_snapshot(data, _CORE, "", _State)
        self.execution.restore(state.execution)
        self._venue.restore(state.venue)

    def _on_listed(self, event: InstrumentListed) -> Sequence[Event]:
        self._venue.handlers[InstrumentListed](event)
        return self.execution.handlers[InstrumentListed](event)

    def _on_halted(self, event: TradingHalted) -> Sequence[Event]:
        if event.scope not in ("*", self._account):
            return ()
        return self._settle(self.execution.recall(self._on_halt, event.time_ns))

    def _on_bar(self, bar: BarClosed) -> Sequence[Event]:
        answers = self._bar(bar)
        if self._parents.busy:
            return self._watched(answers, bar)
        return self._settle(answers) if answers else ()

    def _on_quote(self, quote: QuoteChanged) -> Sequence[Event]:
        answers = self._venue.handlers[QuoteChanged](quote)
        if self._parents.busy:
            return self._watched(answers, quote)
        return self._settle(answers) if answers else ()

    def _watched(self, answers: Sequence[Event], event: Event) -> Sequence[Event]:
        """What the venue's answers lead to, and then what algos do about the market."""
        return [*self._settle(answers), *self._settle(self.execution.watch(event))]

    def _settle(self, events: Sequence[Event]) -> Sequence[Event]:
        """Carries commands and answers to and fro until only reports are left."""
        reports: list[Event] = []
        under_way = [*events]
        # What leads to more puts it at the end of what is walked through.
        for event in under_way:
            handler = self._commands.get(type(event))
            if handler is None:
                reports.append(event)
            else:
                under_way += handler(event)
        return reports
