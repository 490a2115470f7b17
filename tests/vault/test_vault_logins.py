"""Logins at a real server: made, renewed before their end, made anew after it, ended."""

import pytest

from goalkick.common.adapters.secrets.troubles import Trouble, VaultError
from goalkick.common.core.errors import SettingsError
from tests.vault.server import VaultServer
from tests.vault.stores import READS, SetClock, all_said, opened

pytestmark = pytest.mark.slow

HOUR_S = 3600


@pytest.fixture(autouse=True)
def _held(dev_vault: VaultServer) -> None:
    dev_vault.put("held", key="hunter2")


def test_a_token_out_of_a_file_reads(dev_vault: VaultServer) -> None:
    with opened(dev_vault, token=dev_vault.token_for(READS)) as store:
        assert store.read("held#key") == "hunter2"
        assert store.session.logins == 1


def test_an_approle_reads_and_logs_out_in_the_end(dev_vault: VaultServer) -> None:
    words = dev_vault.approle("one", READS)
    before = dev_vault.accessors()
    with opened(dev_vault, **words) as store:
        assert store.read("held#key") == "hunter2"
        assert len(dev_vault.accessors() - before) == 1
    assert dev_vault.accessors() == before


def test_a_token_of_somebody_else_is_not_revoked(dev_vault: VaultServer) -> None:
    token = dev_vault.token_for(READS)
    for _ in range(2):
        with opened(dev_vault, token=token) as store:
            assert store.read("held#key") == "hunter2"


def test_a_login_is_renewed_before_it_ends(dev_vault: VaultServer) -> None:
    clock = SetClock()
    with opened(dev_vault, clock, **dev_vault.approle("renewed", READS, token_ttl="1h")) as store:
        store.read("held#key")
        assert 0 < store.session.renew_in_s() < HOUR_S
        clock.now_s += store.session.renew_in_s() - 1
        store.tend()
        assert (store.session.logins, store.session.renewals) == (1, 0)
        clock.now_s += 1
        store.tend()
        assert (store.session.logins, store.session.renewals) == (1, 1)
        assert store.session.renew_in_s() == pytest.approx(0.6 * HOUR_S, rel=0.01)


def test_a_login_that_ended_unattended_is_made_anew_before_the_next_question(
    dev_vault: VaultServer,
) -> None:
    clock = SetClock()
    dev_vault.put("after", key="hunter3")
    with opened(dev_vault, clock, **dev_vault.approle("ended", READS, token_ttl="1h")) as store:
        store.read("held#key")
        clock.now_s += HOUR_S
        assert store.read("after#key") == "hunter3"
        assert store.session.logins == 2


def test_a_login_that_cannot_be_renewed_is_made_anew(dev_vault: VaultServer) -> None:
    clock = SetClock()
    words = dev_vault.approle("batch", READS, token_type="batch", token_ttl="1h")
    with opened(dev_vault, clock, **words) as store:
        store.read("held#key")
        clock.now_s += store.session.renew_in_s()
        store.tend()
        assert (store.session.logins, store.session.renewals) == (2, 0)


def test_a_revoked_login_is_made_anew_at_the_next_question(dev_vault: VaultServer) -> None:
    words = dev_vault.approle("revoked", READS)
    before = dev_vault.accessors()
    with opened(dev_vault, **words) as store:
        store.read("held#key")
        for accessor in dev_vault.accessors() - before:
            dev_vault.admin.auth.token.revoke_accessor(accessor)
        dev_vault.put("other", key="hunter3")
        assert store.read("other#key") == "hunter3"
        assert store.session.logins == 2


def test_a_fresh_token_in_the_file_is_taken_when_the_old_one_ends(dev_vault: VaultServer) -> None:
    old, new = dev_vault.token_for(READS), dev_vault.token_for(READS)
    with opened(dev_vault, token=old) as store:
        store.read("held#key")
        dev_vault.admin.auth.token.revoke(old)
        dev_vault.put("later", key="hunter3")
        file = store.session.settings.token_file
        assert file is not None
        file.write_text(new)
        assert store.read("later#key") == "hunter3"


def test_an_expired_token_is_told_without_being_shown(dev_vault: VaultServer) -> None:
    token = dev_vault.token_for(READS)
    dev_vault.admin.auth.token.revoke(token)
    with opened(dev_vault, token=token) as store:
        with pytest.raises(VaultError, match="expected a valid token, found that Vault") as caught:
            store.read("held#key")
        assert caught.value.trouble is Trouble.EXPIRED
        assert str(store.session.settings.token_file) in str(caught.value)
        assert token not in all_said(caught.value)


def test_a_wrong_secret_id_is_told_without_being_shown(dev_vault: VaultServer) -> None:
    words = dev_vault.approle("wrong", READS)
    words["secret_id_file"].write_text("not-the-secret-id")
    with opened(dev_vault, **words) as store:
        with pytest.raises(VaultError, match=r"expected Vault at .* to accept our login") as caught:
            store.read("held#key")
        assert caught.value.trouble is Trouble.LOGIN
        assert "not-the-secret-id" not in all_said(caught.value)


def test_a_file_that_is_no_token_is_refused_unseen(dev_vault: VaultServer) -> None:
    with opened(dev_vault, token="two words") as store:
        with pytest.raises(SettingsError, match="expected one line with a token") as caught:
            store.read("held#key")
        assert "two words" not in all_said(caught.value)


def test_a_login_method_that_is_not_there_is_told(dev_vault: VaultServer) -> None:
    words = {**dev_vault.approle("lost", READS), "auth_mount": "elsewhere"}
    with opened(dev_vault, **words) as store:
        with pytest.raises(VaultError) as caught:
            store.read("held#key")
        assert caught.value.trouble is Trouble.LOGIN
