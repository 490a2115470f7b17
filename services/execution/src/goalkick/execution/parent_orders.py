"""Orders that algos work: the approval that each child stands under, and what waits for children.

Pure. A child needs no approval of its own: together a parent's children never ask for more than the
approval says. An order that trades the same way as something that was stopped waits until that can
trade no more, for both together would trade too much.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from goalkick.common.core.errors import InvalidDataError, InvariantError
from goalkick.common.core.snapshot import decode_snapshot, encode_snapshot
from goalkick.common.events.base import Event, Side
from goalkick.common.events.order import Fill, OrderApproved, OrderReport, OrderWorked
from goalkick.common.values.ids import EventId, InstrumentId, client_order_id
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.money import ZERO
from goalkick.execution.algos.measurement import Measurement
from goalkick.execution.algos.model import Parent, PlaceChild
from goalkick.execution.algos.parents import Parents, Wanted
from goalkick.execution.order_state import Terms

_CORE = "parent_orders/1"


class Held(msgspec.Struct):
    """An approval that waits until something stopped can trade no more.

    Attributes:
        traded: what that has traded the same way meanwhile, in base currency.
    """

    approved: OrderApproved
    traded: Decimal = ZERO

    @property
    def left(self) -> Decimal:
        """What is still to be traded of it, in base currency; not positive: nothing."""
        return self.approved.quantity - self.traded


class _State(msgspec.Struct):
    parents: bytes
    approvals: dict[EventId, OrderApproved]
    held: list[Held]


class ParentOrders:
    """The parents of one account, and what waits for them.

    Attributes:
        busy: whether any is worked, or any approval waits.
    """

    def __init__(self) -> None:
        """None yet."""
        self.busy = False
        self._parents = Parents()
        self._approvals: dict[EventId, OrderApproved] = {}
        self._held: list[Held] = []

    @property
    def working(self) -> Iterator[OrderApproved]:
        """Approvals that are being worked."""
        return (self._approvals[order] for order in self._parents.working)

    @property
    def held(self) -> Sequence[Held]:
        """Approvals that wait; to be read, not changed."""
        return self._held

    @property
    def wake_ns(self) -> int | None:
        """The next time at which one of them wants to hear of the time; None: at no time."""
        return self._parents.wake_ns

    def approval(self, parent: EventId) -> OrderApproved:
        """What a parent works under."""
        return self._approvals[parent]

    def open(
        self, approved: OrderApproved, quantity: Decimal, rules: Instrument | None, time_ns: int
    ) -> Sequence[Wanted]:
        """Begins to work an approval with an algo.

        Args:
            approved: what risk approved.
            quantity: how much of it, in base currency.
            rules: the instrument's; None: nobody has said them.
            time_ns: the present moment, UTC ns.

        Raises:
            InvalidDataError: it cannot be worked so; nothing has begun.
        """
        algo = approved.algo
        if algo is None:
            raise InvariantError(f"order {approved.order}: expected an algo, found none")
        if rules is None:
            raise InvalidDataError(f"expected rules of {approved.instrument}, found none")
        parent = Parent(
            order=approved.order,
            rules=rules,
            side=approved.side,
            quantity=quantity,
            arrival_price=algo.arrival_price,
            start_ns=approved.time_ns,
            end_ns=algo.end_ns,
            limit_price=approved.limit_price,
        )
        self._approvals[approved.order] = approved
        try:
            return self._noted(self._parents.open(algo.name, parent, _params(algo.params), time_ns))
        except InvalidDataError:
            del self._approvals[approved.order]
            raise

    def stop(
        self, parent: EventId, time_ns: int, reason: str, *, entry_only: bool = False
    ) -> Sequence[Wanted]:
        """Ends a parent; see `Parents.stop`."""
        return self._noted(self._parents.stop(parent, time_ns, reason, entry_only=entry_only))

    def watch(self, event: Event) -> Sequence[Wanted]:
        """What is wanted because of the market or the time."""
        return self._noted(self._parents.hear(event))

    def pass_time(self, now_ns: int) -> Sequence[Wanted]:
        """What is wanted because it is at least this time now, UTC ns."""
        wake_ns = self._parents.wake_ns
        if wake_ns is None or wake_ns > now_ns:
            return ()
        return self._noted(self._parents.pass_time(now_ns))

    def report(self, report: OrderReport) -> Sequence[Wanted]:
        """What is wanted because of news of a child."""
        if isinstance(report, Fill):
            for held in self._held:
                approved = held.approved
                if (approved.instrument, approved.side) == (report.instrument, report.side):
                    held.traded += report.quantity
        return self._noted(self._parents.hear(report))

    def leaving(self, instrument: InstrumentId, side: Side) -> bool:
        """Whether something that was stopped may still trade an instrument that way."""
        return self._parents.leaving(instrument, side)

    def hold(self, approved: OrderApproved) -> None:
        """Lets an approval wait."""
        self._held.append(Held(approved))
        self.busy = True

    def released(self) -> Sequence[Held]:
        """Takes the approvals that need not wait any more, oldest first."""
        ready = [
            held
            for held in self._held
            if not self.leaving(held.approved.instrument, held.approved.side)
        ]
        if ready:
            self._held = [held for held in self._held if held not in ready]
            self._noted(())
        return ready

    def drop(self, order: EventId) -> Held | None:
        """Takes an approval that waits; None: it does not."""
        found = next((held for held in self._held if held.approved.order == order), None)
        if found is not None:
            self._held.remove(found)
            self._noted(())
        return found

    def snapshot(self) -> bytes:
        """All of it; nothing where there is nothing."""
        if not (self._approvals or self._held):
            return b""
        state = _State(self._parents.snapshot(), self._approvals, self._held)
        return encode_snapshot(_CORE, "", state)

    def restore(self, data: bytes) -> None:
        """Takes over a snapshot.

        Raises:
            InvalidDataError: another version made it.
        """
        self.__init__()  # type: ignore[misc]
        if not data:
            return
        state = decode_snapshot(data, _CORE, "", _State)
        self._parents.restore(state.parents)
        self._approvals, self._held = state.approvals, state.held
        self._noted(())

    def _noted(self, wanted: Sequence[Wanted]) -> Sequence[Wanted]:
        self.busy = bool(self._parents.working or self._held)
        for order in [order for order in self._approvals if not self._parents.knows(order)]:
            if not any(each.parent.order == order for each in wanted):
                del self._approvals[order]
        return wanted


def terms_of(order: EventId, child: PlaceChild, approved: OrderApproved) -> Terms:
    """What is sent as a child of an approved order."""
    return Terms(
        order=order,
        client_order_id=client_order_id(order),
        side=child.side,
        quantity=child.quantity,
        kind=child.kind,
        limit_price=child.limit_price,
        stop_price=child.stop_price,
        reduce_only=approved.reduce_only or child.protective,
        time_in_force=child.time_in_force,
        parent=approved.order,
    )


def less_of(approved: OrderApproved, quantity: Decimal) -> Terms:
    """An approved order, made smaller."""
    return Terms(
        order=approved.order,
        client_order_id=approved.client_order_id,
        side=approved.side,
        quantity=quantity,
        kind=approved.kind,
        limit_price=approved.limit_price,
        stop_price=approved.stop_price,
        reduce_only=approved.reduce_only,
        time_in_force=approved.time_in_force,
    )


def worked(measured: Measurement, approved: OrderApproved, time_ns: int) -> OrderWorked:
    """What is told of a parent that has ended."""
    return OrderWorked(
        time_ns=time_ns,
        account=approved.account,
        order=approved.order,
        instrument=approved.instrument,
        strategy=approved.strategy,
        algo=measured.algo,
        side=measured.side,
        quantity=measured.quantity,
        filled=measured.filled,
        average_price=measured.average_price,
        arrival_price=measured.arrival_price,
        end_price=measured.end_price,
        execution_cost=measured.execution_cost,
        opportunity_cost=measured.opportunity_cost,
        shortfall=measured.shortfall,
        shortfall_bps=measured.shortfall_bps,
        fees=measured.fees,
        volume=measured.volume,
        participation=measured.participation,
        started_ns=measured.started_ns,
        duration_ns=measured.duration_ns,
        children=measured.children,
        leftover=measured.leftover,
        leftover_reason=str(measured.leftover_code),
        detail=measured.detail,
        exit_filled=measured.exit_filled,
        exit_average_price=measured.exit_average_price,
        unprotected=measured.unprotected,
        emulated=measured.emulated,
    )


def _params(text: str) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise InvalidDataError(f"expected parameters as JSON, found {error}") from None
