"""`goalkick vault setup|render` and `goalkick secrets encrypt|rewrap|rotate|check`."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from goalkick.common.adapters.secrets.policies import files
from goalkick.common.adapters.secrets.settings import VaultSettings
from goalkick.common.adapters.secrets.transit import key_version
from goalkick.common.config.secret import Secret
from goalkick.common.runtime.settings import KafkaSettings
from goalkick.embedded.cli import app
from goalkick.embedded.safe import with_secrets
from tests.vault.server import VaultServer
from tests.vault.stores import opened

pytestmark = pytest.mark.slow

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    for name in ("aiokafka", "asyncio", "uvicorn"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


@pytest.fixture
def run(vault: VaultServer, tmp_path: Path) -> Run:
    """Runs `goalkick` with a configuration that reaches the server as its administrator."""
    config = tmp_path / "goalkick.yaml"
    settings = vault.settings()
    config.write_text(
        f"vault:\n  address: {settings.address}\n  ca_file: {settings.ca_file}\n  auth: token\n"
        f"  token_file: {settings.token_file}\nsecrets:\n  allow: [file, vault]\n"
    )

    def run(*words: str, said: str | None = None, add: str = "") -> Result:
        if add:
            config.write_text(config.read_text() + add)
        return CliRunner().invoke(app, [*words, "--config", str(config)], input=said)

    return run


@pytest.fixture(autouse=True)
def _set_up(vault: VaultServer, run: Run) -> None:
    assert run("vault", "setup", "--method", "approle").exit_code == 0


def test_setup_says_what_differs_and_then_nothing(vault: VaultServer, run: Run) -> None:
    words = ("vault", "setup", "--method", "approle")
    vault.admin.sys.create_or_update_policy("goalkick-risk", 'path "x" { capabilities = [] }')
    looked = run(*words, "--check", "--json")
    assert looked.exit_code == 1
    change = {"kind": "policy", "name": "goalkick-risk", "found": "another text"}
    assert json.loads(looked.stdout) == [change]
    done = run(*words)
    assert done.exit_code == 0
    assert "goalkick-risk" in done.stdout
    again = run(*words, "--check")
    assert (again.exit_code, again.stdout) == (0, "nothing differs\n")


def test_setup_takes_policies_out_of_files(vault: VaultServer, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "mine.hcl").write_text('path "x" { capabilities = ["read"] }\n')
    words = ("vault", "setup", "--method", "approle", "--policies", str(folder))
    assert run(*words).exit_code == 0
    assert 'path "x"' in vault.admin.sys.read_policy("mine")["data"]["rules"]


def test_setup_takes_the_authority_of_a_cluster_out_of_a_file(vault: VaultServer, run: Run) -> None:
    assert vault.ca_file is not None
    words = ("vault", "setup", "--kubernetes-host", "https://kubernetes.default.svc")
    assert run(*words, "--kubernetes-ca", str(vault.ca_file)).exit_code == 0
    assert run(*words, "--kubernetes-ca", str(vault.ca_file), "--check").exit_code == 0


def test_vault_that_is_away_is_told_in_one_line(vault: VaultServer, run: Run) -> None:
    vault.kill()
    try:
        result = run("vault", "setup")
    finally:
        vault.start_again()
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "expected Vault at" in result.stderr
    assert vault.token not in result.output


def test_a_login_method_that_is_none_is_refused(run: Run) -> None:
    result = run("vault", "setup", "--method", "ldap")
    assert result.exit_code == 2
    assert "expected kubernetes or approle, found 'ldap'" in result.stderr.replace("\n", " ")


def test_render_writes_what_is_in_the_repository(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("vault", "render", "--out", str(out)).exit_code == 0
    written = {
        str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()
    }
    assert written == files(VaultSettings(), "goalkick")


@pytest.mark.parametrize("service", ["", "risk"])
def test_a_value_from_standard_input_is_encrypted(
    vault: VaultServer, run: Run, service: str
) -> None:
    option = ("--service", service) if service else ()
    result = run("secrets", "encrypt", *option, said="hunter2\n")
    assert result.exit_code == 0
    assert "hunter2" not in result.output
    key = f"goalkick-config-{service}" if service else "goalkick-config"
    with opened(vault) as store:
        assert store.transit.of(key).decrypt(result.stdout.strip()) == "hunter2"


@pytest.mark.parametrize(
    ("words", "said", "wrong"),
    [((), "", "expected a value on standard input"), (("--service", "bank"), "x", "found 'bank'")],
)
def test_nothing_and_for_nobody_is_not_encrypted(
    run: Run, words: tuple[str, ...], said: str, wrong: str
) -> None:
    result = run("secrets", "encrypt", *words, said=said)
    assert result.exit_code == 2
    assert wrong in result.stderr


def test_rotate_and_rewrap_renew_values_and_nothing_else(
    vault: VaultServer, run: Run, tmp_path: Path
) -> None:
    old = run("secrets", "encrypt", said="hunter2").stdout.strip()
    file = tmp_path / "values.yaml"
    file.write_text(f"# why\nrisk:\n  note: {old}  # here\n")
    file.chmod(0o640)
    rotated = json.loads(run("secrets", "rotate", "--json").stdout)
    assert rotated == {"key": "goalkick-config", "version": key_version(old) + 1}
    assert run("secrets", "rewrap", str(file)).stdout.endswith("values.yaml: 1 values renewed\n")
    text = file.read_text()
    new = text.split()[4]
    assert key_version(new) == rotated["version"]
    assert text == f"# why\nrisk:\n  note: {new}  # here\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert run("secrets", "rewrap", str(file)).stdout.endswith("values.yaml: 0 values renewed\n")


def test_check_tells_of_each_secret_whether_it_is_there(vault: VaultServer, run: Run) -> None:
    vault.put("venues/trading/main", key="hunter2")
    ciphertext = run("secrets", "encrypt", said="hunter3").stdout.strip()
    well = (
        "execution:\n  venue:\n    key: vault:venues/trading/main#key\n"
        f"risk:\n  note: {ciphertext}\n"
    )
    result = run("secrets", "check", "--json", add=well)
    assert result.exit_code == 0, result.output
    assert "hunter" not in result.output
    assert [(one["key"], one["wrong"]) for one in json.loads(result.stdout)] == [
        ("execution.venue.key", ""),
        ("risk.note", ""),
    ]
    ill = "strategy:\n  one: vault:no/such#key\n  two: env:HOME\n"
    result = run("secrets", "check", "--json", add=ill)
    assert result.exit_code == 1
    wrong = {one["key"]: one["wrong"] for one in json.loads(result.stdout) if one["wrong"]}
    assert set(wrong) == {"strategy.one", "strategy.two"}
    assert "vault:no/such: expected a path" in wrong["strategy.one"]
    assert "expected a store that secrets.allow names" in wrong["strategy.two"]


def test_doctor_says_whether_vault_lets_us_in(vault: VaultServer, run: Run) -> None:
    done = run("doctor")
    assert re.search(rf"vault +ok +{re.escape(vault.address)}", done.output)
    vault.seal()
    try:
        done = run("doctor")
    finally:
        vault.unseal()
    assert re.search(r"vault +BROKEN", done.output)
    assert "sealed" in done.output


def test_without_vault_the_doctor_does_not_speak_of_it() -> None:
    assert "vault" not in CliRunner().invoke(app, ["doctor"]).output


def test_kafkas_password_comes_out_of_vault(vault: VaultServer, run: Run, tmp_path: Path) -> None:
    vault.put("services/execution/kafka", password="hunter2")
    reference = Secret("vault:services/execution/kafka#password")
    kafka = KafkaSettings(security_protocol="sasl_ssl", username="execution", password=reference)
    resolved = with_secrets(kafka, tmp_path / "goalkick.yaml")
    assert resolved.password is not None
    assert resolved.password.reveal() == "hunter2"
    assert "hunter2" not in repr(resolved)
