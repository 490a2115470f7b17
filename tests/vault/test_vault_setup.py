"""`setup` against a real server: idempotent, careful, and what it gives holds in practice."""

from collections.abc import Iterator

import pytest
import trustme

from goalkick.common.adapters.secrets.access import OPERATOR, access_table, policy_name
from goalkick.common.adapters.secrets.policies import policies
from goalkick.common.adapters.secrets.session import VaultSession
from goalkick.common.adapters.secrets.settings import VaultSettings
from goalkick.common.adapters.secrets.setup import Change, Wanted, setup
from goalkick.common.adapters.secrets.transit import Transit
from goalkick.common.adapters.secrets.troubles import Trouble, VaultError
from goalkick.common.core.errors import SettingsError
from goalkick.common.topics import AROUND, SERVICES
from tests.vault.server import VaultServer
from tests.vault.stores import opened

pytestmark = pytest.mark.slow

WANTED = Wanted(
    methods=("kubernetes", "approle"),
    kubernetes_host="https://kubernetes.default.svc",
    kubernetes_ca=trustme.CA().cert_pem.bytes().decode(),
)


@pytest.fixture(scope="module")
def first(dev_vault: VaultServer) -> list[Change]:
    """What the first setup of the module's server changed; all tests come after it."""
    session = VaultSession(dev_vault.settings())
    try:
        looked = setup(session, WANTED, check=True)
        changed = setup(session, WANTED)
    finally:
        session.close()
    assert looked == changed
    return changed


@pytest.fixture
def session(dev_vault: VaultServer, first: list[Change]) -> Iterator[VaultSession]:
    session = VaultSession(dev_vault.settings())
    yield session
    session.close()


def as_who(server: VaultServer, who: str) -> str:
    """A token with the policy of a service, or of the operator, and nothing else."""
    made = server.admin.auth.token.create(policies=[policy_name(who)], no_default_policy=True)
    return str(made["auth"]["client_token"])


def test_a_first_setup_makes_everything_that_is_missing(first: list[Change]) -> None:
    assert {change.found for change in first} == {"missing"}
    assert {change.kind for change in first} == {"login", "key", "policy", "role"}
    made = {change.name for change in first if change.kind == "policy"}
    assert made == set(policies(VaultSettings()))


def test_a_second_setup_changes_nothing(session: VaultSession) -> None:
    assert setup(session, WANTED) == []


def test_what_was_changed_by_hand_is_told_and_put_right(
    dev_vault: VaultServer, session: VaultSession
) -> None:
    dev_vault.admin.sys.create_or_update_policy("goalkick-risk", 'path "*" { capabilities = [] }')
    dev_vault.admin.auth.approle.create_or_update_approle("goalkick-risk", token_ttl="9h")
    wrong = [
        Change("policy", "goalkick-risk", "another text"),
        Change("role", "approle/goalkick-risk", "another token_ttl"),
    ]
    assert setup(session, WANTED, check=True) == wrong
    assert setup(session, WANTED) == wrong
    assert setup(session, WANTED) == []


def test_secrets_and_versions_of_keys_outlive_a_setup(
    dev_vault: VaultServer, session: VaultSession
) -> None:
    dev_vault.put("services/risk/kafka", password="hunter2")
    key = Transit(session, "transit", "goalkick-config")
    version = key.rotate()
    setup(session, WANTED)
    assert key.latest_version() == version
    with opened(dev_vault) as store:
        assert store.read("services/risk/kafka#password") == "hunter2"


@pytest.mark.parametrize(
    ("mount", "made", "wrong"),
    [
        ("old-kv", {"backend_type": "kv", "options": {"version": "1"}}, "found version 1"),
        ("a-transit", {"backend_type": "transit"}, "expected kv in its place, found transit"),
    ],
)
def test_another_engine_in_the_place_is_left_alone(
    dev_vault: VaultServer, mount: str, made: dict[str, object], wrong: str
) -> None:
    dev_vault.admin.sys.enable_secrets_engine(path=mount, **made)
    session = VaultSession(dev_vault.settings(mount=mount))
    with pytest.raises(SettingsError, match=f"{mount}.*{wrong}"):
        setup(session, WANTED)
    session.close()


def test_only_an_administrator_may_set_up(dev_vault: VaultServer, first: list[Change]) -> None:
    session = VaultSession(dev_vault.settings(as_who(dev_vault, OPERATOR)))
    with pytest.raises(VaultError, match="expected a right to it"):
        setup(session, WANTED)
    session.close()


@pytest.mark.parametrize("who", [*SERVICES, *AROUND])
def test_a_service_reads_its_own_paths_and_no_others(
    dev_vault: VaultServer, first: list[Change], who: str
) -> None:
    table = access_table("goalkick-config")
    paths = sorted({path for access in table.values() for path in (*access.reads, *access.writes)})
    with opened(dev_vault, token=as_who(dev_vault, who)) as store:
        for path in paths:
            dev_vault.put(f"{path}/one", key="hunter2")
            if path in table[who].reads:
                assert store.read(f"{path}/one#key") == "hunter2"
                continue
            with pytest.raises(VaultError) as caught:
                store.read(f"{path}/one#key")
            assert caught.value.trouble is Trouble.DENIED


def test_the_operator_writes_a_trading_key_and_cannot_read_it(
    dev_vault: VaultServer, first: list[Change]
) -> None:
    token = as_who(dev_vault, OPERATOR)
    session = VaultSession(dev_vault.settings(token))
    session.ask(
        "write",
        lambda client: client.secrets.kv.v2.create_or_update_secret(
            "venues/trading/binance/main", secret={"key": "hunter2"}, mount_point="goalkick"
        ),
    )
    session.close()
    with opened(dev_vault, token=token) as store, pytest.raises(VaultError) as caught:
        store.read("venues/trading/binance/main#key")
    assert caught.value.trouble is Trouble.DENIED
    with opened(dev_vault, token=as_who(dev_vault, "execution")) as store:
        assert store.read("venues/trading/binance/main#key") == "hunter2"


def test_what_the_operator_encrypts_for_one_service_only_that_one_decrypts(
    dev_vault: VaultServer, first: list[Change]
) -> None:
    with opened(dev_vault, token=as_who(dev_vault, OPERATOR)) as store:
        ciphertext = store.transit.of("goalkick-config-risk").encrypt("hunter2")
        with pytest.raises(VaultError, match="expected a right to it"):
            store.config.decrypt(ciphertext)
    with opened(dev_vault, token=as_who(dev_vault, "risk")) as store:
        assert store.config.decrypt(ciphertext) == "hunter2"
    with opened(dev_vault, token=as_who(dev_vault, "strategy")) as store:
        with pytest.raises((VaultError, SettingsError)) as caught:
            store.config.decrypt(ciphertext)
        assert "hunter2" not in str(caught.value)


def test_a_service_logs_in_by_its_approle(dev_vault: VaultServer, first: list[Change]) -> None:
    admin = dev_vault.admin.auth.approle
    file = dev_vault.folder / "secret-id-of-ingest"
    file.write_text(admin.generate_secret_id("goalkick-ingest")["data"]["secret_id"])
    role_id = admin.read_role_id("goalkick-ingest")["data"]["role_id"]
    dev_vault.put("venues/market/binance", key="hunter2")
    words = {"auth": "approle", "role_id": role_id, "secret_id_file": file}
    with opened(dev_vault, **words) as store:
        assert store.read("venues/market/binance#key") == "hunter2"
