"""Encryption by a real server's transit engine: values of the configuration, bytes at rest."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from goalkick.common.adapters.secrets.envelope import Envelope
from goalkick.common.adapters.secrets.sealing import is_sealed
from goalkick.common.adapters.secrets.settings import VaultSettings
from goalkick.common.adapters.secrets.stores import decrypting
from goalkick.common.adapters.secrets.transit import key_version
from goalkick.common.adapters.secrets.troubles import Trouble, VaultError
from goalkick.common.adapters.secrets.vault import VaultSecrets
from goalkick.common.config.secret import MASK, Secret
from goalkick.common.config.settings import Loaded, describe, load
from goalkick.common.config.types import Duration, Exact, Settings
from goalkick.common.core.errors import InvalidDataError, SettingsError
from tests.vault.server import VaultServer
from tests.vault.stores import all_said, opened

pytestmark = pytest.mark.slow


class Risk(Settings):
    limit: Exact = Exact("1")
    wait: Duration = 1
    note: str = "none"
    key: Secret | None = None


class Document(Settings):
    risk: Risk = Risk()


@pytest.fixture(autouse=True, scope="module")
def _keys(dev_vault: VaultServer) -> None:
    for name in ("goalkick-config", "goalkick-config-risk", "goalkick-state-risk"):
        dev_vault.admin.secrets.transit.create_key(name)


@pytest.fixture
def store(dev_vault: VaultServer) -> Iterator[VaultSecrets]:
    with opened(dev_vault) as store:
        yield store


def loaded(tmp_path: Path, server: VaultServer, **risk: str) -> Loaded[Document]:
    """What a file with these values of the section `risk` is read as."""
    token = server.settings().token_file
    lines = [f"  {key}: {value!r}" for key, value in risk.items()]
    file = tmp_path / "goalkick.yaml"
    file.write_text(
        f"vault:\n  address: {server.address}\n  auth: token\n  token_file: {token}\n"
        "  timeout: 1s\n  patience: 0s\nrisk:\n" + "\n".join(lines) + "\n"
    )
    return load(_WithVault, file=file, environ={}, decrypt=decrypting("risk"))


class _WithVault(Document):
    vault: VaultSettings = VaultSettings()


def test_a_text_comes_back(store: VaultSecrets) -> None:
    for text in ("hunter2", "ключ", "a\nb", " padded "):
        ciphertext = store.transit.encrypt(text)
        assert ciphertext.startswith("vault:v")
        assert store.transit.decrypt(ciphertext) == text


def test_an_old_version_decrypts_and_rewraps_to_the_newest(store: VaultSecrets) -> None:
    old = store.transit.encrypt("hunter2")
    version = store.transit.rotate()
    assert version == key_version(old) + 1
    new = store.transit.rewrap(old)
    assert key_version(new) == version
    assert store.transit.decrypt(old) == store.transit.decrypt(new) == "hunter2"


def test_another_keys_ciphertext_is_refused(store: VaultSecrets) -> None:
    other = store.transit.of("goalkick-state-risk").encrypt("hunter2")
    with pytest.raises(SettingsError, match=r"^decrypt transit/goalkick-config: expected a key of"):
        store.transit.decrypt(other)


def test_a_missing_key_is_named(store: VaultSecrets) -> None:
    with pytest.raises(SettingsError, match=r"^rotate transit/no-such-key: expected a key of"):
        store.transit.of("no-such-key").rotate()


def test_the_configuration_decrypts_by_the_services_key_or_that_of_all(
    store: VaultSecrets,
) -> None:
    for key in ("goalkick-config", "goalkick-config-risk"):
        assert store.config.decrypt(store.transit.of(key).encrypt("hunter2")) == "hunter2"


def test_a_reference_may_be_a_ciphertext(store: VaultSecrets) -> None:
    secret = Secret(store.transit.encrypt("hunter2"))
    assert secret.resolve({"vault": store}).reveal() == "hunter2"
    assert "hunter2" not in repr(secret.resolve({"vault": store}))


def test_encrypted_settings_are_read_like_plain_ones_and_never_shown(
    dev_vault: VaultServer, store: VaultSecrets, tmp_path: Path
) -> None:
    made = {
        key: store.transit.encrypt(text)
        for key, text in {"limit": "0.1", "wait": "5m", "note": "hunter2", "key": "h3"}.items()
    }
    found = loaded(tmp_path, dev_vault, **made)
    risk = found.value.risk
    assert (str(risk.limit), risk.wait, risk.note) == ("0.1", 300 * 10**9, "hunter2")
    assert risk.key is not None
    assert risk.key.resolve({}).reveal() == "h3"
    shown = {key: value for key, value, _ in describe(found) if key.startswith("risk.")}
    assert set(shown.values()) == {MASK}


def test_a_wrong_encrypted_value_is_refused_unseen(
    dev_vault: VaultServer, store: VaultSecrets, tmp_path: Path
) -> None:
    ciphertext = store.transit.encrypt("no-number-hunter2")
    with pytest.raises(SettingsError, match=r"^risk\.limit: expected another value") as caught:
        loaded(tmp_path, dev_vault, limit=ciphertext)
    assert "hunter2" not in all_said(caught.value)


def test_a_value_that_no_key_of_ours_made_is_told_by_its_key(
    dev_vault: VaultServer, store: VaultSecrets, tmp_path: Path
) -> None:
    foreign = store.transit.of("goalkick-state-risk").encrypt("hunter2")
    with pytest.raises(SettingsError, match=r"^encrypted value of risk\.note: "):
        loaded(tmp_path, dev_vault, note=foreign)


def test_encrypted_settings_want_vault(vault: VaultServer, tmp_path: Path) -> None:
    vault.admin.secrets.transit.create_key("goalkick-config")
    with opened(vault) as store:
        ciphertext = store.transit.encrypt("hunter2")
    file = tmp_path / "goalkick.yaml"
    file.write_text(f"risk:\n  note: {ciphertext}\n")
    with pytest.raises(SettingsError, match=r"risk\.note: expected a value in the clear"):
        load(Document, file=file, environ={})
    with pytest.raises(SettingsError, match=r"vault\.address: expected where Vault is"):
        load(Document, file=file, environ={}, decrypt=decrypting())


def test_encrypted_settings_are_not_read_while_vault_is_away(
    dev_vault: VaultServer, store: VaultSecrets, tmp_path: Path
) -> None:
    ciphertext = store.transit.encrypt("hunter2")
    dev_vault.pause()
    try:
        with pytest.raises(VaultError, match=r"risk\.note: .* within 1 s") as caught:
            loaded(tmp_path, dev_vault, note=ciphertext)
    finally:
        dev_vault.go_on()
    assert caught.value.trouble is Trouble.SLOW


def test_sealed_bytes_come_back_after_a_restart_of_whoever_sealed(dev_vault: VaultServer) -> None:
    with opened(dev_vault) as store:
        sealed = Envelope(store.transit.of("goalkick-state-risk")).seal(b"state", "risk/main")
    assert is_sealed(sealed)
    assert b"state" not in sealed
    with opened(dev_vault) as store:
        assert (
            Envelope(store.transit.of("goalkick-state-risk")).open(sealed, "risk/main") == b"state"
        )


def test_sealed_bytes_open_only_unchanged_and_as_what_they_are(store: VaultSecrets) -> None:
    envelope = Envelope(store.transit.of("goalkick-state-risk"))
    sealed = envelope.seal(b"state", "risk/main")
    with pytest.raises(InvalidDataError, match=r"^risk/other: expected sealed bytes of its own"):
        envelope.open(sealed, "risk/other")
    with pytest.raises(InvalidDataError, match=r"^risk/main: expected sealed bytes of its own"):
        envelope.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "risk/main")
    for other in (b"", b"plain", sealed[:20]):
        with pytest.raises(InvalidDataError, match=f"^risk/main: .* found {len(other)} others"):
            envelope.open(other, "risk/main")


def test_a_renewed_envelope_takes_another_key_and_opens_the_old(store: VaultSecrets) -> None:
    envelope = Envelope(store.transit.of("goalkick-state-risk"))
    old = envelope.seal(b"state", "risk/main")
    assert envelope.seal(b"state", "risk/main") != old
    envelope.renew()
    new = envelope.seal(b"state", "risk/main")
    assert old[:40] != new[:40]
    assert envelope.open(old, "risk/main") == envelope.open(new, "risk/main") == b"state"
