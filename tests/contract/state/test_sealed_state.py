"""A store behind a seal keeps the promises of one without."""

from pathlib import Path

import pytest

from goalkick.common.adapters.secrets.envelope import Envelope
from goalkick.common.adapters.secrets.sealing import Seal, SealedState
from goalkick.common.adapters.state.sqlite import SqliteStateStore
from goalkick.common.testing.contracts.state import Opener, StateStoreContract
from tests.contract.state.data_keys import DataKeys


class TestSealedSqliteStateStore(StateStoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Opener:
        keys = DataKeys()
        return lambda: SealedState(
            SqliteStateStore(tmp_path / "state.sqlite"), Seal("always", Envelope(keys)), "run"
        )
