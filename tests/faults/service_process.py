"""Execution's own service on Kafka, made to be killed: `python -m tests.faults.service_process P`.

It is the service as it is started anywhere: its settings, its pump, its pages, the real log and the
real adapter. Two things are put around it: the log and the venue's dialect say where an order is,
and where it was told to stop the process stops itself as a whole (SIGSTOP). As with desks, the
first process imports everything once and forks.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, cast

import msgspec

from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.events.base import Event
from goalkick.common.events.control import Progress
from goalkick.common.events.order import OrderIntended, OrderPartiallyFilled, OrderReport
from goalkick.common.ports.log import Log, Message, Record
from goalkick.common.runtime.envelope import read_event
from goalkick.common.runtime.service import Pump, Spec, Surroundings, run
from goalkick.common.topics import outputs_of
from goalkick.common.values.ids import client_order_id
from goalkick.execution import service
from goalkick.execution.service import ExecutionServiceSettings
from goalkick.execution.venues import build as venues
from goalkick.execution.venues.dialect import Dialect
from tests.conformance.conftest import KEY, SECRET
from tests.faults.desk import At, WatchedDialect
from tests.faults.desk_process import fork_for_each
from tests.faults.messages import (
    Begin,
    Failed,
    FromDesk,
    Hello,
    Opened,
    Stop,
    StopAlso,
    Stopped,
    read_to_desk,
    write,
)

_READY_S = 0.01
"""Between two looks at whether the service is ready, seconds."""
_SAYS = frozenset(topic.name for topic in outputs_of("execution"))


class Watcher:
    """Whoever watches this process, at the other end of a socket."""

    def __init__(self, stops: Iterable[Stop], connection: socket.socket) -> None:
        self._stops = set(stops)
        self._connection = connection
        self._rest = b""
        self._telling: asyncio.Task[None] | None = None
        self.pump: Pump | None = None

    def say(self, message: FromDesk) -> None:
        """Sends it before anything else happens: the process may be about to stop."""
        self._connection.sendall(write(message))

    def at(self, point: str, handle: str) -> None:
        """The process is at a point of an order."""
        stop = Stop(point, handle)
        if stop in self._stops:
            self.say(Stopped(stop))
            os.kill(os.getpid(), signal.SIGSTOP)

    def listen(self) -> None:
        """Begins to hear where else to stop, and tells when the service is ready."""
        asyncio.get_running_loop().add_reader(self._connection.fileno(), self._hear)
        self._telling = asyncio.create_task(self._tell())

    def _hear(self) -> None:
        received = self._connection.recv(1 << 16)
        if not received:
            asyncio.get_running_loop().remove_reader(self._connection.fileno())
            return
        *lines, self._rest = (self._rest + received).split(b"\n")
        for line in lines:
            match read_to_desk(line):
                case StopAlso(stop):
                    self._stops.add(stop)
                case other:
                    raise ValueError(f"expected one more place to stop at, found {other}")

    async def _tell(self) -> None:
        while self.pump is None or not self.pump.ready:  # noqa: ASYNC110
            await asyncio.sleep(_READY_S)
        self.say(Opened(0, {}))


class WatchedLog:
    """The log, which says where an order's intent and its reports are; all else is the log's own.

    Between `send` and the end of `flush` what was sent may be safe, and may not.
    """

    def __init__(self, log: Log, watcher: Watcher) -> None:
        self._log = log
        self._watcher = watcher
        self._sent: list[Event] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def start(self) -> None:
        """Connects, and hears the watcher from now on."""
        self._watcher.listen()
        await self._log.start()

    async def send(self, messages: Sequence[Message], *, whole: bool = False) -> None:
        """Sends what was decided or heard, and stops before."""
        said = [event for message in messages for event in _said(message)]
        for event in said:
            is_intent = isinstance(event, OrderIntended)
            self._at("before intent" if is_intent else "before commit", event)
        await self._log.send(messages, whole=whole)
        self._sent += said

    async def flush(self) -> None:
        """Returns when it is safe, and stops afterwards."""
        await self._log.flush()
        sent, self._sent = self._sent, []
        for event in sent:
            if isinstance(event, OrderIntended):
                self._at("after intent", event)
            elif isinstance(event, OrderPartiallyFilled):
                self._at("mid fill", event)

    def _at(self, point: str, event: Event) -> None:
        if isinstance(event, OrderReport):
            self._watcher.at(point, client_order_id(event.order))


def _said(message: Message) -> Iterable[Event]:
    if message.partition.topic in _SAYS:
        record = Record(message.partition, 0, message.key, message.value, message.headers)
        event = read_event(record)
        if not isinstance(event, Progress):
            yield event


def _watched(made: Callable[[], Dialect], at: At) -> Callable[[], Dialect]:
    return lambda: cast("Dialect", WatchedDialect(made(), at))


def _telling_why(pump: Pump, watcher: Watcher) -> Pump:
    """The pump, which says why it could not go on where that is no fault of its own."""
    works = pump.run

    async def tells(stop: asyncio.Event) -> None:
        try:
            await works(stop)
        except (TransientError, SettingsError) as error:
            watcher.say(Failed(str(error)))
            raise

    cast("Any", pump).run = tells
    return pump


def _begin(connection: socket.socket) -> Begin:
    with connection.makefile("rb", buffering=0) as lines:
        begin = read_to_desk(lines.readline())
    if not isinstance(begin, Begin):
        raise TypeError(f"expected the beginning, found {begin}")
    return begin


def be_the_service(connection: socket.socket) -> NoReturn:
    """Runs the service in this process, which ends with it."""
    code = 1
    try:
        begin = _begin(connection)
        log = os.open(begin.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, sys.stdout.fileno())
        os.dup2(log, sys.stderr.fileno())
        os.environ.update(VENUE_KEY=KEY, VENUE_SECRET=SECRET)
        watcher = Watcher(begin.stops, connection)
        watcher.say(Hello(os.getpid()))
        cast("Any", venues).DIALECTS = {
            name: _watched(made, watcher.at) for name, made in venues.DIALECTS.items()
        }

        def build(settings: ExecutionServiceSettings, around: Surroundings) -> Pump:
            bus = cast("Log", WatchedLog(around.bus, watcher))
            pump = service.build(settings, msgspec.structs.replace(around, bus=bus))
            watcher.pump = pump
            return _telling_why(pump, watcher)

        spec = Spec("execution", ExecutionServiceSettings, build)
        code = run(spec, ["--config", begin.state])
    except Exception:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            connection.close()
        os._exit(code)


if __name__ == "__main__":
    fork_for_each(sys.argv[1], be_the_service)
