"""Writes raw frames to recordings: a thread of its own, and nobody ever waits for it.

What cannot be written in time is dropped, counted, and said in the recording.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

import msgspec
import structlog

from goalkick.common.core.errors import SettingsError
from goalkick.common.values.time import NS_PER_HOUR, NS_PER_SECOND
from goalkick.ingest.recording import MAX_MEMBER_BYTES, SUFFIX, Frame, Kind, pack

log = structlog.get_logger()

MAX_TEXT: Final = MAX_MEMBER_BYTES // 8
"""Characters of a frame; escaped as JSON each may take six bytes."""
_STOP: Final = None


class RecorderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How frames are recorded.

    Attributes:
        flush_s: seconds after which frames are in the file; a killed process loses no more.
        flush_bytes: characters of frames after which they are written earlier.
        queued: frames that may wait to be written; more are dropped.
        max_file_bytes: size after which a new file begins.
        max_bytes: size of all recordings of the venue; the oldest are removed. None: no bound.
        level: of compression, 1 (fast) to 9 (small).
    """

    flush_s: float = 1.0
    flush_bytes: int = 1024 * 1024
    queued: int = 50_000
    max_file_bytes: int = 1024 * 1024 * 1024
    max_bytes: int | None = None
    level: int = 6


class Recorder:
    """Records the frames of one venue: a file an hour, `<venue>-<YYYYMMDDTHH>-<part>.frames.gz`.

    A context manager: frames are written between entering and leaving it. A file is never written
    again by another process: it begins a part of its own.

    Attributes:
        recorded: frames that stand in a file.
        dropped: frames that were dropped.
    """

    def __init__(
        self,
        folder: Path,
        venue: str,
        settings: RecorderSettings | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Writes nothing yet.

        Args:
            folder: where the files go; made if it is not there.
            venue: whose frames they are; part of the files' names.
            settings: how.
            monotonic_s: says when to flush.

        Raises:
            SettingsError: the venue's name cannot be part of a file's.
        """
        if not venue or not venue.replace("_", "").isalnum():
            raise SettingsError(
                f"recorder: expected letters and digits as a venue, found {venue!r}"
            )
        self.recorded = self.dropped = 0
        self._folder = folder
        self._venue = venue
        self._settings = settings or RecorderSettings()
        self._monotonic_s = monotonic_s
        self._queue: queue.Queue[Frame | None] = queue.Queue(self._settings.queued)
        self._untold = 0
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._hour = -1
        self._parts: dict[int, int] = {}
        self._thread = threading.Thread(target=self._run, name=f"record-{venue}", daemon=True)

    def __enter__(self) -> Self:
        """Begins to write."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Writes what waits, and ends."""
        self._queue.put(_STOP)
        self._thread.join()

    def record(self, received_ns: int, connection: str, kind: Kind, text: str) -> bool:
        """Hands a frame over; never waits.

        Returns:
            Whether it was taken; False: it is dropped, for the disk is too slow or it too long.
        """
        if len(text) <= MAX_TEXT:
            with contextlib.suppress(queue.Full):
                self._queue.put_nowait(Frame(received_ns, connection, kind, text))
                return True
        with self._lock:
            self.dropped += 1
            self._untold += 1
        return False

    def _run(self) -> None:
        batch: list[Frame] = []
        going = True
        try:
            while going:
                batch, going = self._batch()
                if batch:
                    self._write(batch)
        except (OSError, ValueError):
            # A full disk must not stop trading: nothing more is recorded, and all of it counted.
            log.exception("recording ends", venue=self._venue)
            with self._lock:
                self.dropped += len(batch)
            if going:
                self._drain()
        finally:
            if self._file is not None:
                self._file.close()

    def _batch(self) -> tuple[list[Frame], bool]:
        """The frames of the next member, and whether more will come."""
        first = self._queue.get()
        if first is _STOP:
            return [], False
        settings = self._settings
        batch = [first]
        size = len(first.text)
        flush_at = self._monotonic_s() + settings.flush_s
        while size < settings.flush_bytes:
            try:
                frame = self._queue.get(timeout=max(0.0, flush_at - self._monotonic_s()))
            except queue.Empty:
                return batch, True
            if frame is _STOP:
                return batch, False
            batch.append(frame)
            size += len(frame.text)
        return batch, True

    def _write(self, batch: list[Frame]) -> None:
        with self._lock:
            untold, self._untold = self._untold, 0
        if untold:
            batch.append(Frame(batch[-1].received_ns, "", Kind.DROPPED, str(untold)))
        rest = batch
        while rest:
            hour = rest[0].received_ns // NS_PER_HOUR
            mine = [frame for frame in rest if frame.received_ns // NS_PER_HOUR == hour]
            rest = [frame for frame in rest if frame.received_ns // NS_PER_HOUR != hour]
            file = self._file_for(hour)
            file.write(pack(mine, self._settings.level))
            file.flush()
            self.recorded += len(mine)

    def _file_for(self, hour: int) -> BinaryIO:
        if (
            self._file is not None
            and self._hour == hour
            and self._file.tell() < self._settings.max_file_bytes
        ):
            return self._file
        if self._file is not None:
            self._file.close()
        self._make_room()
        self._file, self._hour = self._begin(hour), hour
        return self._file

    def _begin(self, hour: int) -> BinaryIO:
        begins = datetime.fromtimestamp(hour * NS_PER_HOUR // NS_PER_SECOND, UTC)
        stem = f"{self._venue}-{begins:%Y%m%dT%H}-"
        # A part that was removed to make room must not come again: names are the order.
        there = [path.name for path in recordings_in(self._folder, self._venue)]
        parts = [int(name[len(stem) :][:4]) + 1 for name in there if name.startswith(stem)]
        part = max([self._parts.get(hour, 0), *parts])
        while True:
            try:
                file = (self._folder / f"{stem}{part:04d}{SUFFIX}").open("xb")
            except FileExistsError:
                part += 1
            else:
                self._parts = {hour: part + 1}
                return file

    def _make_room(self) -> None:
        if self._settings.max_bytes is None:
            return
        files = recordings_in(self._folder, self._venue)
        sizes = [path.stat().st_size for path in files]
        excess = sum(sizes) - self._settings.max_bytes
        for path, size in zip(files, sizes, strict=True):
            if excess <= 0:
                return
            path.unlink()
            excess -= size
            log.info("old recording removed", path=path.name, bytes=size)

    def _drain(self) -> None:
        while self._queue.get() is not _STOP:
            with self._lock:
                self.dropped += 1


def recordings_in(folder: Path, venue: str) -> list[Path]:
    """The recordings of a venue, oldest first."""
    return sorted(folder.glob(f"{venue}-????????T??-????{SUFFIX}"))
