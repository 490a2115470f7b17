"""A desk as a process of its own, made to be killed: `python -m tests.faults.desk_process SOCKET`.

The first process imports everything once and then forks a desk for each connection to its socket:
a desk starts in a tenth of a second, and each is a real process with a state file. Where it was
told to stop it says so and stops itself as a whole (SIGSTOP), so that whoever watches can kill it
exactly there. The first process ends with its standard input.
"""

import asyncio
import contextlib
import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import ccxt.pro  # noqa: F401 - once, for all desks

from goalkick.common.adapters.state.sqlite import SqliteStateStore
from goalkick.common.codec.json import from_line, to_line
from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.events.base import Event
from goalkick.common.events.control import TradingHalted
from goalkick.common.events.order import CancelRequested, OrderApproved
from goalkick.common.values.money import ZERO
from tests.faults.desk import Desk, quick_settings
from tests.faults.messages import (
    LIMIT,
    AskBooks,
    Begin,
    Books,
    Failed,
    FromDesk,
    Hello,
    Input,
    Opened,
    Stop,
    StopAlso,
    Stopped,
    Told,
    read_to_desk,
    write,
)


class DeskProcess:
    """The desk, and whoever watches it."""

    def __init__(self, begin: Begin, output: asyncio.StreamWriter) -> None:
        self._output = output
        self._stops = set(begin.stops)
        self._desk = Desk(
            quick_settings(begin.venue, begin.endpoint),
            SqliteStateStore(Path(begin.state)),
            tell=self._tell,
            at=self._at,
        )

    async def serve(self, inputs: asyncio.StreamReader) -> None:
        """Works until the watcher is gone.

        Raises:
            InvariantError: the desk heard what cannot be.
        """
        self._say(Hello(os.getpid()))
        try:
            await self._desk.open()
        except (TransientError, SettingsError) as error:
            self._say(Failed(str(error)))
            return
        self._say(Opened(self._desk.read, dict(self._desk.working)))
        listening = asyncio.ensure_future(self._desk.listen())
        obeying = asyncio.ensure_future(self._obey(inputs))
        await asyncio.wait((listening, obeying), return_when=asyncio.FIRST_COMPLETED)
        for task in (listening, obeying):
            if task.done():
                task.result()

    async def _obey(self, inputs: asyncio.StreamReader) -> None:
        while line := await inputs.readline():
            match read_to_desk(line):
                case Input(number, text) if number == self._desk.read + 1:
                    event = from_line(text)
                    if not isinstance(event, OrderApproved | CancelRequested | TradingHalted):
                        raise TypeError(f"expected a decision of risk, found {event}")
                    self._desk.take(event)
                case StopAlso(stop):
                    self._stops.add(stop)
                case AskBooks():
                    ledger = self._desk.ledger
                    held = sum((p.quantity for p in ledger.positions.values()), ZERO)
                    self._say(Books(ledger.cash, held))
                case other:
                    raise ValueError(f"expected input {self._desk.read + 1}, found {other}")

    def _tell(self, events: Sequence[Event]) -> None:
        self._say(Told([to_line(each) for each in events], dict(self._desk.working)))

    def _at(self, point: str, handle: str) -> None:
        stop = Stop(point, handle)
        if stop in self._stops:
            self._say(Stopped(stop))
            os.kill(os.getpid(), signal.SIGSTOP)

    def _say(self, message: FromDesk) -> None:
        self._output.write(write(message))


async def _work(connection: socket.socket) -> None:
    inputs, output = await asyncio.open_unix_connection(sock=connection, limit=LIMIT)
    begin = read_to_desk(await inputs.readline())
    if not isinstance(begin, Begin):
        raise TypeError(f"expected the beginning, found {begin}")
    log = os.open(begin.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())
    await DeskProcess(begin, output).serve(inputs)
    with contextlib.suppress(ConnectionError):
        await output.drain()


def _be_a_desk(connection: socket.socket) -> NoReturn:
    """Runs a desk in this process, which ends with it whatever happens: nothing is tidied up."""
    code = 1
    try:
        asyncio.run(_work(connection))
        code = 0
    except Exception:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def fork_for_each(path: str, work: Callable[[socket.socket], NoReturn]) -> None:
    """Forks a process for each connection to the socket `path`, until standard input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies: nobody asks how they ended
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen(64)
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                work(connection)
            connection.close()


if __name__ == "__main__":
    fork_for_each(sys.argv[1], _be_a_desk)
