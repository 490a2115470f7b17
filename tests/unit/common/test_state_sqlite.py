"""The SQLite state store: one owner, whole saves, and clear words about a file it cannot use."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from goalkick.common.adapters.state.sqlite import APPLICATION_ID, SqliteStateStore
from goalkick.common.core.errors import InvalidDataError, SettingsError, TransientError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


def saved(file: Path, **entries: bytes) -> None:
    store = SqliteStateStore(file)
    store.save(entries)
    store.close()


def test_a_second_owner_is_refused_until_the_first_lets_go(file: Path) -> None:
    first = SqliteStateStore(file)
    with pytest.raises(TransientError, match="another process"):
        SqliteStateStore(file, lock_timeout_s=0)
    first.close()
    SqliteStateStore(file, lock_timeout_s=0).close()


KILLED = """
import os, pathlib, sys
from goalkick.common.adapters.state.sqlite import SqliteStateStore
store = SqliteStateStore(pathlib.Path(sys.argv[1]))
store.save({"a": b"1", "b": b"1"})
connection = store._connection
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE state SET value = '2' WHERE key = 'a'")
os.kill(os.getpid(), 9)
"""


def test_a_process_killed_within_a_save_leaves_the_save_before(file: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False)
    assert killed.returncode == -9
    store = SqliteStateStore(file)
    assert (store.load("a"), store.load("b")) == (b"1", b"1")
    store.close()


def test_a_save_that_fails_half_way_changes_nothing(file: Path) -> None:
    store = SqliteStateStore(file)
    store.save({"a": b"1"})
    with pytest.raises(TransientError, match=str(file)):
        store.save({"a": b"2", "b": None})  # type: ignore[dict-item]
    assert (store.load("a"), store.load("b")) == (b"1", None)
    store.save({"a": b"3"})
    assert store.load("a") == b"3"
    store.close()


def test_every_save_is_synced_and_logged_ahead(file: Path) -> None:
    store = SqliteStateStore(file)
    connection = store._connection
    assert connection is not None
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    store.close()


def test_a_file_that_is_no_database_is_refused_and_kept(file: Path) -> None:
    content = b"no database at all, only text" * 40
    file.write_bytes(content)
    with pytest.raises(InvalidDataError, match="damage"):
        SqliteStateStore(file)
    assert file.read_bytes() == content


def test_a_damaged_database_is_refused(file: Path) -> None:
    saved(file, **{f"key{n}": os.urandom(3000) for n in range(50)})
    data = bytearray(file.read_bytes())
    data[4096:12288] = b"\xa5" * 8192
    file.write_bytes(data)
    with pytest.raises(InvalidDataError, match="damage"):
        SqliteStateStore(file)


def test_somebody_elses_database_is_refused(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE state (key, value)")
    connection.close()
    with pytest.raises(InvalidDataError, match="another database"):
        SqliteStateStore(file)


def test_a_file_of_another_layout_is_refused(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 7")
        connection.execute("CREATE TABLE state (key, value)")
    connection.close()
    with pytest.raises(InvalidDataError, match="expected layout 1, found 7"):
        SqliteStateStore(file)


def test_a_place_where_no_file_can_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "file" / "state.sqlite", tmp_path / "folder"):
        with pytest.raises(SettingsError, match="expected a file at"):
            SqliteStateStore(place)
