"""What was seen of a trial: reports, doubts, kills, faults, and a log of all of it."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence

from goalkick.common.codec.json import from_line
from goalkick.common.events.base import Event
from goalkick.common.events.order import (
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderReport,
    OrderWorked,
)
from goalkick.common.values.ids import EventId, client_order_id
from goalkick.execution.order_state import OrderStatus

ENDS = (OrderFilled, OrderCancelled, OrderExpired, OrderRejected, OrderWorked)
"""The reports with which an order ends."""
_DOUBT = (OrderStatus.UNKNOWN, OrderStatus.INTENDED)


class Record:
    """All lives of a desk, as its watcher saw them.

    Attributes:
        reports: by event id, in the order in which they were first told.
        working: client order id -> status, as told last.
        log: lines with the seconds since the beginning.
        kills: how often, by point.
        faults: how often each struck or was done, by name.
        unknown_s: longest time that an order was UNKNOWN, seconds.
        settled_s: for each kill, seconds until no order was in doubt any more.
    """

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self.reports: dict[EventId, Event] = {}
        self.working: Mapping[str, str] = {}
        self.log: list[str] = []
        self.kills: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.unknown_s = 0.0
        self.settled_s: list[float] = []
        self._unknown_since: dict[str, float] = {}
        self._kills_open: list[float] = []

    def note(self, text: str) -> None:
        """A line of the log."""
        self.log.append(f"{time.monotonic() - self._began_s:7.3f}  {text}")

    def told(self, lines: Sequence[str], working: Mapping[str, str]) -> None:
        """Takes down what a desk reported."""
        for line in lines:
            event = from_line(line)
            if isinstance(event, OrderReport):
                self.note(f"told {_short(event)}" + ", again" * (event.id in self.reports))
            self.reports.setdefault(event.id, event)
        self.stand(working)

    def stand(self, working: Mapping[str, str]) -> None:
        """Takes down where the orders stand that have not ended."""
        now_s = time.monotonic()
        self.working = working
        for handle, status in working.items():
            if status == OrderStatus.UNKNOWN:
                self._unknown_since.setdefault(handle, now_s)
        for handle, since_s in tuple(self._unknown_since.items()):
            if working.get(handle) != OrderStatus.UNKNOWN:
                self.unknown_s = max(self.unknown_s, now_s - since_s)
                del self._unknown_since[handle]

    def killed(self, point: str) -> None:
        """Takes down a kill."""
        self.note(f"killed {point}")
        self.kills[point] += 1
        self._kills_open.append(time.monotonic())

    def maybe_settled(self) -> None:
        """A desk that is open and has all inputs says where orders stand: is all doubt over?"""
        if not self.in_doubt():
            now_s = time.monotonic()
            self.settled_s += [now_s - since_s for since_s in self._kills_open]
            self._kills_open.clear()

    def in_doubt(self) -> bool:
        """Whether the fate of an order is not known."""
        return any(status in _DOUBT for status in self.working.values())

    def of(self, handle: str) -> list[OrderReport]:
        """What was reported about an order, in order."""
        return [
            event
            for event in self.reports.values()
            if isinstance(event, OrderReport) and client_order_id(event.order) == handle
        ]

    def about(self, order: EventId) -> list[OrderReport]:
        """What was reported about an order and its children, in order."""
        return [
            event
            for event in self.reports.values()
            if isinstance(event, OrderReport) and order in (event.order, event.parent)
        ]

    def ended(self, handle: str) -> bool:
        """Whether an order's end was reported."""
        return any(isinstance(event, ENDS) for event in self.of(handle))


def _short(event: OrderReport) -> str:
    fields = {"quantity", "price", "trade_id", "filled", "reason", "venue_order_id"}
    said = [f"{name} {getattr(event, name)}" for name in sorted(fields) if hasattr(event, name)]
    return f"{type(event).__name__} of {client_order_id(event.order)[:9]} {', '.join(said)}"
