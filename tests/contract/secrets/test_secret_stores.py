"""Both stores of secrets keep the same promises."""

from pathlib import Path

import pytest

from goalkick.common.adapters.secrets.env import EnvSecrets
from goalkick.common.adapters.secrets.file import FileSecrets
from goalkick.common.ports.secrets import Secrets
from goalkick.common.testing.contracts.secrets import Keeper, SecretsContract


class TestEnvSecrets(SecretsContract):
    @pytest.fixture
    def environ(self) -> dict[str, str]:
        return {}

    @pytest.fixture
    def store(self, environ: dict[str, str]) -> Secrets:
        return EnvSecrets(environ)

    @pytest.fixture
    def keep(self, environ: dict[str, str]) -> Keeper:
        def keep(value: str) -> str:
            environ["VENUE_KEY"] = value
            return "VENUE_KEY"

        return keep

    @pytest.fixture
    def absent(self) -> str:
        return "NO_SUCH_VARIABLE"


class TestFileSecrets(SecretsContract):
    @pytest.fixture
    def store(self) -> Secrets:
        return FileSecrets()

    @pytest.fixture
    def keep(self, tmp_path: Path) -> Keeper:
        def keep(value: str) -> str:
            file = tmp_path / "key"
            file.write_bytes(value.encode())
            return str(file)

        return keep

    @pytest.fixture
    def absent(self, tmp_path: Path) -> str:
        return str(tmp_path / "absent")
