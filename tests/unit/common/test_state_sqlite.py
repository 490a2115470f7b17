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


def test_room_is_taken_beforehand_and_what_was_saved_stays(file: Path) -> None:
    saved(file, a=b"1")
    store = SqliteStateStore(file, room_bytes=1 << 20)
    size = file.with_name(f"{file.name}-wal").stat().st_size
    assert size > 1 << 20
    store.append(dict.fromkeys(range(1, 100), b"entry"))
    assert file.with_name(f"{file.name}-wal").stat().st_size == size
    store.close()
    store = SqliteStateStore(file)
    assert (store.load("a"), store.load(""), len(list(store.logged()))) == (b"1", None, 99)
    store.close()


def test_what_is_logged_ahead_is_folded_into_the_file_by_saves_and_never_by_appends(
    file: Path,
) -> None:
    store = SqliteStateStore(file)
    ahead = file.with_name(f"{file.name}-wal")
    for number in range(1, 1_200):
        store.append({number: b"entry" * 800})
    assert file.stat().st_size < 100_000
    assert ahead.stat().st_size > 4_000_000
    store.save({"a": b"1"}, covers=1_000)
    assert file.stat().st_size > 4_000_000
    size = ahead.stat().st_size
    # What was folded in is written over.
    for number in range(2_000, 2_010):
        store.append({number: b"entry" * 800})
    assert ahead.stat().st_size == size
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


def test_a_file_of_the_layout_before_is_read_and_given_a_log(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute(
            "CREATE TABLE state (key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL)"
        )
        connection.execute("INSERT INTO state VALUES ('a', X'31')")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    store = SqliteStateStore(file)
    store.append({1: b"entry"})
    store.close()
    store = SqliteStateStore(file)
    assert (store.load("a"), list(store.logged())) == (b"1", [(1, b"entry")])
    store.close()


KILLED_LOGGING = """
import os, pathlib, sys
from goalkick.common.adapters.state.sqlite import SqliteStateStore
store = SqliteStateStore(pathlib.Path(sys.argv[1]))
store.save({"a": b"1"})
store.append({1: b"one"})
store.append({2: b"two"})
connection = store._connection
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE state SET value = '2' WHERE key = 'a'")
connection.execute("DELETE FROM log WHERE number <= 2")
connection.execute("INSERT INTO log VALUES (3, 'three')")
os.kill(os.getpid(), 9)
"""


def test_a_process_killed_within_a_snapshot_leaves_the_one_before_and_its_log(file: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED_LOGGING, str(file)], check=False)
    assert killed.returncode == -9
    store = SqliteStateStore(file)
    assert (store.load("a"), list(store.logged())) == (b"1", [(1, b"one"), (2, b"two")])
    store.close()


def logged_by_a_killed_process(file: Path) -> Path:
    """The write-ahead log that it left."""
    subprocess.run([sys.executable, "-c", KILLED_LOGGING, str(file)], check=False)
    return file.with_name(f"{file.name}-wal")


@pytest.mark.parametrize("torn", [1, 100, 4_000, 4_119])
def test_an_entry_whose_write_was_torn_is_not_there_and_those_before_are(
    file: Path, torn: int
) -> None:
    ahead = logged_by_a_killed_process(file)
    with ahead.open("r+b") as opened:
        opened.truncate(ahead.stat().st_size - torn)
    store = SqliteStateStore(file)
    assert (store.load("a"), list(store.logged())) == (b"1", [(1, b"one")])
    store.append({2: b"again"})
    store.close()


def test_an_entry_whose_bytes_changed_in_the_log_ahead_is_not_there(file: Path) -> None:
    ahead = logged_by_a_killed_process(file)
    data = bytearray(ahead.read_bytes())
    data[-1] ^= 0xFF
    ahead.write_bytes(data)
    store = SqliteStateStore(file)
    assert list(store.logged()) == [(1, b"one")]
    store.close()


def test_a_file_of_another_layout_is_refused(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 7")
        connection.execute("CREATE TABLE state (key, value)")
    connection.close()
    with pytest.raises(InvalidDataError, match="expected layout 2, found 7"):
        SqliteStateStore(file)


def test_a_place_where_no_file_can_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "file" / "state.sqlite", tmp_path / "folder"):
        with pytest.raises(SettingsError, match="expected a file at"):
            SqliteStateStore(place)
