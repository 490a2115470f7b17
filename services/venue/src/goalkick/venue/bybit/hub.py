"""Carries topics to their subscribers: one loop for all public streams."""

import asyncio
import contextlib
from collections.abc import Callable

from goalkick.common.values.time import NS_PER_SECOND
from goalkick.venue.bybit.front import Front
from goalkick.venue.bybit.topics import Topic, TradeTopic, make_topic
from goalkick.venue.engine.model import Happening, PhaseChanged, Refused, Traded
from goalkick.venue.wire import Wire

TICK_S = 0.01
"""Between two looks at what is due, in seconds: the shortest interval of any topic."""


class Hub:
    """All topics that somebody listens to; starts and stops with the application."""

    def __init__(self, front: Front) -> None:
        """Nobody listens yet."""
        self._front = front
        self._topics: dict[str, Topic] = {}
        self._wires: dict[str, set[Wire]] = {}
        self._due_s: dict[str, float] = {}
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begins to listen to the exchange."""
        self._unsubscribe = self._front.exchange.subscribe(self._hear)
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Ends it."""
        self._unsubscribe()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def find(self, name: str) -> Topic | None:
        """The topic of a name, running or new; None if there is none such."""
        return self._topics.get(name) or make_topic(self._front, name)

    def join(self, topic: Topic, wire: Wire) -> None:
        """Tells a subscriber what it needs to begin with, and all that follows."""
        self._topics.setdefault(topic.name, topic)
        wires = self._wires.setdefault(topic.name, set())
        wires.add(wire)
        for text in self._topics[topic.name].first():
            wire.send(f"stream:{topic.name}", text)
        self._wanted.set()

    def leave(self, name: str, wire: Wire) -> None:
        """Tells a subscriber no more; a topic without any is forgotten."""
        wires = self._wires.get(name, set())
        wires.discard(wire)
        if not wires:
            self._forget(name)

    def _forget(self, name: str) -> None:
        self._wires.pop(name, None)
        self._topics.pop(name, None)
        self._due_s.pop(name, None)
        if not self._topics:
            self._wanted.clear()

    def _hear(self, happening: Happening) -> None:
        match happening:
            case Traded(instrument=instrument, trade=trade):
                for topic in self._topics.values():
                    if isinstance(topic, TradeTopic) and topic.instrument == instrument:
                        topic.waiting.append(trade)
            case PhaseChanged(instrument=instrument, listing=None):
                gone = [n for n, t in self._topics.items() if t.instrument == instrument]
                for name in gone:
                    self._forget(name)
            case _:
                pass

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wanted.wait()
            self._look(loop.time())
            await asyncio.sleep(TICK_S)

    def _look(self, now_s: float) -> None:
        self._front.context.advance()
        for name, topic in list(self._topics.items()):
            if now_s < self._due_s.get(name, 0.0):
                continue
            self._due_s[name] = now_s + topic.interval_ns / NS_PER_SECOND
            with contextlib.suppress(Refused):  # delisted between two looks
                for text in topic.look():
                    for wire in self._wires[name]:
                        wire.send(f"stream:{name}", text)
