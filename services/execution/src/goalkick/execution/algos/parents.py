"""All parents of an account: who hears what, and whose order is which. Pure, as the algos are.

Events of the market and reports of orders come in as they are; what is wanted comes out with the
child orders' ids. An order of unknown fate is no news here: it stays reserved until it has ended.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from goalkick.common.core.snapshot import decode_snapshot, encode_snapshot
from goalkick.common.events.base import Event, Side
from goalkick.common.events.market import MarketEvent
from goalkick.common.events.order import (
    Fill,
    OrderCancelled,
    OrderExpired,
    OrderRejected,
    OrderReport,
)
from goalkick.common.values.ids import EventId, InstrumentId
from goalkick.common.values.money import ZERO
from goalkick.execution.algos.catalogue import build_algo
from goalkick.execution.algos.hearing import heard_from
from goalkick.execution.algos.model import (
    Algo,
    ChildEnd,
    ChildEnded,
    ChildFilled,
    Deed,
    Heard,
    Parent,
    ParentEnded,
    PlaceChild,
    StopAsked,
    TimePassed,
    child_order_id,
)

_CORE = "algo_parents/1"

REMEMBERED = 20
"""Ended parents that are kept whole: a trade of theirs may still become known."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a parent wants.

    Attributes:
        parent: whose.
        order: the child order's id; of `ParentEnded`, the parent's own.
        deed: what.
    """

    parent: Parent
    order: EventId
    deed: Deed


class _Saved(msgspec.Struct, frozen=True):
    """A parent in a snapshot."""

    name: str
    parent: Parent
    params: dict[str, Any]
    state: bytes
    children: int


class Parents:
    """Works any number of parents."""

    def __init__(self) -> None:
        """None yet."""
        self._working: dict[EventId, Algo] = {}
        self._ended: OrderedDict[EventId, Algo] = OrderedDict()
        self._params: dict[EventId, Mapping[str, object]] = {}
        self._children: dict[EventId, tuple[EventId, int]] = {}
        self._counts: dict[EventId, int] = {}

    @property
    def working(self) -> Mapping[EventId, Algo]:
        """Those that have not ended, by the parent order's id; to be read, not changed."""
        return self._working

    @property
    def wake_ns(self) -> int | None:
        """The next time at which one of them wants to hear of the time; None: at no time."""
        times = [algo.wake_ns for algo in self._working.values()]
        return min((time for time in times if time is not None), default=None)

    def knows(self, order: EventId) -> bool:
        """Whether a parent is worked, or ended not long ago."""
        return order in self._params

    def open(
        self, name: str, parent: Parent, params: Mapping[str, object], time_ns: int
    ) -> Sequence[Wanted]:
        """Begins to work a parent; one that is known already is left as it is.

        Args:
            name: of the algorithm.
            parent: what is to be worked.
            params: of the algorithm; see `catalogue.build_algo`.
            time_ns: the present moment, UTC ns.

        Raises:
            InvalidDataError: it cannot be worked so; nothing has begun.
        """
        if parent.order in self._params:
            return ()
        algo = build_algo(name, parent, params)
        self._working[parent.order] = algo
        self._params[parent.order] = dict(params)
        self._counts[parent.order] = 0
        return self._tell((algo,), TimePassed(time_ns=time_ns))

    def stop(
        self, parent: EventId, time_ns: int, reason: str, *, entry_only: bool = False
    ) -> Sequence[Wanted]:
        """Takes a parent's children out of the market; it ends when they have.

        Args:
            parent: the order's id; one that has ended, or was never there, is left as it is.
            time_ns: the present moment, UTC ns.
            reason: for people.
            entry_only: whether what only takes risk away goes on.
        """
        algo = self._working.get(parent)
        if algo is None:
            return ()
        asked = StopAsked(time_ns=time_ns, reason=reason, entry_only=entry_only)
        return self._tell((algo,), asked)

    def leaving(self, instrument: InstrumentId, side: Side) -> bool:
        """Whether what was stopped may still trade an instrument that way."""
        return any(
            side in algo.leaving
            for algo in self._working.values()
            if algo.parent.rules.id == instrument
        )

    def pass_time(self, now_ns: int) -> Sequence[Wanted]:
        """It is at least this time now, UTC ns."""
        return self._tell(tuple(self._working.values()), TimePassed(time_ns=now_ns))

    def hear(self, event: Event) -> Sequence[Wanted]:
        """What is wanted because of a market event, the time, or a report of an order."""
        if isinstance(event, OrderReport):
            return self._report(event)
        heard = heard_from(event)
        if heard is None:
            return ()
        algos = self._working.values()
        if isinstance(event, MarketEvent):
            return self._tell([a for a in algos if a.parent.rules.id == event.instrument], heard)
        return self._tell(tuple(algos), heard)

    def child(self, order: EventId) -> tuple[EventId, int] | None:
        """The parent order and the number of a child order; None: it is no child."""
        return self._children.get(order)

    def snapshot(self) -> bytes:
        """All parents, what they know, and what they were made with."""
        saved = [
            _Saved(
                algo.name,
                algo.parent,
                dict(self._params[order]),
                algo.snapshot(),
                self._counts[order],
            )
            for order, algo in (*self._ended.items(), *self._working.items())
        ]
        return encode_snapshot(_CORE, "", saved)

    def restore(self, data: bytes) -> None:
        """Takes over a snapshot.

        Raises:
            InvalidDataError: another version made it.
        """
        fresh = Parents()
        for saved in decode_snapshot(data, _CORE, "", list[_Saved]):
            algo, order = build_algo(saved.name, saved.parent, saved.params), saved.parent.order
            algo.restore(saved.state)
            fresh._params[order] = saved.params
            fresh._counts[order] = 0
            (fresh._ended if algo.ended else fresh._working)[order] = algo
            for number in range(saved.children):
                fresh._know(order, number)
        self.__dict__.update(fresh.__dict__)

    def _report(self, report: OrderReport) -> Sequence[Wanted]:
        found = self._children.get(report.order)
        if found is None:
            return ()
        order, child = found
        heard = _child_news(report, child)
        algo = self._working.get(order) or self._ended.get(order)
        return () if heard is None or algo is None else self._tell((algo,), heard)

    def _tell(self, algos: Iterable[Algo], heard: Heard) -> Sequence[Wanted]:
        wanted: list[Wanted] = []
        for algo in algos:
            for deed in algo.handle(heard):
                wanted.append(self._wanted(algo, deed))
        return wanted

    def _wanted(self, algo: Algo, deed: Deed) -> Wanted:
        parent = algo.parent
        if isinstance(deed, ParentEnded):
            self._end(parent.order, algo)
            return Wanted(parent=parent, order=parent.order, deed=deed)
        if isinstance(deed, PlaceChild):
            self._know(parent.order, deed.child)
        return Wanted(parent=parent, order=child_order_id(parent.order, deed.child), deed=deed)

    def _know(self, parent: EventId, child: int) -> None:
        self._children[child_order_id(parent, child)] = parent, child
        self._counts[parent] = child + 1

    def _end(self, order: EventId, algo: Algo) -> None:
        if self._working.pop(order, None) is None:
            return
        self._ended[order] = algo
        if len(self._ended) > REMEMBERED:
            forgotten, _ = self._ended.popitem(last=False)
            del self._params[forgotten]
            for number in range(self._counts.pop(forgotten)):
                del self._children[child_order_id(forgotten, number)]


def _child_news(report: OrderReport, child: int) -> Heard | None:
    """A report in an algo's words; None: it ends nothing and trades nothing."""
    about: dict[str, Any] = {"time_ns": report.time_ns, "child": child}
    match report:
        case Fill():
            return ChildFilled(
                **about,
                trade_id=report.trade_id,
                quantity=report.quantity,
                price=report.price,
                fee=report.fee,
                fee_currency=report.fee_currency,
            )
        case OrderCancelled():
            end, filled, reason = ChildEnd.CANCELLED, report.filled, report.reason
        case OrderExpired():
            end, filled, reason = ChildEnd.EXPIRED, report.filled, report.reason
        case OrderRejected():
            end, filled, reason = ChildEnd.REJECTED, ZERO, report.reason
        case _:
            return None
    return ChildEnded(**about, end=end, filled=filled, reason=reason)
