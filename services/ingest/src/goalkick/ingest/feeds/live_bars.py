"""From what venues tell to steps: pure.

Decides what may be said and when: a moment is told once, when every instrument's bars up to it are
known; whoever lags too long is declared stale and no longer waited for. Who is not heard is stale
at once, and waited for all the same: its bars can be fetched. So is what is told of the past at the
beginning: it is stale up to the newest bar. Nothing is told twice, nothing out of order, and what
is missing is said to be missing.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from goalkick.common.events.base import Event
from goalkick.common.events.market import (
    BarClosed,
    FeedRecovered,
    FeedStale,
    GapDetected,
    InstrumentListed,
)
from goalkick.common.ports.feed import Step
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_MS
from goalkick.ingest.settings import CcxtSettings

_STREAM: Final = "bar"
STALE_BARS: Final = 3
"""Bars' length without a new bar after which the feed is stale, unless the settings say."""

_ROOM_NS: Final = NS_PER_MS
"""Between a promise and the next bar: so many steps beside the bars find room there, one a ns."""

_LONGEST_WARMUP: Final = 50_000
"""Bars that are fetched at most to go on where an earlier run stopped; the rest is a gap."""


class _Stream:
    """One instrument's bars.

    Attributes:
        told_ns: close of the last bar that was told, None before the first.
        known_ns: close of the last bar that has arrived; where they begin, before the first.
        waiting: bars that have arrived and were not told yet, oldest first.
        last_ns: close of the last bar there was, 0 before the first.
        history: whether what comes is still the past, from before the beginning.
        late: whether it lags so much that it is not waited for.
        silent: whether nobody hears it now, however new its last bar is.
        stale: whether it was declared stale.
        recovered: whether it is well since, which is said with its newest bar, if one waits.
    """

    __slots__ = (
        "history",
        "known_ns",
        "last_ns",
        "late",
        "recovered",
        "silent",
        "stale",
        "told_ns",
        "waiting",
    )

    def __init__(self, begins_ns: int, told_ns: int | None) -> None:
        self.known_ns = begins_ns
        self.told_ns = told_ns
        self.last_ns = told_ns or 0
        self.waiting: deque[BarClosed] = deque()
        self.history = self.late = self.silent = self.stale = self.recovered = False


class LiveBars:
    """Bars of several instruments on their way from their venues to the platform.

    Attributes:
        changed: whether anything was learnt since `release`.
    """

    def __init__(
        self,
        rules: Mapping[InstrumentId, Instrument],
        interval_ns: int,
        stale_after_ns: int,
        *,
        begins_ns: int,
        told_ns: int | None,
        listing_ns: int,
        now_ns: int,
    ) -> None:
        """Knows no bars yet.

        Args:
            rules: the instruments.
            interval_ns: length of a bar.
            stale_after_ns: time without a new bar, from the end of the last one, after which an
                instrument is stale.
            begins_ns: where the first bar opens that is fetched, if none is missing.
            told_ns: close of the last bar that an earlier run told; None: there was none.
            listing_ns: time of the listing; every other step is later.
            now_ns: time of the clock: what lags is waited for until `stale_after_ns` from now.
        """
        self._rules = dict(sorted(rules.items()))
        self._interval_ns = interval_ns
        self._stale_after_ns = stale_after_ns
        self._patient_until_ns = now_ns + stale_after_ns
        self._streams = {name: _Stream(begins_ns, told_ns) for name in self._rules}
        for stream in self._streams.values():
            stream.history = stream.stale = now_ns > begins_ns + stale_after_ns
        self._untold = [name for name, stream in self._streams.items() if stream.history]
        self._moment_ns = listing_ns
        self.changed = True

    def listing(self) -> Step:
        """The first step: the instruments' rules; to be asked for before anything else."""
        return tuple(
            InstrumentListed(time_ns=self._moment_ns, instrument=name, rules=rules)
            for name, rules in self._rules.items()
        )

    def known_ns(self, instrument: InstrumentId) -> int:
        """Where the next bar opens: the close of the last one that has arrived."""
        return self._streams[instrument].known_ns

    @property
    def moment_ns(self) -> int:
        """The last moment that was told."""
        return self._moment_ns

    def silence(self, instrument: InstrumentId) -> None:
        """An instrument is not heard any more: it is stale until `hear`."""
        self._streams[instrument].silent = self.changed = True

    def hear(self, instrument: InstrumentId) -> None:
        """An instrument is heard again."""
        self._streams[instrument].silent = False
        self.changed = True

    def reach(self, instrument: InstrumentId, time_ns: int) -> None:
        """There is no bar of an instrument up to `time_ns` beside those that arrived."""
        stream = self._streams[instrument]
        time_ns -= time_ns % self._interval_ns
        if time_ns > stream.known_ns:
            stream.known_ns = time_ns
            self.changed = True

    def beside(self, events: Iterable[Event]) -> Step:
        """What has no moment of its own, as a step right after the last one.

        Not the clock's time: bars that are late lie before it and are still to come.
        """
        self._moment_ns += 1
        return tuple(
            sorted(
                (msgspec.structs.replace(event, time_ns=self._moment_ns) for event in events),
                key=_key,
            )
        )

    def add(self, instrument: InstrumentId, bars: Iterable[BarClosed]) -> None:
        """Takes what arrived, in order of time; what arrived before is passed over."""
        stream = self._streams[instrument]
        for bar in bars:
            if bar.time_ns > stream.known_ns:
                stream.known_ns = stream.last_ns = bar.time_ns
                stream.waiting.append(bar)
                self.changed = True

    def release(self, now_ns: int) -> list[Step]:
        """The steps that can be told at `now_ns` by the clock, in order of time."""
        self.changed = False
        fallen_silent = self._judge(now_ns)
        steps: list[Step] = []
        if self._untold:
            # What follows is the past, and nobody may act upon it.
            steps.append(self.beside([self._stale(name) for name in self._untold]))
            self._untold = []
        until_ns = self._complete_until()
        while (time_ns := self._next_time()) is not None and time_ns <= until_ns:
            if step := self._step(time_ns):
                self._moment_ns = time_ns
                steps.append(step)
        well = [n for n, s in self._streams.items() if s.recovered and not s.waiting]
        for name in well:
            self._streams[name].recovered = False
        news: list[Event] = [self._stale(name) for name in fallen_silent]
        news += [FeedRecovered(time_ns=0, instrument=name, stream=_STREAM) for name in well]
        if news:
            steps.append(self.beside(news))
        return steps

    def promise(self, now_ns: int) -> int | None:
        """Up to when no further step can lie, at `now_ns` by the clock: then it is kept.

        Returns:
            The time, later than that of the last step and of the last promise; None: there is
            nothing new to promise.
        """
        complete_ns = self._complete_until()
        next_ns = complete_ns - complete_ns % self._interval_ns + self._interval_ns
        until_ns = min(now_ns, next_ns - _ROOM_NS)
        if until_ns <= self._moment_ns:
            return None
        self._moment_ns = until_ns
        return until_ns

    def _stale(self, name: InstrumentId) -> FeedStale:
        last_ns = self._streams[name].last_ns
        return FeedStale(time_ns=0, instrument=name, last_ns=last_ns, stream=_STREAM)

    def _judge(self, now_ns: int) -> list[InstrumentId]:
        """Notes who lags and who has caught up; returns who lags now and did not before."""
        fallen_silent = []
        for name, stream in self._streams.items():
            patient_until_ns = max(stream.known_ns + self._stale_after_ns, self._patient_until_ns)
            stream.late = now_ns > patient_until_ns
            if now_ns <= stream.known_ns + self._stale_after_ns:
                stream.history = False
            ill = stream.late or stream.silent or stream.history
            if ill and not stream.stale:
                stream.stale = True
                if not stream.recovered:
                    fallen_silent.append(name)
                # A recovery that nobody was told of has not been.
                stream.recovered = False
            elif stream.stale and not ill:
                stream.stale, stream.recovered = False, True
        return fallen_silent

    def _complete_until(self) -> int:
        """Time up to which every instrument that is waited for has its bars."""
        awaited = [stream.known_ns for stream in self._streams.values() if not stream.late]
        return min(awaited) if awaited else max(s.known_ns for s in self._streams.values())

    def _next_time(self) -> int | None:
        times = (stream.waiting[0].time_ns for stream in self._streams.values() if stream.waiting)
        return min(times, default=None)

    def _step(self, time_ns: int) -> list[Event]:
        step: list[Event] = []
        for name, stream in self._streams.items():
            if not stream.waiting or stream.waiting[0].time_ns != time_ns:
                continue
            bar = stream.waiting.popleft()
            if time_ns <= self._moment_ns:
                # Too late to be told in order: it is missing, as the next bar's gap will say.
                continue
            if stream.told_ns is not None and bar.open_time_ns > stream.told_ns:
                step.append(self._gap(bar, stream.told_ns))
            if stream.recovered and not stream.waiting:
                stream.recovered = False
                step.append(FeedRecovered(time_ns=time_ns, instrument=name, stream=_STREAM))
            step.append(bar)
            stream.told_ns = time_ns
        return step

    def _gap(self, bar: BarClosed, from_ns: int) -> GapDetected:
        return GapDetected(
            time_ns=bar.time_ns,
            instrument=bar.instrument,
            from_ns=from_ns,
            to_ns=bar.open_time_ns,
            missing=(bar.open_time_ns - from_ns) // self._interval_ns,
            stream=_STREAM,
        )


def _key(event: Event) -> str:
    return event.key


def empty_bars(
    settings: CcxtSettings,
    rules: Mapping[InstrumentId, Instrument],
    after_ns: int | None,
    now_ns: int,
) -> LiveBars:
    """Bars that are to be fetched first: a warm-up, or what was missed.

    Args:
        settings: of the feed.
        rules: the instruments.
        after_ns: the last moment of an earlier run; None: there was none.
        now_ns: the clock's time.
    """
    interval_ns = settings.interval
    latest_ns = now_ns - now_ns % interval_ns
    if after_ns is None:
        told_ns = None
        begins_ns = listing_ns = latest_ns - settings.warmup * interval_ns
    else:
        told_ns = after_ns - after_ns % interval_ns
        begins_ns = max(told_ns, latest_ns - _LONGEST_WARMUP * interval_ns)
        listing_ns = after_ns + 1
    return LiveBars(
        rules,
        interval_ns,
        settings.stale_after or STALE_BARS * interval_ns,
        begins_ns=begins_ns,
        told_ns=told_ns,
        listing_ns=listing_ns,
        now_ns=now_ns,
    )
