"""Both state stores keep the same promises."""

from pathlib import Path

import pytest

from goalkick.common.adapters.state.memory import MemoryStateStore
from goalkick.common.adapters.state.sqlite import SqliteStateStore
from goalkick.common.testing.contracts.state import Opener, StateStoreContract


class TestSqliteStateStore(StateStoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Opener:
        return lambda: SqliteStateStore(tmp_path / "data" / "state.sqlite")


class TestMemoryStateStore(StateStoreContract):
    @pytest.fixture
    def open_store(self) -> Opener:
        entries: dict[str, bytes] = {}
        log: dict[int, bytes] = {}
        return lambda: MemoryStateStore(entries, log)
