"""Logins by service account, as in a cluster: a real server, and a reviewer of tokens."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from goalkick.common.adapters.secrets.session import VaultSession
from goalkick.common.adapters.secrets.setup import Wanted, setup
from goalkick.common.adapters.secrets.troubles import Trouble, VaultError
from tests.vault.reviewer import TokenReviewer
from tests.vault.server import VaultServer
from tests.vault.stores import all_said, opened

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reviewer(dev_vault: VaultServer) -> Iterator[TokenReviewer]:
    reviewer = TokenReviewer()
    session = VaultSession(dev_vault.settings())
    wanted = Wanted(kubernetes_host=reviewer.host, kubernetes_ca=reviewer.ca)
    assert setup(session, wanted)
    assert setup(session, wanted) == []
    session.close()
    dev_vault.put("services/risk/kafka", password="hunter2")
    yield reviewer
    reviewer.close()


def test_a_pod_reads_by_its_service_account(
    dev_vault: VaultServer, reviewer: TokenReviewer, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(reviewer.token("goalkick-risk", "goalkick"))
    with opened(dev_vault, auth="kubernetes", identity_file=file) as store:
        assert store.read("services/risk/kafka#password") == "hunter2"


@pytest.mark.parametrize(
    ("account", "namespace"), [("goalkick-strategy", "goalkick"), ("goalkick-risk", "elsewhere")]
)
def test_a_role_is_not_for_another_account_or_namespace(
    dev_vault: VaultServer, reviewer: TokenReviewer, tmp_path: Path, account: str, namespace: str
) -> None:
    file = tmp_path / "token"
    file.write_text(reviewer.token(account, namespace))
    with opened(dev_vault, auth="kubernetes", identity_file=file) as store:
        with pytest.raises(VaultError, match=r"^login as goalkick-risk: .* refuses it") as caught:
            store.read("services/risk/kafka#password")
        assert caught.value.trouble is Trouble.LOGIN
        assert file.read_text() not in all_said(caught.value)


def test_a_token_that_the_cluster_does_not_know_is_refused(
    dev_vault: VaultServer, reviewer: TokenReviewer, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    # Same claims, another signature.
    file.write_text(f"{reviewer.token('goalkick-risk', 'goalkick')}AA")
    with opened(dev_vault, auth="kubernetes", identity_file=file) as store:
        with pytest.raises(VaultError) as caught:
            store.read("services/risk/kafka#password")
        assert caught.value.trouble is Trouble.LOGIN
