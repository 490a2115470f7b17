"""Trading in one process, live: pace, state between runs, a clean stop.

The pipeline decides; this module only feeds it at the right time, keeps its state, and stops it
between two steps, never within one.
"""

import asyncio
import contextlib
import math
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Literal, Self

import msgspec
from pydantic import ValidationError

from goalkick.common.core.errors import GoalkickError, InvalidDataError, SettingsError
from goalkick.common.events.venue import VenueEvent
from goalkick.common.ports.budget import Budget
from goalkick.common.ports.feed import Step, Tape
from goalkick.common.ports.model import Model
from goalkick.common.ports.state import StateStore
from goalkick.common.ports.venue import Venue
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.embedded.order_log import Given, OrderLog
from goalkick.embedded.picture import Decision, Observer, Picture
from goalkick.embedded.pipeline import Pipeline
from goalkick.embedded.settings import GoalkickSettings

SAVE_SECONDS = 2.0
"""How often the state is kept: what a power cut costs. A simulated or recorded market is simply
handled again from there, with the same decisions. Live, an intent is kept before the venue is
called; what this may cost is what was heard since, and that is asked for again."""

SNAPSHOT_SECONDS = 60.0
"""How old the snapshot of a live account grows: after a kill, what was handled since is handled
again, which a strategy that was changed meanwhile may not bear."""

SNAPSHOT_ENTRIES = 1_000
"""How many entries of the order log are handled again after a kill, about: the next time that the
state is kept there is a snapshot. Fewer let a large state be written more often."""

YIELD_SECONDS = 0.02
"""How long the market may keep the process busy before it looks up: a Ctrl-C waits no longer."""

NOTHING_YET = -(2**63)
"""The moment of a pipeline that has handled nothing; ns."""

LOG_ROOM = 4 << 20
"""Bytes that the order log of a live account has on the disk from the beginning: what is written
between two snapshots of an account that does not trade every second."""

VERSION = 2
"""Of `_Saved`; raise it when the layout changes. Version 1 had no order log and is read."""

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
        budget: gives leave to call venues, to whoever does so here; None: nobody does.
    """

    name: str
    pace: str
    identity: str
    steps: Callable[[int], Iterator[Step] | AsyncIterator[Step | Tape]]
    speed: float = 1.0
    budget: Budget | None = None


class _Saved(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept beside the pipeline's own snapshot.

    Attributes:
        covers: number of the last entry of the order log that the snapshot covers.
        decides: the settings that the entries after it were handled with, as JSON.
    """

    version: int
    market: str
    opening: str
    picture: Picture
    covers: int = 0
    decides: str = ""


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
        self._tell = tell
        self._models = models
        self._opening = f"of {venue.name}" if venue else str(settings.execution.initial_cash)
        self._decides = _deciding(settings)
        self._grace_s = settings.execution.cancel_all.grace / NS_PER_SECOND
        self._snapshot_s = 0.0
        saved = self._load()
        self.picture = saved.picture if saved else Picture()
        self._log = OrderLog(store, saved.covers if saved else 0)
        self._pipeline = self._piped(settings)
        self.resumed = saved is not None
        if saved:
            self._restore(saved)

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
        try:
            await self._trade()
        finally:
            if self._market.budget is not None:
                await self._market.budget.close()

    async def _trade(self) -> None:
        if self._venue is None:
            await self._follow()
            return
        try:
            await self._venue.start()
            await self._take_up(self._venue)
            working = {asyncio.create_task(self._follow()), asyncio.create_task(self._listen())}
            stopped = True
            try:
                done, _ = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
                stopped = False
            finally:
                for task in working:
                    task.cancel()
                await asyncio.wait(working)
                if stopped:
                    await self._leave(self._venue)
            for task in done:
                task.result()
        finally:
            await self._venue.close()

    async def _leave(self, venue: Venue) -> None:
        """Takes back the orders that are not to work while nobody is here, and hears their ends."""
        self._take(Given(kind="left"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._grace_s):
                while not self._pipeline.left:
                    self._take(Given(kind="heard", events=await venue.answers()))

    async def _follow(self) -> None:
        async with aclosing(self.steps()) as steps:  # type: ignore[type-var]
            async for step in steps:
                if isinstance(step, Tape):
                    self._pipeline.watch(step)
                elif self._venue is None:
                    self._pipeline.feed(step)
                else:
                    self._take(Given(kind="fed", clock_ns=time.time_ns(), events=step))

    async def _listen(self) -> None:
        """Hears what the venue says."""
        assert self._venue is not None  # noqa: S101 - only called with a venue
        while True:
            self._take(Given(kind="heard", events=await self._venue.answers()))

    async def _take_up(self, venue: Venue) -> None:
        """Begins with what the account has; after a restart, by asking about orders under way."""
        if not self.resumed:
            self._take(Given(kind="opened", holdings=await venue.holdings()))
            return
        # What follows is handled with the present settings, which may not be those of before.
        self.save()
        self._take(Given(kind="doubted"))

    def _take(self, given: Given) -> None:
        """Handles what came from outside; hands the venue its commands once they are durable."""
        assert self._venue is not None  # noqa: S101 - only called with a venue
        commands = _handled(self._pipeline, given)
        self._log.note(given, commands)
        if commands:
            self._write()
        for command in commands:
            self._venue.carry_out(command)

    def _write(self) -> None:
        """Makes durable what was handled; without a snapshot to go on from, by the first one."""
        if self._snapshot_s:
            self._log.write()
        else:
            self.save()

    def keep(self) -> None:
        """Makes durable what was handled; live, at a cost that does not grow with the state.

        Raises:
            TransientError: the store cannot be written now.
        """
        if self._venue is None:
            self.save()
            return
        self._write()
        length, age_s = self._log.length, time.monotonic() - self._snapshot_s
        if length >= SNAPSHOT_ENTRIES or (length and age_s >= SNAPSHOT_SECONDS):
            self.save()

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
            covers=self._log.last,
            decides=self._decides,
        )
        self._log.save(
            {"run": msgspec.msgpack.encode(saved), "pipeline": self._pipeline.snapshot()}
        )
        self._snapshot_s = time.monotonic()

    def _load(self) -> _Saved | None:
        data = self._store.load("run")
        if data is None:
            if next(self._store.logged(), None) is not None:
                raise _unusable("expected a snapshot before the order log, found none")
            return None
        try:
            saved = msgspec.msgpack.decode(data, type=_Saved)
        except msgspec.MsgspecError as error:
            raise _unusable(f"expected the layout of version {VERSION}, found {error}") from error
        for what, expected, found in (
            ("version", str(VERSION), str(VERSION if saved.version == 1 else saved.version)),
            ("market", self._market.identity, saved.market),
            ("execution.initial_cash", self._opening, saved.opening),
        ):
            if expected != found:
                raise _unusable(f"expected {what} {expected}, found {found}")
        return saved

    def _restore(self, saved: _Saved) -> None:
        data = self._store.load("pipeline")
        if data is None:
            raise _unusable("expected a snapshot of the pipeline, found none")
        try:
            if next(self._store.logged(saved.covers), None) is not None:
                data = self._replayed(data, saved.decides)
            self._pipeline.restore(data)
        except (InvalidDataError, KeyError) as error:
            raise _unusable(str(error)) from error

    def _replayed(self, data: bytes, decides: str) -> bytes:
        """The snapshot with the order log's entries, handled with the settings of their time."""
        try:
            settings = GoalkickSettings.model_validate_json(decides)
            then = self._piped(settings, quietly=True)
        except (ValidationError, SettingsError) as error:
            raise InvalidDataError(
                f"order log: expected settings as they are now, {error}"
            ) from None
        then.restore(data)
        self._log.replay(lambda given: _handled(then, given))
        return then.snapshot()

    def _piped(self, settings: GoalkickSettings, *, quietly: bool = False) -> Pipeline:
        """A pipeline with the picture beside it; quietly: its decisions were told before."""
        tell = _hush if quietly else self._tell
        return Pipeline(
            settings,
            models=self._models,
            sinks=Observer(self.picture, tell).sinks(),
            live=self._venue is not None,
        )


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
            others = [group.create_task(_every(SAVE_SECONDS, session.keep))]
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


def _handled(pipeline: Pipeline, given: Given) -> Sequence[VenueEvent]:
    """Handles what came from outside, now or once more; returns what the venue is to do."""
    match given.kind:
        case "opened":
            pipeline.open_account(given.holdings)
        case "fed":
            pipeline.set_clock(given.clock_ns)
            pipeline.feed(given.events)
        case "heard":
            # All of it is news of the venue: only that is logged as heard.
            pipeline.hear(given.events)  # type: ignore[arg-type]
        case "doubted":
            pipeline.doubt()
        case "left":
            pipeline.leave()
    return pipeline.commands()


def _deciding(settings: GoalkickSettings) -> str:
    """The settings that decisions depend on, as JSON; how the venue is reached is none of them."""
    return settings.model_dump_json(
        include={"feature", "prediction", "strategy", "risk", "execution"},
        exclude={"execution": {"venue", "venues"}},
    )


def _nothing() -> None:
    """It has ended already."""


def _hush(decision: Decision) -> None:
    """It was told before."""


def _unusable(why: str) -> StateError:
    return StateError(
        f"saved state: {why}; run with what it was made with, or with --fresh to move it aside "
        "and begin anew"
    )
