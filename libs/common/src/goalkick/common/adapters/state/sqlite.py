"""State in a SQLite file: a table of bytes by key, and a log; every change atomic and on the disk.

The file has one owner at a time: two processes that take turns in saving would each go on from
the other's state.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from goalkick.common.core.errors import (
    GoalkickError,
    InvalidDataError,
    InvariantError,
    SettingsError,
    TransientError,
)

APPLICATION_ID = 0x474B5354
"""`GKST` in SQLite's header: tells our files from others."""

SCHEMA_VERSION = 2
"""Raise it when the tables change; a file of another version is refused, never guessed at, but for
that of layout 1, which lacks the log and is given one."""

LOCK_TIMEOUT_S = 1.0
"""How long to wait for a predecessor that is just ending."""

_SETUP = (
    # Held from the first read until close: see the module's text. Before WAL, so that no
    # shared-memory file is needed.
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    # FULL, not NORMAL: what has returned survives a power cut too, as far as the disk keeps its
    # word. An order's intent is logged before the venue is called, and must not be forgotten. It
    # costs one sync each time.
    "PRAGMA synchronous = FULL",
    # A checkpoint takes as long as many appends, so none of them makes one: a save does.
    "PRAGMA wal_autocheckpoint = 0",
)
_CREATE_LOG = "CREATE TABLE log (number INTEGER PRIMARY KEY NOT NULL, entry BLOB NOT NULL)"
_CREATE = (
    "BEGIN IMMEDIATE",
    "CREATE TABLE state (key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL)",
    _CREATE_LOG,
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
    "COMMIT",
)
_ADD_LOG = ("BEGIN IMMEDIATE", _CREATE_LOG, f"PRAGMA user_version = {SCHEMA_VERSION}", "COMMIT")

_AHEAD_BYTES = 4 << 20
"""How much is logged ahead before a save folds it into the file."""

_LEAST_BYTES = 4096
"""What a change takes in the log ahead at least: a page of the file."""

_PAGE = 1_000
"""Entries of the log that are read at once."""

Result = TypeVar("Result")


class SqliteStateStore:
    """Durable state on a local disk; may be called from any thread, one at a time."""

    def __init__(
        self, file: Path, *, lock_timeout_s: float = LOCK_TIMEOUT_S, room_bytes: int = 0
    ) -> None:
        """Opens the file, or creates it and its folder.

        Args:
            file: on a local disk; SQLite's locks do not hold on network file systems.
            lock_timeout_s: how long to wait while another process holds it.
            room_bytes: space that is taken on the disk beforehand: a sync is several times slower
                where it must make a file longer, too.

        Raises:
            SettingsError: the file or its folder cannot be opened or created.
            TransientError: another process holds the file.
            InvalidDataError: it is damaged, not ours, or of another version.
        """
        self._file = file
        self._lock = threading.Lock()
        self._ahead = 0
        self._room_bytes = room_bytes
        self._connection: sqlite3.Connection | None = None
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                file, timeout=lock_timeout_s, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.OperationalError) as error:
            raise SettingsError(f"state: expected a file at {file}, found: {error}") from None
        try:
            self._run(self._set_up)
        except BaseException:
            self.close()
            raise

    def load(self, key: str) -> bytes | None:
        """What was last saved under `key`, or None.

        Raises:
            InvalidDataError: the file is damaged.
        """
        row = self._run(
            lambda connection: connection.execute(
                "SELECT value FROM state WHERE key = ?", (key,)
            ).fetchone()
        )
        return None if row is None else bytes(row[0])

    def save(self, entries: dict[str, bytes], *, covers: int = 0) -> None:
        """Replaces all `entries` together, or none of them; returns when they are on the disk.

        Args:
            entries: by key.
            covers: entries of the log up to this number are forgotten together with it.

        Raises:
            TransientError: the file cannot be written now (full disk, read-only).
            InvalidDataError: the file is damaged.
        """
        changes: _Changes = [(_SAVE, list(entries.items()))] if entries else []
        if covers:
            changes.append((_FORGET, [(covers,)]))
        self._change(entries.values(), changes)
        if self._ahead >= _AHEAD_BYTES:
            self._run(lambda connection: connection.execute("PRAGMA wal_checkpoint(PASSIVE)"))
            self._ahead = 0

    def append(self, entries: Mapping[int, bytes]) -> None:
        """Adds entries to the log, all or none; returns when they are on the disk.

        Raises:
            InvariantError: a number is in the log already.
            TransientError: the file cannot be written now.
            InvalidDataError: the file is damaged.
        """
        changes: _Changes = [(_APPEND, list(entries.items()))] if entries else []
        self._change(entries.values(), changes)

    def logged(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """The entries of the log with numbers above `after`, in their order.

        Raises:
            InvalidDataError: the file is damaged.
        """
        while page := self._run(partial(_page, after=after)):
            yield from page
            after = page[-1][0]

    def close(self) -> None:
        """Folds the write-ahead log into the file and lets go of it; later calls fail."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _change(self, values: Iterable[bytes], changes: "_Changes") -> None:
        self._run(lambda connection: _change(connection, changes))
        self._ahead += _LEAST_BYTES + sum(map(len, values))

    def _run(self, action: Callable[[sqlite3.Connection], Result]) -> Result:
        with self._lock:
            if self._connection is None:
                raise InvariantError(
                    f"state: expected an open store, found a closed one ({self._file})"
                )
            try:
                return action(self._connection)
            except sqlite3.Error as error:
                raise self._explained(error) from error

    def _set_up(self, connection: sqlite3.Connection) -> None:
        for statement in _SETUP:
            connection.execute(statement)
        connection.execute("BEGIN EXCLUSIVE").connection.execute("COMMIT")
        application, version, tables = (
            connection.execute(query).fetchone()[0]
            for query in (
                "PRAGMA application_id",
                "PRAGMA user_version",
                "SELECT count(*) FROM sqlite_master",
            )
        )
        if tables == 0 and application == 0:
            _do(connection, _CREATE)
        elif application != APPLICATION_ID:
            raise InvalidDataError(
                f"state: expected a state file of Goalkick, found another database in {self._file}"
            )
        elif version == 1:
            _do(connection, _ADD_LOG)
        elif version != SCHEMA_VERSION:
            raise InvalidDataError(
                f"state: expected layout {SCHEMA_VERSION}, found {version} in {self._file}; use "
                "the version of Goalkick that wrote it, or move the file away"
            )
        finding = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if finding != "ok":
            raise self._damaged(finding)
        if self._room_bytes:
            _make_room(connection, self._room_bytes)

    def _explained(self, error: sqlite3.Error) -> GoalkickError:
        exactly = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        code = exactly & 0xFF
        if exactly == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
            return InvariantError(
                f"state: expected new numbers of entries of the log in {self._file}, found one "
                "that is there already"
            )
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return TransientError(
                f"state: expected to be alone in {self._file}, found another process in it; end "
                "that one, or name another data directory"
            )
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return self._damaged(str(error))
        if code == sqlite3.SQLITE_CANTOPEN:
            return SettingsError(f"state: expected a file at {self._file}, found: {error}")
        return TransientError(f"state: expected to use {self._file}, found: {error}")

    def _damaged(self, finding: str) -> InvalidDataError:
        return InvalidDataError(
            f"state: expected a sound file, found damage in {self._file}: {finding}; restore a "
            "copy, or move the file away to start from nothing"
        )


_Changes = list[tuple[str, list[tuple[Any, ...]]]]
"""Statements, and the rows for each."""

_SAVE = (
    "INSERT INTO state (key, value) VALUES (?, ?) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
_APPEND = "INSERT INTO log (number, entry) VALUES (?, ?)"
_FORGET = "DELETE FROM log WHERE number <= ?"


def _do(connection: sqlite3.Connection, statements: Sequence[str]) -> None:
    for statement in statements:
        connection.execute(statement)


def _change(connection: sqlite3.Connection, changes: _Changes) -> None:
    """Makes all changes, or none."""
    if not changes:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement, rows in changes:
            connection.executemany(statement, rows)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _make_room(connection: sqlite3.Connection, size: int) -> None:
    """Makes the log ahead so long, and lets it be written over from its beginning."""
    row = ("", bytes(size))
    _change(connection, [(_SAVE, [row]), ("DELETE FROM state WHERE key = ?", [("",)])])
    connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()


def _page(connection: sqlite3.Connection, after: int) -> list[tuple[int, bytes]]:
    return connection.execute(
        "SELECT number, entry FROM log WHERE number > ? ORDER BY number LIMIT ?", (after, _PAGE)
    ).fetchall()
