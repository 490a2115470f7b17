"""A real server that is down, sealed, slow, not trusted or refuses: plain words, and no secret.

What is held is used on until its lease ends, and not a moment longer.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from goalkick.common.adapters.secrets.troubles import Trouble, VaultError
from goalkick.common.adapters.secrets.vault import VaultSecrets
from goalkick.common.core.errors import SettingsError
from goalkick.common.telemetry import names
from goalkick.common.telemetry.metrics import Metrics, new_registry
from goalkick.common.telemetry.names import GaugeMetric
from goalkick.common.values.time import NS_PER_SECOND
from tests.vault.server import VaultServer
from tests.vault.stores import LEASE_S, READS, REFRESH_S, SetClock, all_said, opened

pytestmark = pytest.mark.slow

Act = Callable[[VaultServer], None]

AWAY: list[tuple[Act, Act, Trouble, str]] = [
    (
        VaultServer.kill,
        VaultServer.start_again,
        Trouble.DOWN,
        "expected Vault at {where} to answer, found nobody there",
    ),
    (
        VaultServer.seal,
        VaultServer.unseal,
        Trouble.SEALED,
        "expected Vault at {where} to be unsealed, found it sealed",
    ),
    (
        VaultServer.pause,
        VaultServer.go_on,
        Trouble.SLOW,
        "expected Vault at {where} to answer within 1 s, found no answer",
    ),
]
QUICK: dict[str, Any] = {"timeout": NS_PER_SECOND}
"""For those that wait for a timeout."""

NAMES = [trouble.value for _, _, trouble, _ in AWAY]


@pytest.fixture(autouse=True)
def _held(vault: VaultServer) -> None:
    vault.put("held", key="hunter2")


@pytest.fixture
def token(vault: VaultServer) -> str:
    return vault.token_for(READS)


@pytest.mark.parametrize(("leave", "come", "trouble", "words"), AWAY, ids=NAMES)
def test_away_at_the_start_is_told_in_plain_words(
    vault: VaultServer, token: str, leave: Act, come: Act, trouble: Trouble, words: str
) -> None:
    with opened(vault, token=token, **QUICK) as store:
        leave(vault)
        try:
            with pytest.raises(VaultError) as caught:
                store.read("held#key")
        finally:
            come(vault)
        assert words.format(where=vault.address) in str(caught.value)
        assert caught.value.trouble is trouble
        assert token not in all_said(caught.value)
        assert store.read("held#key") == "hunter2"
        assert store.fresh() is None


@pytest.mark.parametrize(("leave", "come", "trouble", "words"), AWAY, ids=NAMES)
def test_away_later_what_is_held_is_used_until_its_lease_ends(
    vault: VaultServer, token: str, leave: Act, come: Act, trouble: Trouble, words: str
) -> None:
    clock = SetClock()
    with opened(vault, clock, token=token, **QUICK) as store:
        assert store.read("held#key") == "hunter2"
        leave(vault)
        try:
            clock.now_s += REFRESH_S
            store.tend()
            clock.now_s += LEASE_S - REFRESH_S - 1
            store.tend()
            assert (store.read("held#key"), store.fresh()) == ("hunter2", None)
            clock.now_s += 1
            store.tend()
            why = store.fresh()
            assert why is not None
            assert why.startswith("1 secrets have been over for 0 s: ")
            assert words.format(where=vault.address) in why
            with pytest.raises(VaultError, match="what was held is over and is used no longer"):
                store.read("held#key")
        finally:
            come(vault)
        clock.now_s += 60
        store.tend()
        assert (store.fresh(), store.read("held#key")) == (None, "hunter2")


def test_a_right_that_is_missing_is_told(vault: VaultServer) -> None:
    token = vault.token_for('path "goalkick/data/mine/*" { capabilities = ["read"] }')
    with opened(vault, token=token) as store:
        with pytest.raises(
            VaultError, match=r"^vault:held: expected a right to it, found that Vault at .* denies"
        ) as caught:
            store.read("held#key")
        assert caught.value.trouble is Trouble.DENIED
        assert token not in all_said(caught.value)
        assert store.session.logins == 1


def test_a_right_that_is_withdrawn_ends_with_the_lease(vault: VaultServer) -> None:
    clock = SetClock()
    token = vault.token_for(READS + " # to be withdrawn")
    with opened(vault, clock, token=token) as store:
        store.read("held#key")
        vault.admin.auth.token.revoke(token)
        clock.now_s += REFRESH_S
        store.tend()
        assert store.read("held#key") == "hunter2"
        clock.now_s += LEASE_S - REFRESH_S
        store.tend()
        assert "expected a valid token" in (store.fresh() or "")
        with pytest.raises(VaultError):
            store.read("held#key")


def test_a_certificate_of_another_authority_is_not_trusted(
    vault: VaultServer, token: str, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    with opened(vault, token=token, ca_file=other) as store:
        with pytest.raises(VaultError, match=r"that vault\.ca_file vouches for") as caught:
            store.read("held#key")
        assert caught.value.trouble is Trouble.UNTRUSTED
        assert token not in all_said(caught.value)


def test_an_authority_that_is_not_there_is_named(vault: VaultServer, tmp_path: Path) -> None:
    settings = vault.settings(ca_file=tmp_path / "none.pem")
    with pytest.raises(SettingsError, match=r"vault\.ca_file: expected a file .*none\.pem"):
        VaultSecrets(settings)


def test_vault_that_is_away_is_not_asked_again_before_the_wait_ends(
    vault: VaultServer, token: str
) -> None:
    clock = SetClock()
    registry = new_registry()
    words = vault.settings(token, refresh=NS_PER_SECOND, retry_delay=4 * NS_PER_SECOND)
    words = words.model_copy(update={"max_retry_delay": 4 * NS_PER_SECOND})
    metrics = Metrics(registry, "risk")
    store = VaultSecrets(words, "risk", metrics=metrics, clock=clock, jitter=lambda: 0.0)

    def asked() -> float | None:
        labels = {"service": "risk", "outcome": "down"}
        return registry.get_sample_value("goalkick_vault_calls_total", labels)

    store.read("held#key")
    vault.kill()
    try:
        clock.now_s += 1
        assert store.tend() == 2
        assert asked() == 1
        clock.now_s += 1
        assert store.tend() == 1
        assert asked() == 1
        clock.now_s += 1
        store.tend()
        assert asked() == 2
    finally:
        vault.start_again()
    store.close()


def test_metrics_tell_how_long_vault_is_away(vault: VaultServer, token: str) -> None:
    clock = SetClock()
    registry = new_registry()
    metrics = Metrics(registry, "risk")
    store = VaultSecrets(vault.settings(token), "risk", metrics=metrics, clock=clock)

    def gauge(metric: GaugeMetric) -> float:
        store.tend()
        value = registry.get_sample_value(metric.name, {"service": "risk"})
        assert value is not None
        return value

    store.read("held#key")
    assert gauge(names.VAULT_AWAY_SECONDS) == 0
    assert gauge(names.SECRETS_LEASE_SECONDS) == 900
    vault.kill()
    try:
        clock.now_s += 60
        store.tend()
        clock.now_s += 40
        assert gauge(names.VAULT_AWAY_SECONDS) == 40
        assert gauge(names.SECRETS_LEASE_SECONDS) == 800
        clock.now_s += 800
        assert gauge(names.SECRETS_STALE) == 1
    finally:
        vault.start_again()
    clock.now_s += 60
    assert gauge(names.SECRETS_STALE) == 0
    assert gauge(names.VAULT_AWAY_SECONDS) == 0
    store.close()
