"""Who may do what in Vault, as rendered: the files agree with the table, and it gives little."""

import json
from pathlib import Path

import pytest

from goalkick.common.adapters.secrets.access import OPERATOR, TRADING, access_table
from goalkick.common.adapters.secrets.policies import files
from goalkick.common.adapters.secrets.settings import VaultSettings
from goalkick.common.topics import AROUND, SERVICES, STATE_OF

FOLDER = Path(__file__).parents[3] / "deploy" / "k8s" / "platform" / "vault"
TABLE = access_table("goalkick-config")


def test_the_files_are_what_the_table_renders() -> None:
    """`goalkick vault render --out deploy/k8s/platform/vault` makes them anew."""
    on_disk = {
        str(path.relative_to(FOLDER)): path.read_text()
        for folder in ("policies", "roles")
        for path in (FOLDER / folder).iterdir()
    }
    assert on_disk == files(VaultSettings(), "goalkick")


def test_every_service_and_the_operator_are_in_the_table() -> None:
    assert set(TABLE) == {*SERVICES, *AROUND, OPERATOR}


def test_only_execution_reads_trading_keys() -> None:
    assert [who for who, access in TABLE.items() if TRADING in access.reads] == ["execution"]


def test_whoever_writes_a_secret_does_not_read_it_back() -> None:
    for access in TABLE.values():
        assert not (access.reads and access.writes)
        assert not (access.decrypts and access.manages)


def test_no_service_shares_a_path_or_the_key_of_its_state_with_another() -> None:
    for of in ("reads", "seals"):
        given = [one for access in TABLE.values() for one in getattr(access, of)]
        assert len(given) == len(set(given))
    assert {who for who, access in TABLE.items() if access.seals} == set(STATE_OF)


@pytest.mark.parametrize("who", [*SERVICES, *AROUND])
def test_a_service_may_only_read_and_use_keys(who: str) -> None:
    text = files(VaultSettings(), "goalkick")[f"policies/goalkick-{who}.hcl"]
    given = {
        word
        for line in text.splitlines()
        if line.startswith("path") and "auth/token" not in line
        for word in json.loads(line[line.index("[") : line.index("]") + 1])
    }
    assert given <= {"read", "update"}
    assert "/encrypt/" not in text
    assert "/keys/" not in text


def test_a_role_is_bound_to_its_own_service_account_in_its_namespace() -> None:
    role = json.loads(files(VaultSettings(), "markets")["roles/goalkick-risk.json"])
    assert role["bound_service_account_names"] == ["goalkick-risk"]
    assert role["bound_service_account_namespaces"] == ["markets"]
    assert role["token_policies"] == ["goalkick-risk"]
    assert role["token_no_default_policy"] is True


def test_mounts_and_keys_of_the_settings_are_those_of_the_policies() -> None:
    settings = VaultSettings(mount="kv", transit_mount="crypt", transit_key="conf")
    text = files(settings, "goalkick")["policies/goalkick-execution.hcl"]
    for path in ("kv/data/venues/trading/*", "crypt/decrypt/conf", "crypt/decrypt/conf-execution"):
        assert f'path "{path}"' in text
    assert "goalkick/data" not in text
