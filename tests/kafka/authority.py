"""Certificates of a test: one authority, and what it vouches for, as PEM files."""

import datetime
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


@dataclass(frozen=True)
class Identity:
    """Files of one certificate.

    Attributes:
        certificate: with its chain.
        key: PKCS#8, which Kafka wants.
        store: both in one file.
    """

    certificate: Path
    key: Path
    store: Path


class Authority:
    """Vouches for brokers on loopback and for clients.

    Attributes:
        file: its own certificate.
    """

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def identity(self, name: str, *, ends: datetime.datetime | None = None) -> Identity:
        """A certificate for loopback whose common name is `name`; the old files are replaced."""
        made = self._ca.issue_cert("localhost", "127.0.0.1", common_name=name, not_after=ends)
        raw = made.private_key_pem.bytes()
        key = load_pem_private_key(raw, password=None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        chain = b"".join(blob.bytes() for blob in made.cert_chain_pems)
        files = Identity(*(self._folder / f"{name}.{end}" for end in ("crt", "key", "pem")))
        for path, content in (
            (files.certificate, chain), (files.key, key), (files.store, key + chain)
        ):  # fmt: skip
            part = path.with_suffix(f"{path.suffix}.part")
            part.write_bytes(content)
            part.replace(path)
        return files
