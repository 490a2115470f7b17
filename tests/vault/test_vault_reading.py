"""References `vault:path#key` against a real server: what is read, and what is refused."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from goalkick.common.adapters.secrets.settings import VaultSettings
from goalkick.common.adapters.secrets.troubles import Trouble, VaultError
from goalkick.common.adapters.secrets.vault import VaultSecrets
from goalkick.common.config.secret import Secret
from goalkick.common.core.errors import SettingsError
from tests.vault.server import VaultServer
from tests.vault.stores import REFRESH_S, SetClock, opened

pytestmark = pytest.mark.slow


def test_a_reference_is_read(dev_vault: VaultServer) -> None:
    dev_vault.put("venues/trading/binance/main", key="hunter2\n", secret="hunter3")
    with opened(dev_vault) as store:
        secret = Secret("vault:venues/trading/binance/main#key").resolve({"vault": store})
        assert secret.reveal() == "hunter2"
        assert store.read("venues/trading/binance/main#secret") == "hunter3"


def test_a_server_with_tls_and_a_seal_is_read_too(vault: VaultServer) -> None:
    vault.put("a/b", key="hunter2")
    with opened(vault) as store:
        assert store.read("a/b#key") == "hunter2"


def test_a_missing_path_is_named(dev_vault: VaultServer) -> None:
    with (
        opened(dev_vault) as store,
        pytest.raises(
            SettingsError, match=r"^vault:no/such: expected a path below goalkick/, found none$"
        ),
    ):
        store.read("no/such#key")


def test_a_missing_key_is_named_with_those_that_are_there(dev_vault: VaultServer) -> None:
    dev_vault.put("some/keys", first="hunter2", second="hunter3")
    wanted = "^vault:some/keys#third: expected a key third, found only: first, second$"
    with opened(dev_vault) as store, pytest.raises(SettingsError, match=wanted):
        store.read("some/keys#third")


def test_a_deleted_version_is_missing(dev_vault: VaultServer) -> None:
    dev_vault.put("gone", key="hunter2")
    dev_vault.admin.secrets.kv.v2.delete_latest_version_of_secret("gone", mount_point="goalkick")
    with opened(dev_vault) as store, pytest.raises(SettingsError, match="vault:gone: expected"):
        store.read("gone#key")


def test_values_that_are_no_texts_are_refused_unseen(dev_vault: VaultServer) -> None:
    dev_vault.admin.secrets.kv.v2.create_or_update_secret(
        "numbers", secret={"pin": 123456}, mount_point="goalkick"
    )
    with (
        opened(dev_vault) as store,
        pytest.raises(SettingsError, match=r"expected values that are texts, found others: pin$"),
    ):
        store.read("numbers#pin")


def test_keys_of_one_path_are_of_one_version_and_one_request(dev_vault: VaultServer) -> None:
    dev_vault.put("pair", key="k1", secret="s1")
    with opened(dev_vault) as store:
        assert store.read("pair#key") == "k1"
        dev_vault.put("pair", key="k2", secret="s2")
        assert store.read("pair#secret") == "s1"
        assert "s1" not in repr(store.current("pair"))


def test_a_new_version_is_seen_at_the_next_refresh_and_told(dev_vault: VaultServer) -> None:
    clock = SetClock()
    told: list[tuple[str, int]] = []
    first = dev_vault.put("turning", key="old")
    with opened(dev_vault, clock) as store:
        store.on_change(lambda path, version: told.append((path, version)))
        assert store.read("turning#key") == "old"
        dev_vault.put("turning", key="new")
        store.tend()
        assert (store.read("turning#key"), told) == ("old", [])
        clock.now_s += REFRESH_S
        store.tend()
        assert (store.read("turning#key"), told) == ("new", [("turning", first + 1)])


def test_a_store_does_not_show_what_it_holds(dev_vault: VaultServer) -> None:
    dev_vault.put("shy", key="hunter2")
    with opened(dev_vault) as store:
        store.read("shy#key")
        seen = repr(store) + repr(vars(store)) + repr(vars(store.session))
        assert "hunter2" not in seen
        assert dev_vault.token not in seen
        assert "hunter2" not in json.dumps(vars(store), default=str)


def test_nothing_is_taken_out_of_variables_by_accident(
    dev_vault: VaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev_vault.put("plain", key="hunter2")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:9")
    monkeypatch.setenv("VAULT_TOKEN", "of-somebody-else")
    with opened(dev_vault) as store:
        assert store.read("plain#key") == "hunter2"


def test_a_token_does_not_follow_a_redirection(dev_vault: VaultServer) -> None:
    dev_vault.put("plain", key="hunter2")
    with redirecting_to(dev_vault.address) as address:
        with opened(dev_vault, address=address) as store, pytest.raises(VaultError) as caught:
            store.read("plain#key")
        assert caught.value.trouble is Trouble.BROKEN


@contextmanager
def redirecting_to(address: str) -> Iterator[str]:
    """An address that sends everybody on to another."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(307)
            self.send_header("Location", f"{address}{self.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_without_an_address_there_is_no_store() -> None:
    with pytest.raises(SettingsError, match=r"vault\.address: expected where Vault is, found none"):
        VaultSecrets(VaultSettings())
