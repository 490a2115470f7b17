"""Signatures: what was signed is what was sent, byte for byte; nothing is encoded anew.

HMAC-SHA256 in hexadecimal, Ed25519 or RSA in base64; which one, the key decides, not the client.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import unquote_plus

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from goalkick.common.core.errors import InvalidDataError
from goalkick.venue.accounts import ApiKey

SIGNATURE = "signature"

Pairs = list[tuple[str, str]]
"""Parameters in the order in which they were sent, decoded."""


def rest_payload(query: str, body: str) -> str:
    """What a REST request signs: query and body as sent, joined, without the signature itself."""
    return _unsigned(query) + _unsigned(body)


def pairs(text: str) -> Pairs:
    """Decodes a query string or a form body; a name without `=` has the value ""."""
    split = (part.partition("=") for part in text.split("&") if part)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in split]


def ws_payload(params: Mapping[str, str]) -> str:
    """What a WebSocket API request signs: all but the signature, by name, not encoded."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params) if name != SIGNATURE)


def sign(secret: str, payload: str) -> str:
    """The HMAC signature of a payload, in lower-case hexadecimal."""
    return hmac.new(secret.encode(), _bytes(payload), hashlib.sha256).hexdigest()


def verify(key: ApiKey, payload: str, signature: str) -> bool:
    """Whether the owner of `key` signed exactly this payload.

    Raises:
        InvalidDataError: the key's public key is of a kind that Binance has not.
    """
    if not key.public_key:
        expected = sign(key.secret, payload)
        return hmac.compare_digest(expected.encode(), _bytes(signature.lower()))
    try:
        raw = base64.b64decode(signature, validate=True)
        _verify_raw(load_pem_public_key(key.public_key.encode()), raw, _bytes(payload))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _verify_raw(public_key: PublicKeyTypes, signature: bytes, payload: bytes) -> None:
    if isinstance(public_key, Ed25519PublicKey):
        public_key.verify(signature, payload)
    elif isinstance(public_key, RSAPublicKey):
        public_key.verify(signature, payload, PKCS1v15(), SHA256())
    else:
        kind = type(public_key).__name__
        raise InvalidDataError(f"expected an Ed25519 or RSA public key, found {kind}")


def _unsigned(text: str) -> str:
    parts: Iterable[str] = text.split("&")
    return "&".join(part for part in parts if part.partition("=")[0] != SIGNATURE)


def _bytes(text: str) -> bytes:
    """The bytes that a text was read from; undecodable ones are kept as surrogates."""
    return text.encode("utf-8", "surrogateescape")
