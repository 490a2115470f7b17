"""What all algos have in common: counting, bounds, the end, snapshots.

An algorithm says in `decide` what it wants placed now. Here it is fitted into whole lots, the
venue's minimum, the participation cap and what is left of the parent; here the parent ends.
"""

from decimal import ROUND_CEILING, Decimal
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from goalkick.common.config.algos import AlgoParams, CappedParams
from goalkick.common.core.errors import InvariantError
from goalkick.common.core.snapshot import decode_snapshot, encode_snapshot
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.common.values.money import ZERO, round_down
from goalkick.execution.algos.children import Child, Children, Role
from goalkick.execution.algos.measurement import Measurement, average, shortfall
from goalkick.execution.algos.model import (
    CancelChild,
    ChildEnded,
    ChildFilled,
    Deed,
    Heard,
    Leftover,
    Parent,
    ParentEnded,
    PlaceChild,
    QuoteSeen,
    StopAsked,
    TimePassed,
    VolumeSeen,
)

ParamsType = TypeVar("ParamsType", bound=AlgoParams)
MemoryType = TypeVar("MemoryType", bound=msgspec.Struct)


class State(msgspec.Struct):
    """What every algo knows.

    Attributes:
        now_ns: latest time heard of.
        bid, ask: best quotes; None: none was seen.
        last: price of the last trade; None: none was seen.
        volume: seen since the start, in base currency.
        counted_until_ns: end of the last span of trading in it; spans that reach back are not
            counted again.
        failures: children of a role in a row that the venue ended without a trade.
        not_before_ns: of a role: the next child waits until then.
        ending: why it winds down; None: it does not.
        detail: the same for people.
    """

    children: Children = msgspec.field(default_factory=Children)
    now_ns: int = 0
    bid: Decimal | None = None
    ask: Decimal | None = None
    last: Decimal | None = None
    volume: Decimal = ZERO
    counted_until_ns: int = 0
    failures: dict[Role, int] = msgspec.field(default_factory=dict)
    not_before_ns: dict[Role, int] = msgspec.field(default_factory=dict)
    ending: Leftover | None = None
    detail: str = ""
    ended: bool = False


class WorkingAlgo(Generic[ParamsType, MemoryType]):
    """The base of the algos; see `model.Algo`."""

    name: ClassVar[str]
    memory_type: ClassVar[type[msgspec.Struct]]
    emulates: ClassVar[bool] = False
    """Whether some venues have the whole as an order kind of their own."""
    ends_in_time: ClassVar[bool] = True
    """Whether everything is wound down when time is up."""

    def __init__(self, parent: Parent, params: ParamsType) -> None:
        """Has heard nothing yet.

        Raises:
            InvalidDataError: this parent cannot be worked with these parameters.
        """
        parent.check()
        self.parent = parent
        self.params = params
        self.state = State(now_ns=0, counted_until_ns=parent.start_ns)
        self.memory = self.fresh_memory()
        self._deeds: list[Deed] = []
        self.check()

    def fresh_memory(self) -> MemoryType:
        """What the algorithm itself remembers, at the start."""
        memory: MemoryType = self.memory_type()  # type: ignore[assignment]
        return memory

    def check(self) -> None:
        """Sees that parent and parameters go together.

        Raises:
            InvalidDataError: they do not.
        """

    def decide(self) -> None:
        """Wants things placed and cancelled, as of now. Called after everything that is heard."""
        raise NotImplementedError(self.name)

    def due_ns(self) -> int | None:
        """When it wants to hear of the time next; None: its end is enough."""
        return None

    # --- the outside

    @property
    def ended(self) -> bool:
        """See the protocol."""
        return self.state.ended

    @property
    def leaving(self) -> frozenset[Side]:
        """See the protocol."""
        if self.ended or self.state.ending is not Leftover.STOPPED:
            return frozenset()
        return frozenset(self.side_of(child) for child in self.state.children.open.values())

    @property
    def wake_ns(self) -> int | None:
        """See the protocol."""
        now_ns = self.state.now_ns
        if self.ended:
            return None
        if now_ns < self.parent.start_ns:
            return self.parent.start_ns
        times = [self.parent.end_ns, *self.state.not_before_ns.values()]
        due = None if self.state.ending else self.due_ns()
        if due is not None:
            times.append(due)
        return min((time for time in times if time > now_ns), default=None)

    def handle(self, heard: Heard) -> tuple[Deed, ...]:
        """See the protocol."""
        state = self.state
        state.now_ns = max(state.now_ns, heard.time_ns)
        counted = self._take_in(heard)
        if state.ended:
            return (self._end(),) if counted else ()
        self._deeds = []
        self._act()
        return tuple(self._deeds)

    def snapshot(self) -> bytes:
        """See the protocol."""
        return encode_snapshot(*self._identity(), (self.state, self.memory))

    def restore(self, data: bytes) -> None:
        """See the protocol."""
        shape: Any = tuple[State, self.memory_type]  # type: ignore[name-defined]
        self.state, self.memory = decode_snapshot(data, *self._identity(), shape)

    def measure(self) -> Measurement:
        """How it went so far."""
        parent, state, totals = self.parent, self.state, self.state.children.totals
        work, exits = totals[Role.WORK], totals[Role.EXIT]
        end_price = self.middle()
        cost = shortfall(
            parent.side,
            parent.quantity,
            work.filled,
            work.notional,
            parent.arrival_price,
            end_price,
        )
        left = parent.quantity - work.filled
        return Measurement(
            parent=parent.order,
            algo=self.name,
            instrument=parent.rules.id,
            side=parent.side,
            quantity=parent.quantity,
            filled=work.filled,
            average_price=average(work.notional, work.filled),
            arrival_price=parent.arrival_price,
            end_price=end_price,
            execution_cost=cost.execution,
            opportunity_cost=cost.opportunity,
            shortfall=cost.execution + cost.opportunity,
            shortfall_bps=cost.bps,
            fees=state.children.fees,
            volume=state.volume,
            started_ns=parent.start_ns,
            ended_ns=max(state.now_ns, parent.start_ns),
            children=state.children.count,
            leftover=left,
            leftover_code=self._leftover() if left else Leftover.NOTHING,
            detail=state.detail,
            exit_filled=exits.filled,
            exit_average_price=average(exits.notional, exits.filled),
            unprotected=self.unprotected(),
            emulated=self.emulates,
        )

    def unprotected(self) -> Decimal:
        """What a bracket has entered and holds, in base currency; 0 for all others."""
        return ZERO

    def side_of(self, child: Child) -> Side:
        """Which way a child trades."""
        side = self.parent.side
        return side if child.role is Role.WORK else side.opposite

    def stop(self, asked: StopAsked) -> None:
        """Somebody wants it to end."""
        self.wind_down(Leftover.STOPPED, asked.reason)

    # --- what algorithms use

    @property
    def left(self) -> Decimal:
        """What of the parent is neither traded nor in open children, in base currency."""
        return self.parent.quantity - self.state.children.committed(Role.WORK)

    def ready(self, role: Role = Role.WORK) -> bool:
        """Whether a child of the role may be placed now, after the last one failed."""
        return self.state.now_ns >= self.state.not_before_ns.get(role, 0)

    def middle(self) -> Decimal:
        """Middle of the market; the last price, or the arrival price, where there is no quote."""
        state = self.state
        if state.bid is not None and state.ask is not None:
            return (state.bid + state.ask) / 2
        return self.parent.arrival_price if state.last is None else state.last

    def smallest(self, price: Decimal) -> Decimal:
        """The smallest quantity that the venue takes at a price: whole lots, in base currency."""
        rules = self.parent.rules
        needed = max(rules.min_quantity, rules.lot_size, rules.min_notional / price)
        return (needed / rules.lot_size).to_integral_value(ROUND_CEILING) * rules.lot_size

    def market_price(self) -> Decimal:
        """A price to measure a market order's value by: the lowest that is known of the present."""
        state = self.state
        known = [price for price in (state.bid, state.last) if price is not None]
        return min(known, default=self.parent.arrival_price)

    def portion(self, wanted: Decimal, price: Decimal, *, final: bool = False) -> Decimal:
        """How much of `wanted` can be placed now, in base currency; 0: nothing.

        Whole lots, not below the venue's minimum, within the cap, and so that no rest stays that
        would be too small for an order of its own: this one takes it, or, where the cap forbids
        that, leaves it enough to become one later. A final order leaves what it must.
        """
        lot, smallest = self.parent.rules.lot_size, self.smallest(price)
        left = round_down(self.left, lot)
        most = round_down(min(left, self._room()), lot)
        quantity = min(round_down(max(wanted, ZERO), lot), most)
        rest = left - quantity
        if ZERO < rest < smallest <= quantity:
            if left <= most:
                return left
            if not final:
                quantity = left - smallest
        return quantity if quantity >= smallest else ZERO

    def place_work(self, wanted: Decimal, *, final: bool = False) -> None:
        """Places what can be placed of `wanted`: at the limit price, or at the market's."""
        limit = self.parent.limit_price
        quantity = self.portion(wanted, self._price_now(), final=final)
        if quantity:
            self.place(
                quantity,
                OrderKind.MARKET if limit is None else OrderKind.LIMIT,
                limit_price=limit,
                time_in_force=TimeInForce.IMMEDIATE
                if final and limit is not None
                else TimeInForce.UNTIL_CANCELLED,
                final=final,
            )

    def place(
        self,
        quantity: Decimal,
        kind: OrderKind,
        *,
        role: Role = Role.WORK,
        side: Side | None = None,
        limit_price: Decimal | None = None,
        stop_price: Decimal | None = None,
        time_in_force: TimeInForce = TimeInForce.UNTIL_CANCELLED,
        final: bool = False,
    ) -> None:
        """Wants a child placed.

        Raises:
            InvariantError: it is more than the parent has left.
        """
        if role is Role.WORK and quantity > self.left:
            raise InvariantError(
                f"{self.name} {self.parent.order}: expected a child of at most {self.left}, found "
                f"{quantity}"
            )
        children = self.state.children
        child = Child(children.count, role, quantity, kind, limit_price, stop_price, final)
        children.add(child)
        self._deeds.append(
            PlaceChild(
                time_ns=self.state.now_ns,
                child=child.number,
                side=side or self.parent.side,
                quantity=quantity,
                kind=kind,
                limit_price=limit_price,
                stop_price=stop_price,
                time_in_force=time_in_force,
                protective=role is Role.EXIT,
            )
        )

    def cancel(self, child: Child) -> None:
        """Wants a child out of the book, once."""
        if child.end is None and not child.cancelling:
            child.cancelling = True
            self._deeds.append(CancelChild(time_ns=self.state.now_ns, child=child.number))

    def trim(self, role: Role, most: Decimal) -> None:
        """Cancels the newest children where fills and open ones come to more than `most`.

        Only a venue that trades more of an order than its end said leads to that.
        """
        children = self.state.children
        for child in reversed(tuple(children.of(role))):
            if children.filled(role) + children.staying(role) <= most:
                return
            self.cancel(child)

    def wind_down(self, why: Leftover, detail: str = "") -> None:
        """Begins to end: from here on nothing is placed but what finishes the parent."""
        if self.state.ending is None or why is Leftover.STOPPED:
            self.state.ending, self.state.detail = why, detail

    def gave_up(self, role: Role, detail: str) -> None:
        """Too many children of a role failed in a row."""
        self.wind_down(Leftover.REJECTED, detail)

    def over(self) -> bool:
        """Whether there is nothing more to place, once no child is open."""
        return round_down(self.left, self.parent.rules.lot_size) < self._smallest_now()

    # --- the inside

    def _take_in(self, heard: Heard) -> bool:
        """Notes what was heard; whether it was a trade that had not been counted."""
        state = self.state
        match heard:
            case ChildFilled():
                child = state.children.fill(heard)
                if child is None:
                    return False
                state.failures.pop(child.role, None)
                state.last = heard.price
                return True
            case ChildEnded():
                child = state.children.finish(heard)
                if child is not None and not child.cancelling and not heard.filled:
                    self._failed(child.role, heard)
            case QuoteSeen():
                state.bid, state.ask = heard.bid, heard.ask
            case VolumeSeen():
                state.last = heard.price
                if heard.from_ns >= state.counted_until_ns:
                    state.volume += heard.quantity
                    state.counted_until_ns = heard.time_ns
            case StopAsked():
                self.stop(heard)
            case TimePassed():
                pass
            case _:
                raise InvariantError(f"{self.name}: expected news, found {type(heard).__name__}")
        return False

    def _failed(self, role: Role, news: ChildEnded) -> None:
        state, params = self.state, self.params
        failures = state.failures[role] = state.failures.get(role, 0) + 1
        state.not_before_ns[role] = state.now_ns + params.retry_delay
        if failures >= params.max_failures and not state.ended:
            self.gave_up(role, f"{failures} children in a row failed: {news.reason or news.end}")

    def _act(self) -> None:
        state, parent = self.state, self.parent
        self.trim(Role.WORK, parent.quantity)
        if state.ending is None and self.ends_in_time and state.now_ns >= parent.end_ns:
            self.wind_down(Leftover.TIME_UP)
        if state.ending is not None:
            self._clear()
        elif state.now_ns >= parent.start_ns:
            self.decide()
        if not state.children.open and not self._waits() and (state.ending or self.over()):
            state.ended = True
            self._deeds.append(self._end())

    def _end(self) -> ParentEnded:
        return ParentEnded(time_ns=self.state.now_ns, measurement=self.measure())

    def _clear(self) -> None:
        """Takes everything out of the market; then finishes, if that is wanted."""
        state = self.state
        for child in tuple(state.children.open.values()):
            if not child.final or state.ending is Leftover.STOPPED:
                self.cancel(child)
        if not state.children.open and self._finishes() and self.ready():
            self.place_work(self.left, final=True)

    def _finishes(self) -> bool:
        return (
            self.state.ending is Leftover.TIME_UP
            and isinstance(self.params, CappedParams)
            and self.params.finish == "market"
            and self.state.failures.get(Role.WORK, 0) < self.params.max_failures
        )

    def _waits(self) -> bool:
        """Whether the finish will be tried again, after one that failed."""
        return (
            self.state.ending is not None
            and self._finishes()
            and not self.ready()
            and self.portion(self.left, self._price_now(), final=True) > 0
        )

    def _price_now(self) -> Decimal:
        limit = self.parent.limit_price
        return self.market_price() if limit is None else limit

    def _smallest_now(self) -> Decimal:
        return self.smallest(self._price_now())

    def _room(self) -> Decimal:
        """What the participation cap allows beyond fills and open children, in base currency."""
        cap = self.cap()
        if cap is None:
            return self.left
        return max(ZERO, cap * self.state.volume - self.state.children.committed(Role.WORK))

    def cap(self) -> Decimal | None:
        """Share of the seen volume that is not exceeded; None: there is no bound."""
        return self.params.max_participation if isinstance(self.params, CappedParams) else None

    def _leftover(self) -> Leftover:
        ending, smallest = self.state.ending, self._smallest_now()
        if ending in (Leftover.STOPPED, Leftover.REJECTED):
            return ending
        if round_down(self.left, self.parent.rules.lot_size) < smallest:
            return Leftover.BELOW_MINIMUM
        if self._room() < smallest:
            return Leftover.PARTICIPATION_CAP
        return Leftover.TIME_UP

    def _identity(self) -> tuple[str, str]:
        return f"algo/{self.name}/1", f"{self.parent.order}|{self.params.model_dump_json()}"
