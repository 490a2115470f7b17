"""Trading in one process, live: pace, state between runs, a clean stop.

The pipeline decides; this module only feeds it at the right time, keeps its state, and stops it
between two steps, never within one.
"""

import asyncio
import math
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Literal, Self

import msgspec

from goalkick.common.core.errors import GoalkickError, InvalidDataError
from goalkick.common.ports.feed import Step, Tape
from goalkick.common.ports.model import Model
from goalkick.common.ports.state import StateStore
from goalkick.common.ports.venue import Venue
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.embedded.picture import Decision, Observer, Picture
from goalkick.embedded.pipeline import Pipeline
from goalkick.embedded.settings import GoalkickSettings

SAVE_SECONDS = 2.0
"""How often the state is saved: what a power cut costs. A simulated or recorded market is simply
handled again from there, with the same decisions."""

YIELD_SECONDS = 0.02
"""How long the market may keep the process busy before it looks up: a Ctrl-C waits no longer."""

NOTHING_YET = -(2**63)
"""The moment of a pipeline that has handled nothing; ns."""

VERSION = 1
"""Of `_Saved`; raise it when the layout changes."""

Ending = Literal["interrupted", "duration over", "market over"]


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """What is traded, and how fast time goes there.

    Attributes:
        name: for people.
        pace: how fast it goes, for people.
        identity: a saved state goes on only in a market of the same identity.
        steps: given a moment, the steps at or after it, in order of time; the smallest int64 asks
            for all. A live market may give earlier ones, too: they are left out.
        speed: market time over time; infinity = as fast as possible; 1 for a live feed.
    """

    name: str
    pace: str
    identity: str
    steps: Callable[[int], Iterator[Step] | AsyncIterator[Step | Tape]]
    speed: float = 1.0


class _Saved(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept beside the pipeline's own snapshot."""

    version: int
    market: str
    opening: str
    picture: Picture


class StateError(InvalidDataError):
    """The saved state cannot be gone on with."""


class Session:
    """One account on one market, from where the saved state left it."""

    def __init__(
        self,
        settings: GoalkickSettings,
        market: Market,
        store: StateStore,
        tell: Callable[[Decision], object],
        *,
        models: Sequence[Model] = (),
        venue: Venue | None = None,
    ) -> None:
        """Builds the pipeline and takes over what `store` has.

        Args:
            settings: of all services.
            market: where to trade.
            store: where the state is kept.
            tell: hears each decision, in order.
            models: what `settings.prediction.models` names, in memory.
            venue: where orders go; None: they are traded on paper.

        Raises:
            SettingsError: the settings name something that does not exist.
            StateError: the saved state is of another market, other settings or another version.
        """
        self._market = market
        self._store = store
        self._venue = venue
        self._opening = f"of {venue.name}" if venue else str(settings.execution.initial_cash)
        saved = self._load()
        self.picture = saved.picture if saved else Picture()
        self._pipeline = Pipeline(
            settings,
            models=models,
            sinks=Observer(self.picture, tell).sinks(),
            live=venue is not None,
        )
        self.resumed = saved is not None
        if saved:
            self._restore()

    @property
    def moment_ns(self) -> int:
        """Event time up to which everything has been handled; `NOTHING_YET` at first."""
        return self._pipeline.moment_ns

    def steps(self) -> AsyncIterator[Step | Tape]:
        """The market's steps after the last one that was handled, each at its time."""
        after_ns = self.moment_ns
        steps = self._market.steps(after_ns + 1)
        if isinstance(steps, Iterator):
            return _paced(steps, self._market.speed)
        return _later(steps, after_ns)

    async def trade(self) -> None:
        """Handles the market's steps until it is over, or until cancelled between two steps."""
        if self._venue is None:
            await self._follow()
            return
        try:
            await self._venue.start()
            await self._take_up(self._venue)
            working = {asyncio.create_task(self._follow()), asyncio.create_task(self._listen())}
            try:
                done, _ = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in working:
                    task.cancel()
                await asyncio.wait(working)
            for task in done:
                task.result()
        finally:
            await self._venue.close()

    async def _follow(self) -> None:
        async with aclosing(self.steps()) as steps:  # type: ignore[type-var]
            async for step in steps:
                if isinstance(step, Tape):
                    self._pipeline.watch(step)
                elif self._venue is None:
                    self._pipeline.feed(step)
                else:
                    self._pipeline.set_clock(time.time_ns())
                    self._pipeline.feed(step)
                    self._carry_out()

    async def _listen(self) -> None:
        """Hears what the venue says."""
        assert self._venue is not None  # noqa: S101 - only called with a venue
        while True:
            self._pipeline.hear(await self._venue.answers())
            self._carry_out()

    async def _take_up(self, venue: Venue) -> None:
        """Begins with what the account has; after a restart, by asking about orders under way."""
        if not self.resumed:
            self._pipeline.open_account(await venue.holdings())
            return
        self._pipeline.doubt()
        self._carry_out()

    def _carry_out(self) -> None:
        """Hands the venue its commands, after what they are for is safe."""
        if self._venue is None or not (commands := self._pipeline.commands()):
            return
        self.save()
        for command in commands:
            self._venue.carry_out(command)

    def save(self) -> None:
        """Saves all state, or nothing of it; there is none before the first step.

        Raises:
            TransientError: the store cannot be written now.
        """
        if self.moment_ns == NOTHING_YET:
            return
        saved = _Saved(
            version=VERSION,
            market=self._market.identity,
            opening=self._opening,
            picture=self.picture,
        )
        self._store.save(
            {"run": msgspec.msgpack.encode(saved), "pipeline": self._pipeline.snapshot()}
        )

    def _load(self) -> _Saved | None:
        data = self._store.load("run")
        if data is None:
            return None
        try:
            saved = msgspec.msgpack.decode(data, type=_Saved)
        except msgspec.MsgspecError as error:
            raise _unusable(f"expected the layout of version {VERSION}, found {error}") from error
        for what, expected, found in (
            ("version", str(VERSION), str(saved.version)),
            ("market", self._market.identity, saved.market),
            ("execution.initial_cash", self._opening, saved.opening),
        ):
            if expected != found:
                raise _unusable(f"expected {what} {expected}, found {found}")
        return saved

    def _restore(self) -> None:
        data = self._store.load("pipeline")
        if data is None:
            raise _unusable("expected a snapshot of the pipeline, found none")
        try:
            self._pipeline.restore(data)
        except (InvalidDataError, KeyError) as error:
            raise _unusable(str(error)) from error


class StopRequest:
    """Ctrl-C (SIGINT) or a polite kill (SIGTERM), from the moment that this is entered.

    Installed before anything slow begins: who changes their mind while the indicators are being
    compiled gets a clean stop, too.
    """

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self._asked = False
        self._then: Callable[[], object] | None = None

    def __enter__(self) -> Self:
        """Takes the signals over."""
        self._before = {number: signal.signal(number, self._on_signal) for number in _STOPPING}
        return self

    def __exit__(self, *exception: object) -> None:
        """Gives the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def then(self, action: Callable[[], object]) -> None:
        """What to do when somebody asks; done at once if somebody has."""
        self._then = action
        if self._asked:
            action()

    def _on_signal(self, number: int, frame: object) -> None:
        self._asked = True
        if self._then is not None:
            self._then()


_STOPPING = (signal.SIGINT, signal.SIGTERM)


async def keep_trading(
    session: Session,
    stop: StopRequest,
    *,
    duration_seconds: float | None,
    redraw: Callable[[], object] | None = None,
    redraw_seconds: float = 0.25,
) -> Ending:
    """Trades until the market is over, the time is up, or somebody says stop; then saves.

    Args:
        session: what to trade.
        stop: ends it, between two steps.
        duration_seconds: of the clock, not of the market; None for no limit.
        redraw: brings a screen up to date; called a few times a second.
        redraw_seconds: how often.

    Raises:
        GoalkickError: trading or saving failed; what was saved last is kept.
    """
    trading = asyncio.create_task(session.trade())
    endings: list[Ending] = []

    def end(why: Ending) -> None:
        endings.append(why)
        trading.cancel()

    loop = asyncio.get_running_loop()
    stop.then(lambda: loop.call_soon_threadsafe(end, "interrupted"))
    if duration_seconds is not None:
        loop.call_later(duration_seconds, end, "duration over")
    try:
        async with asyncio.TaskGroup() as group:
            others = [group.create_task(_every(SAVE_SECONDS, session.save))]
            if redraw is not None:
                others.append(group.create_task(_every(redraw_seconds, redraw)))
            await asyncio.wait([trading])
            for other in others:
                other.cancel()
    except* GoalkickError as errors:
        raise errors.exceptions[0] from None
    finally:
        stop.then(_nothing)
        trading.cancel()
    if not trading.cancelled():
        trading.result()
    session.save()
    return endings[0] if trading.cancelled() and endings else "market over"


async def _every(seconds: float, action: Callable[[], object]) -> None:
    """Does something again and again, between steps of the market."""
    while True:
        await asyncio.sleep(seconds)
        action()


async def _paced(steps: Iterator[Step], speed: float) -> AsyncIterator[Step]:
    """The steps, each when it is due: the first at once."""
    loop = asyncio.get_running_loop()
    begin, first_ns, looked_up = loop.time(), 0, loop.time()
    for step in steps:
        if not math.isinf(speed):
            moment_ns = step[0].time_ns
            first_ns = first_ns or moment_ns
            due = begin + (moment_ns - first_ns) / NS_PER_SECOND / speed
            # Late is late: a step that is overdue follows at once, and none is left out.
            await asyncio.sleep(max(0.0, due - loop.time()))
        yield step
        if loop.time() - looked_up > YIELD_SECONDS:
            await asyncio.sleep(0)
            looked_up = loop.time()


async def _later(steps: AsyncIterator[Step | Tape], after_ns: int) -> AsyncIterator[Step | Tape]:
    async for step in steps:
        if isinstance(step, Tape) or step[0].time_ns > after_ns:
            yield step


def _nothing() -> None:
    """It has ended already."""


def _unusable(why: str) -> StateError:
    return StateError(
        f"saved state: {why}; run with what it was made with, or with --fresh to move it aside "
        "and begin anew"
    )
