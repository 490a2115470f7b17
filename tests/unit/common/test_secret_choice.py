"""Which stores of secrets may be asked, and how Vault may be reached: by settings alone."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from structlog.testing import capture_logs

from goalkick.common.adapters.secrets.backoff import Backoff
from goalkick.common.adapters.secrets.settings import SecretsSettings, VaultSettings
from goalkick.common.adapters.secrets.stores import Stores, patiently
from goalkick.common.adapters.secrets.troubles import Trouble, VaultError
from goalkick.common.config.secret import Secret
from goalkick.common.core.errors import SettingsError
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND


def stores(*allow: str, **environ: str) -> Stores:
    return Stores(SecretsSettings.model_validate({"allow": allow}), VaultSettings(), environ)


def test_a_store_that_is_not_allowed_is_refused() -> None:
    with pytest.raises(
        SettingsError, match=r"^env:KEY: expected a store that secrets.allow names \(file\)"
    ):
        Secret("env:KEY").resolve(stores("file", KEY="hunter2").by_scheme)


def test_a_file_is_read_where_files_are_allowed(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("hunter2\n")
    assert Secret(f"file:{file}").resolve(stores("file").by_scheme).reveal() == "hunter2"


def test_a_secret_of_the_environment_comes_with_a_warning() -> None:
    with capture_logs() as said:
        secret = Secret("env:KEY").resolve(stores("env", KEY="hunter2").by_scheme)
    assert secret.reveal() == "hunter2"
    assert [(line["log_level"], line["variable"]) for line in said] == [("warning", "KEY")]
    assert "hunter2" not in str(said)


def test_the_environment_is_refused_in_kubernetes() -> None:
    with pytest.raises(SettingsError, match=r"^secrets\.allow: expected env only on a machine of"):
        stores("env", "file", KUBERNETES_SERVICE_HOST="10.0.0.1")


def test_where_nobody_has_said_env_it_is_refused_in_kubernetes_when_it_is_asked() -> None:
    environ = {"KEY": "hunter2", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    one = Stores(SecretsSettings(), VaultSettings(), environ)
    with pytest.raises(SettingsError, match=r"^env:KEY: expected a store .* \(file\), found env"):
        Secret("env:KEY").resolve(one.by_scheme)


_HEAVY = ("hvac", "requests", "cryptography", "ccxt")


_LIGHT = (
    "goalkick.common.runtime.service",
    "goalkick.execution.service",
    "goalkick.execution.venues.build",
    "goalkick.embedded.safe",
)


@pytest.mark.slow
def test_who_has_no_vault_loads_nothing_for_it() -> None:
    text = f"import sys, {', '.join(_LIGHT)}\nprint(*[m for m in {_HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_vault_that_is_allowed_must_be_configured() -> None:
    with pytest.raises(SettingsError, match=r"^vault\.address: expected where Vault is"):
        stores("vault")


async def test_without_vault_nothing_is_stale() -> None:
    async with stores("file") as one:
        assert one.fresh() is None


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"address": "http://vault:8200"}, "expected vault.address to begin with https://"),
        ({"address": "https://vault:8200", "auth": "approle"}, "expected vault.role_id with auth"),
        ({"address": "https://vault:8200", "auth": "token"}, "expected vault.token_file with auth"),
        ({"address": "https://vault:8200", "refresh": "15m"}, "vault.refresh to be shorter than"),
        ({"address": "vault:8200"}, "should match pattern"),
    ],
)
def test_settings_of_vault_that_cannot_work_are_refused(values: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError) as caught:
        VaultSettings.model_validate(values)
    assert wrong in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1:8200", "localhost", "[::1]:8200"])
def test_plain_http_is_for_loopback(host: str) -> None:
    assert VaultSettings(address=f"http://{host}").address == f"http://{host}"


@given(
    failures=st.integers(1, 200),
    first=st.integers(1, NS_PER_SECOND),
    longest=st.integers(NS_PER_SECOND, 60 * NS_PER_SECOND),
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_a_wait_doubles_up_to_its_bound(
    failures: int, first: int, longest: int, jitter: float
) -> None:
    backoff = Backoff(first, longest, lambda: jitter)
    waits = [backoff.failed() for _ in range(failures)]
    whole = min(first * 2 ** (failures - 1), longest) / NS_PER_SECOND
    assert whole / 2 <= waits[-1] <= whole
    assert waits == sorted(waits)
    backoff.succeeded()
    assert backoff.failed() == waits[0]


def test_patience_asks_again_and_ends() -> None:
    away = VaultError("away", Trouble.DOWN)
    answers: list[str | None] = [None, None, "here"]
    pauses: list[float] = []

    def ask() -> str:
        answer = answers.pop(0)
        if answer is None:
            raise away
        return answer

    settings = VaultSettings(patience=10 * NS_PER_SECOND, retry_delay=100 * NS_PER_MS)
    assert patiently(settings, ask, pauses.append) == "here"
    assert len(pauses) == 2
    answers[:] = [None, "too late"]
    with pytest.raises(VaultError, match=r"^away$"):
        patiently(VaultSettings(patience=0), ask, pauses.append)
    assert len(pauses) == 2


_CRASH = """
import os, resource
from goalkick.common.adapters.secrets.dumps import forbid_core_dumps
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
forbid_core_dumps()
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
os.abort()
"""


def test_a_crash_leaves_no_core(tmp_path: Path) -> None:
    crashed = subprocess.run(
        [sys.executable, "-c", _CRASH], cwd=tmp_path, capture_output=True, check=False
    )
    assert crashed.returncode == -6, crashed.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_the_memory_of_a_process_that_forbids_dumps_is_not_dumpable() -> None:
    text = (
        "import ctypes\nfrom goalkick.common.adapters.secrets.dumps import forbid_core_dumps\n"
        "forbid_core_dumps()\nprint(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
