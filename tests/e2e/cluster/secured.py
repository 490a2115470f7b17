"""Prepares a broker with TLS and passwords, and the Secrets by which the chart's pods know it."""

import base64
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from goalkick.common.topics import SERVICES
from tests.e2e.cluster.shell import Release

MANIFEST = Path(__file__).with_name("secured.yaml")
VALUES = Path(__file__).with_name("secured-values.yaml")


def prepare(release: Release, strategies: list[str]) -> str:
    """Starts the broker and waits for it; every workload gets a user of its own."""
    titles = [s for s in SERVICES if s != "strategy"]
    titles += ["topics", *(f"strategy-{name}" for name in strategies)]
    passwords = {f"goalkick-{title}": secrets.token_hex(16) for title in titles}
    authority = trustme.CA()
    certificate = authority.issue_cert("secured-kafka")
    # Kafka reads keys in the form PKCS#8 alone.
    key = load_pem_private_key(certificate.private_key_pem.bytes(), password=None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    store = b"".join([key, *(blob.bytes() for blob in certificate.cert_chain_pems)])
    _secret(release, "kafka-cluster-ca-cert", {"ca.crt": authority.cert_pem.bytes()})
    _secret(release, "secured-kafka", {"store.pem": store})
    _secret(release, "secured-kafka-users", {n: p.encode() for n, p in passwords.items()})
    for name, password in passwords.items():
        _secret(release, name, {"password": password.encode()})
    release.kubectl("apply", "-f", "-", stdin=MANIFEST.read_text())
    release.kubectl("wait", "pod/secured-kafka", "--for=condition=Ready", "--timeout=90s")
    return f"{len(passwords)} users"


def _secret(release: Release, name: str, values: Mapping[str, bytes]) -> None:
    made = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "data": {key: base64.b64encode(value).decode() for key, value in values.items()},
    }
    release.kubectl("apply", "-f", "-", stdin=json.dumps(made))
