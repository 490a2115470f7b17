"""State in a SQLite file: one table of bytes by key, every save atomic and on the disk.

The file has one owner at a time: two processes that take turns in saving would each go on from
the other's state.
"""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from goalkick.common.core.errors import (
    GoalkickError,
    InvalidDataError,
    InvariantError,
    SettingsError,
    TransientError,
)

APPLICATION_ID = 0x474B5354
"""`GKST` in SQLite's header: tells our files from others."""

SCHEMA_VERSION = 1
"""Raise it when the table changes; a file of another version is refused, never guessed at."""

LOCK_TIMEOUT_S = 1.0
"""How long to wait for a predecessor that is just ending."""

_SETUP = (
    # Held from the first read until close: see the module's text. Before WAL, so that no
    # shared-memory file is needed.
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    # FULL, not NORMAL: a save that has returned survives a power cut too. An order's intent is
    # saved before the venue is called, and must not be forgotten. It costs one sync a save.
    "PRAGMA synchronous = FULL",
)
_CREATE = (
    "BEGIN IMMEDIATE",
    "CREATE TABLE state (key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
    "COMMIT",
)

Result = TypeVar("Result")


class SqliteStateStore:
    """Durable state on a local disk; may be called from any thread, one at a time."""

    def __init__(self, file: Path, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        """Opens the file, or creates it and its folder.

        Args:
            file: on a local disk; SQLite's locks do not hold on network file systems.
            lock_timeout_s: how long to wait while another process holds it.

        Raises:
            SettingsError: the file or its folder cannot be opened or created.
            TransientError: another process holds the file.
            InvalidDataError: it is damaged, not ours, or of another version.
        """
        self._file = file
        self._lock = threading.Lock()
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

    def save(self, entries: dict[str, bytes]) -> None:
        """Replaces all `entries` together, or none of them; returns when they are on the disk.

        Raises:
            TransientError: the file cannot be written now (full disk, read-only).
            InvalidDataError: the file is damaged.
        """
        if entries:
            self._run(lambda connection: _save(connection, entries))

    def close(self) -> None:
        """Folds the write-ahead log into the file and lets go of it; later calls fail."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

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
            for statement in _CREATE:
                connection.execute(statement)
        elif application != APPLICATION_ID:
            raise InvalidDataError(
                f"state: expected a state file of Goalkick, found another database in {self._file}"
            )
        elif version != SCHEMA_VERSION:
            raise InvalidDataError(
                f"state: expected layout {SCHEMA_VERSION}, found {version} in {self._file}; use "
                "the version of Goalkick that wrote it, or move the file away"
            )
        finding = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if finding != "ok":
            raise self._damaged(finding)

    def _explained(self, error: sqlite3.Error) -> GoalkickError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
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


def _save(connection: sqlite3.Connection, entries: dict[str, bytes]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany(
            "INSERT INTO state (key, value) VALUES (?, ?) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            entries.items(),
        )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
