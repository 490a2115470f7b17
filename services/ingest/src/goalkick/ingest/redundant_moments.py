"""The moments of several copies of a feed, made one: in order, whole if one copy or all are. Pure.

A moment is told as soon as one copy has it whole, without a gap; else when every copy that is there
has come so far, or the wait is over. What comes after that is too late: a moment is told once.
"""

from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from goalkick.common.events.base import Event
from goalkick.common.events.market import BarClosed, GapDetected
from goalkick.common.ports.feed import FROM_THE_START, Step
from goalkick.common.values.ids import InstrumentId
from goalkick.ingest.redundant_lines import AWAITED, Side

_Key = tuple[InstrumentId, int]


class _Bar(msgspec.Struct):
    bar: BarClosed
    givers: list[int]


class _Moment(msgspec.Struct):
    arrived_ns: int
    bars: dict[_Key, _Bar] = {}
    gaps: list[GapDetected] = []
    others: list[Event] = []


class Moments:
    """What is to be told of each moment.

    Attributes:
        moment_ns: the last one that was told.
        mended: gaps of one copy that another filled.
        differing: bars that two copies tell differently; the first is told.
    """

    def __init__(self, sides: Sequence[Side], wait_ns: int) -> None:
        """Knows nothing yet; waits `wait_ns` for what one copy lacks."""
        self.moment_ns = FROM_THE_START
        self.mended = self.differing = 0
        self._sides = sides
        self._wait_ns = wait_ns
        self._reached = [FROM_THE_START for _ in sides]
        self._promised = [FROM_THE_START for _ in sides]
        self._awaited: list[deque[tuple[int, _Key]]] = [deque() for _ in sides]
        self._pending: dict[int, _Moment] = {}
        self._closes: dict[_Key, int] = {}

    @property
    def due_ns(self) -> int | None:
        """When waiting ends, by the clock; None: nothing waits."""
        if not self._pending:
            return None
        return self._pending[min(self._pending)].arrived_ns + self._wait_ns

    def closes(self) -> dict[InstrumentId, int]:
        """Close of the last bar that was told of each instrument."""
        closes: dict[InstrumentId, int] = {}
        for (instrument, _), close_ns in self._closes.items():
            closes[instrument] = max(close_ns, closes.get(instrument, close_ns))
        return closes

    def take(
        self, side: int, time_ns: int, events: Iterable[Event], news: Iterable[Event], now_ns: int
    ) -> None:
        """Takes a moment of one copy.

        Args:
            side: which copy.
            time_ns: the moment.
            events: its bars, gaps in the bars and whatever belongs to this time.
            news: what is new whenever it comes: told with the next moment that can be.
            now_ns: the clock's time.
        """
        events = list(events)
        self._match(
            side,
            time_ns,
            {(bar.instrument, bar.interval_ns) for bar in events if type(bar) is BarClosed},
        )
        self._reached[side] = max(self._reached[side], time_ns)
        if time_ns > self.moment_ns and events:
            moment = self._at(time_ns, now_ns)
            for event in events:
                self._put(moment, side, event)
        self.add(time_ns, news, now_ns)

    def reach(self, side: int, until_ns: int) -> None:
        """A copy has said all of its moments up to a time."""
        self._promised[side] = until_ns
        self._reached[side] = max(self._reached[side], until_ns)

    def promise(self) -> int | None:
        """Up to when no further moment can be told, from now on; None: no later than is known."""
        live = zip(self._sides, self._promised, strict=True)
        until_ns = min((until for side, until in live if side.live), default=FROM_THE_START)
        until_ns = min(until_ns, min(self._pending, default=until_ns + 1) - 1)
        if until_ns <= self.moment_ns:
            return None
        self.moment_ns = until_ns
        return until_ns

    def add(self, time_ns: int, news: Iterable[Event], now_ns: int) -> None:
        """Adds what is told with the next moment that can be, not before `time_ns`."""
        fresh = list(news)
        if fresh:
            self._at(max(time_ns, self.moment_ns + 1), now_ns).others += fresh

    def beside(self, events: Iterable[Event]) -> Step:
        """What is told at once, as a moment right after the last one that was told."""
        self.moment_ns += 1
        told = [msgspec.structs.replace(event, time_ns=self.moment_ns) for event in events]
        if waiting := self._pending.pop(self.moment_ns, None):
            # Its time is taken: what waited for it comes with the next one.
            later = self._pending.setdefault(self.moment_ns + 1, waiting)
            if later is not waiting:
                later.others += waiting.others
        return sorted(told, key=_by_key)

    def release(self, now_ns: int) -> list[Step]:
        """The steps that can be told now, in order of time."""
        steps: list[Step] = []
        while self._pending:
            time_ns = min(self._pending)
            moment = self._pending[time_ns]
            if not (
                self._all_reached(time_ns)
                or now_ns >= moment.arrived_ns + self._wait_ns
                or self._whole(time_ns, moment)
            ):
                break
            del self._pending[time_ns]
            if step := self._step(time_ns, moment):
                self.moment_ns = time_ns
                steps.append(step)
        return steps

    def forget(self, side: int) -> None:
        """A copy is gone: what it did not say it will not."""
        self._sides[side].misses += len(self._awaited[side])
        self._awaited[side].clear()

    def _at(self, time_ns: int, now_ns: int) -> _Moment:
        return self._pending.setdefault(time_ns, _Moment(arrived_ns=now_ns))

    def _put(self, moment: _Moment, side: int, event: Event) -> None:
        if type(event) is GapDetected:
            moment.gaps.append(event)
        elif type(event) is BarClosed:
            key = event.instrument, event.interval_ns
            known = moment.bars.get(key)
            if known is None:
                moment.bars[key] = _Bar(event, [side])
                return
            known.givers.append(side)
            self.differing += known.bar != event
        elif event not in moment.others:
            moment.others.append(event)

    def _match(self, side: int, time_ns: int, bars: set[_Key]) -> None:
        """Counts what it says that was told, and what it did not say."""
        counts, awaited = self._sides[side], self._awaited[side]
        while awaited and awaited[0][0] <= time_ns:
            then_ns, key = awaited.popleft()
            if then_ns == time_ns and key in bars:
                bars.discard(key)
                counts.repeats += 1
            else:
                counts.misses += 1
        if time_ns <= self.moment_ns:
            repeated = time_ns <= self._reached[side]
            counts.repeats += len(bars) if repeated else 0
            counts.late += 0 if repeated else len(bars)

    def _all_reached(self, time_ns: int) -> bool:
        return all(
            reached >= time_ns or not side.live
            for side, reached in zip(self._sides, self._reached, strict=True)
        )

    def _whole(self, time_ns: int, moment: _Moment) -> bool:
        if any(self._rest(gap, moment) for gap in moment.gaps):
            return False
        return all(
            time_ns % interval_ns or (instrument, interval_ns) in moment.bars
            for instrument, interval_ns in self._closes
        )

    def _step(self, time_ns: int, moment: _Moment) -> Step:
        rests = [self._rest(gap, moment) for gap in moment.gaps]
        self.mended += rests.count(None)
        gaps = {(gap.instrument, gap.from_ns, gap.to_ns): gap for gap in rests if gap}
        for key, held in moment.bars.items():
            self._count(time_ns, key, held.givers)
            self._closes[key] = time_ns
        bars = [moment.bars[key].bar for key in sorted(moment.bars)]
        others = [msgspec.structs.replace(event, time_ns=time_ns) for event in moment.others]
        return sorted([*others, *gaps.values(), *bars], key=_by_key)

    def _rest(self, gap: GapDetected, moment: _Moment) -> GapDetected | None:
        """What is left of a gap after what other copies told; None: nothing."""
        lengths = [interval for name, interval in self._closes if name == gap.instrument]
        lengths += [interval for name, interval in moment.bars if name == gap.instrument]
        if not lengths:
            return gap
        interval_ns = min(lengths)
        from_ns = max(gap.from_ns, self._closes.get((gap.instrument, interval_ns), gap.from_ns))
        if from_ns == gap.from_ns:
            return gap
        if from_ns >= gap.to_ns:
            return None
        missing = max(1, (gap.to_ns - from_ns) // interval_ns)
        return msgspec.structs.replace(gap, from_ns=from_ns, missing=missing)

    def _count(self, time_ns: int, key: _Key, givers: Sequence[int]) -> None:
        for index, side in enumerate(self._sides):
            if index == givers[0]:
                side.leads += 1
            elif index in givers:
                side.repeats += 1
            elif not side.live or self._reached[index] >= time_ns:
                side.misses += 1
            else:
                awaited = self._awaited[index]
                awaited.append((time_ns, key))
                if len(awaited) > AWAITED:
                    awaited.popleft()
                    side.misses += 1


def _by_key(event: Event) -> str:
    return event.key
