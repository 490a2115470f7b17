"""`goalkick run` with Vault: state sealed on the disk, encrypted settings, clear refusals."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from goalkick.common.adapters.secrets.sealing import is_sealed
from goalkick.common.adapters.state.sqlite import SqliteStateStore
from tests.vault.process import encrypted, prepare
from tests.vault.server import VaultServer

pytestmark = pytest.mark.slow

CASH = "77777.125"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(vault: VaultServer, tmp_path: Path) -> Run:
    """Trades the simulated market on paper for a short while."""
    section = prepare(vault, "execution")

    def run(
        *words: str, seal: str = "always", **sections: Any
    ) -> "subprocess.CompletedProcess[str]":
        config = tmp_path / "goalkick.yaml"
        secrets = {"allow": ["vault"], "seal_state": seal}
        config.write_text(yaml.safe_dump({"vault": section, "secrets": secrets, **sections}))
        command = [sys.executable, "-m", "goalkick.embedded.cli", "run", "--json"]
        pace = ["--duration", "2s", "--speed", "600x"]
        places = ["--data-dir", str(tmp_path / "data"), "--config", str(config)]
        return subprocess.run(
            [*command, *pace, *places, *words],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def test_state_on_the_disk_is_sealed_and_gone_on_with(run: Run, tmp_path: Path) -> None:
    first = run()
    assert first.returncode == 0, first.stderr
    kept = SqliteStateStore(tmp_path / "data" / "state.sqlite")
    saved = {key: kept.load(key) for key in ("run", "pipeline")}
    kept.close()
    assert all(data and is_sealed(data) for data in saved.values())
    assert b"BTC/USDT" not in b"".join(data or b"" for data in saved.values())
    second = run()
    assert second.returncode == 0, second.stderr
    stopped = [json.loads(line) for line in (first.stdout, second.stdout)[1].splitlines()][-1]
    before = json.loads(first.stdout.splitlines()[-1])
    assert stopped["event"] == "stopped"
    assert stopped["time"] > before["time"]
    assert "goes on after" in second.stderr + second.stdout


def test_who_does_not_seal_refuses_sealed_state(run: Run) -> None:
    assert run().returncode == 0
    refused = run(seal="never")
    assert refused.returncode != 0
    assert "expected state in the clear where secrets.seal_state is never" in refused.stderr


def test_state_in_the_clear_is_adopted_when_that_is_said(run: Run) -> None:
    assert run(seal="never").returncode == 0
    refused = run()
    assert refused.returncode != 0
    assert "`adopt` takes it over" in refused.stderr
    adopted = run(seal="adopt")
    assert adopted.returncode == 0, adopted.stderr
    assert run().returncode == 0


def test_a_run_reads_encrypted_settings(run: Run, vault: VaultServer) -> None:
    value = encrypted(vault, CASH, "goalkick-config")
    done = run(execution={"initial_cash": value})
    assert done.returncode == 0, done.stderr
    assert '"event": "stopped"' in done.stdout or '"event":"stopped"' in done.stdout
