"""One stream of several copies, event by event: the first copy of each is told. Pure.

A copy is in order, but may lack events. Trades have numbers, so it shows what a copy lacks: later
ones wait a while for another copy to say it. Books and quotes are states: a later one says more
than an earlier, so only what goes on from the last is told. Of all else only the identity is known.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from goalkick.common.events.base import Event
from goalkick.common.events.market import GapDetected, TradePrinted

AWAITED: Final = 10_000
"""Events of a stream that a slow copy may be behind before they count as missing in it."""


ANEW_NS: Final = 10_000_000_000
"""Time of the events, ns, that must pass until a small number is no old one but a new count of the
venue's; more than a copy may lag, and what is deaf meanwhile."""


class Side(msgspec.Struct):
    """What is counted of one copy.

    Attributes:
        live: whether it is there.
        leads: events that it said first.
        repeats: events that another had said before.
        misses: events that another said and it did not.
        late: events that it alone said, when later ones had been told.
    """

    live: bool = True
    leads: int = 0
    repeats: int = 0
    misses: int = 0
    late: int = 0


class _Held(msgspec.Struct):
    trade: TradePrinted
    arrived_ns: int
    givers: list[int]


class TradeLine:
    """The numbered trades of one instrument.

    Attributes:
        mended: trades that one copy lacked and another said in time.
        missing: trades that all copies lack.
    """

    def __init__(self, sides: Sequence[Side], wait_ns: int) -> None:
        """Knows no trade yet; waits `wait_ns` for what one copy lacks."""
        self.mended = self.missing = 0
        self._sides = sides
        self._wait_ns = wait_ns
        self._last: TradePrinted | None = None
        self._number = 0
        self._reached: list[int | None] = [None for _ in sides]
        self._awaited: list[deque[int]] = [deque() for _ in sides]
        self._held: dict[int, _Held] = {}

    @property
    def due_ns(self) -> int | None:
        """When waiting ends, by the clock; None: nothing waits."""
        if not self._held:
            return None
        return self._held[min(self._held)].arrived_ns + self._wait_ns

    @property
    def time_ns(self) -> int:
        """Time of the last trade that was told, 0 before the first."""
        return self._last.time_ns if self._last else 0

    def take(self, side: int, number: int, trade: TradePrinted, now_ns: int) -> list[Event]:
        """Takes a trade from one copy; returns what can be told."""
        self._reach(side, number)
        if self._last is not None and self._begins_anew(number, trade):
            return self._begin_anew(side, number, trade)
        if self._last is not None and (
            number <= self._number or trade.time_ns < self._last.time_ns - ANEW_NS
        ):
            return []
        held = self._held.get(number)
        if held is None:
            self._held[number] = _Held(trade, now_ns, [side])
        elif side in held.givers:
            self._sides[side].repeats += 1
        else:
            held.givers.append(side)
        return self.release(now_ns)

    def release(self, now_ns: int) -> list[Event]:
        """What can be told now."""
        told: list[Event] = []
        while self._held:
            number = min(self._held)
            held = self._held[number]
            if self._last is not None and number > self._number + 1:
                if self._may_be_filled(number) and now_ns < held.arrived_ns + self._wait_ns:
                    break
                told.append(self._gap(number, held.trade))
            told.append(self._tell(number, self._held.pop(number)))
        return told

    def forget(self, side: int) -> None:
        """A copy is gone: what it did not say it will not."""
        self._sides[side].misses += len(self._awaited[side])
        self._awaited[side].clear()

    def _reach(self, side: int, number: int) -> None:
        awaited, counts = self._awaited[side], self._sides[side]
        while awaited and awaited[0] < number:
            awaited.popleft()
            counts.misses += 1
        reached = self._reached[side]
        if awaited and awaited[0] == number:
            awaited.popleft()
            counts.repeats += 1
        elif self._last is not None and number <= self._number:
            if reached is not None and number <= reached:
                counts.repeats += 1
            else:
                counts.late += 1
        self._reached[side] = number if reached is None else max(reached, number)

    def _may_be_filled(self, number: int) -> bool:
        """Whether a copy is there that has not come as far yet."""
        if len(self._held) > AWAITED:
            return False
        return any(
            side.live and (reached is None or reached < number)
            for side, reached in zip(self._sides, self._reached, strict=True)
        )

    def _tell(self, number: int, held: _Held) -> TradePrinted:
        first = held.givers[0]
        self._sides[first].leads += 1
        if (
            self._last is not None
            and number == self._number + 1
            and self._lacked_by_another(number, held)
        ):
            self.mended += 1
        for index, (side, reached) in enumerate(zip(self._sides, self._reached, strict=True)):
            if index == first:
                continue
            if index in held.givers:
                side.repeats += 1
            elif not side.live or (reached is not None and reached >= number):
                side.misses += 1
            else:
                self._await(index, number)
        self._last, self._number = held.trade, number
        return held.trade

    def _lacked_by_another(self, number: int, held: _Held) -> bool:
        return any(
            index not in held.givers and side.live and reached is not None and reached > number
            for index, (side, reached) in enumerate(zip(self._sides, self._reached, strict=True))
        )

    def _await(self, index: int, number: int) -> None:
        awaited = self._awaited[index]
        awaited.append(number)
        if len(awaited) > AWAITED:
            awaited.popleft()
            self._sides[index].misses += 1

    def _gap(self, number: int, trade: TradePrinted, missing: int = 0) -> GapDetected:
        before = self._last or trade
        missing = missing or number - self._number - 1
        self.missing += missing
        return GapDetected(
            time_ns=trade.time_ns,
            instrument=trade.instrument,
            from_ns=min(before.time_ns, trade.time_ns),
            to_ns=max(before.time_ns, trade.time_ns) + 1,
            missing=missing,
            stream="trade",
        )

    def _begins_anew(self, number: int, trade: TradePrinted) -> bool:
        """A smaller number of a much later time: the venue counts from the beginning."""
        last = self._last
        return (
            last is not None and number <= self._number and trade.time_ns > last.time_ns + ANEW_NS
        )

    def _begin_anew(self, side: int, number: int, trade: TradePrinted) -> list[Event]:
        told: list[Event] = [self._held[n].trade for n in sorted(self._held)]
        self._held.clear()
        gap = self._gap(number, trade, missing=1)
        self._sides[side].leads += 1
        self._last, self._number = trade, number
        self._reached = [number if index == side else None for index in range(len(self._sides))]
        for index in range(len(self._sides)):
            self.forget(index)
        return [*told, gap, trade]


class StateLine:
    """The books or quotes of one instrument, each of which says all there is.

    Attributes:
        time_ns: time of the last one that was told, 0 before the first.
    """

    def __init__(self, sides: Sequence[Side]) -> None:
        """Knows none yet."""
        self._sides = sides
        self._place: int | None = None
        self.time_ns = 0

    def take(self, side: int, place: int, event: Event) -> list[Event]:
        """Takes a state at a place in its stream; returns it if it goes on from the last."""
        anew = event.time_ns > self.time_ns + ANEW_NS
        if self._place is not None and place <= self._place and not anew:
            self._sides[side].repeats += 1
            return []
        self._sides[side].leads += 1
        self._place, self.time_ns = place, event.time_ns
        return [event]


class KeyLine:
    """Events of which nothing is known but who they are."""

    def __init__(self, sides: Sequence[Side], remember: int) -> None:
        """Remembers the last `remember` events."""
        self._sides = sides
        self._remember = remember
        self._givers: dict[tuple[type[Event], str], set[int]] = {}

    def take(self, side: int, event: Event) -> list[Event]:
        """Takes an event from one copy; returns it if it is the first."""
        key = type(event), event.natural_key()
        givers = self._givers.get(key)
        if givers is not None:
            givers.add(side)
            self._sides[side].repeats += 1
            return []
        self._givers[key] = {side}
        self._sides[side].leads += 1
        if len(self._givers) > self._remember:
            self._miss(self._givers.pop(next(iter(self._givers))))
        return [event]

    def _miss(self, givers: Iterable[int]) -> None:
        for index in set(range(len(self._sides))).difference(givers):
            self._sides[index].misses += 1
