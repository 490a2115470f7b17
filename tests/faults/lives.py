"""The processes of desks as their watcher has them: where they are forked from, and one life."""

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.faults.messages import LIMIT, Begin, FromDesk, ToDesk, read_from_desk, write

START_S = 60.0
"""How long everything may take to be imported."""


DESK, SERVICE = "tests.faults.desk_process", "tests.faults.service_process"
"""What may be forked: a desk, or execution's service on Kafka."""


class Nursery:
    """The process that desks are forked from; an async context manager.

    Attributes:
        folder: for state and logs, gone at the end.
    """

    def __init__(self, module: str = DESK) -> None:
        self._module = module
        self._folder = tempfile.TemporaryDirectory(prefix="goalkick-faults-")
        self.folder = Path(self._folder.name)
        self._desks = itertools.count(1)
        self._process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            str(self.folder / "desks"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(START_S):
            said = await self._process.stdout.readline()
        if said != b"ready\n":
            raise RuntimeError(f"expected a process to fork desks from, found {said!r}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        # Desks that were just killed may still have files open: that does no harm here.
        with contextlib.suppress(OSError):
            self._folder.cleanup()

    def new_desk(self) -> str:
        """A name for a desk's files that none had before."""
        return f"desk-{next(self._desks)}"

    async def life(self, begin: Begin) -> "Life":
        """Forks a desk."""
        reader, writer = await asyncio.open_unix_connection(self.folder / "desks", limit=LIMIT)
        writer.write(write(begin))
        return Life(reader, writer)


class Life:
    """One process of a desk, from its fork to its death.

    Attributes:
        pid: known with its first word; 0 before.
        killed: whether it was killed, or asked to stop, rather than ended by itself.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.pid = 0
        self.killed = False

    def say(self, message: ToDesk) -> None:
        """Sends it a message; one that is dead does not hear it."""
        self._writer.write(write(message))

    async def words(self) -> AsyncIterator[FromDesk]:
        """What it says, until it is dead."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while line := await self._reader.readline():
                if line.endswith(b"\n"):
                    yield read_from_desk(line)

    def kill(self) -> None:
        """SIGKILL, now: nothing of it runs any more when this returns."""
        if not self.killed and self.pid:
            self.killed = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def bury(self) -> None:
        """Kills it and hangs up."""
        self.kill()
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()
