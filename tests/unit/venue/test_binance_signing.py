"""Signatures: Binance's published examples, and every byte that is changed."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from goalkick.venue.accounts import ApiKey
from goalkick.venue.binance.signing import pairs, rest_payload, sign, verify, ws_payload

EXAMPLE = ApiKey(
    key="vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
    secret="NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j",
    account="main",
)
"""The key pair of the examples in Binance's documentation."""

REST = (
    "&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000"
    "&timestamp=1499827319559"
)


@pytest.mark.parametrize(
    ("symbol", "signature"),
    [
        ("LTCBTC", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
        (
            "%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96",
            "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
        ),
    ],
)
def test_signs_as_the_published_examples_do(symbol: str, signature: str) -> None:
    payload = f"symbol={symbol}{REST}"
    assert verify(EXAMPLE, payload, signature)
    assert verify(EXAMPLE, payload, signature.upper()), "HMAC is not case-sensitive"
    assert not verify(EXAMPLE, payload + "0", signature)


@pytest.mark.parametrize(
    ("query", "body", "payload"),
    [
        ("a=1&signature=ff", "", "a=1"),
        ("", "a=1&b=%20&signature=ff", "a=1&b=%20"),
        ("a=1", "b=2&signature=ff", "a=1b=2"),
        ("signature=ff&a=1", "b=2", "a=1b=2"),
        ("signatures=1&signature=ff", "", "signatures=1"),
    ],
)
def test_signed_is_what_was_sent_without_the_signature(query: str, body: str, payload: str) -> None:
    assert rest_payload(query, body) == payload


def test_parameters_are_decoded_only_after_signing() -> None:
    assert pairs("a=%5B%22B%22%5D&b=&c+d=e+f") == [("a", '["B"]'), ("b", ""), ("c d", "e f")]


def test_websocket_requests_sign_their_parameters_by_name() -> None:
    params = {"timestamp": "1", "apiKey": "k", "signature": "s", "symbol": "币安人生USDT"}
    assert ws_payload(params) == "apiKey=k&symbol=币安人生USDT&timestamp=1"


def _pem(private: object) -> str:
    public = private.public_key()  # type: ignore[attr-defined]
    return str(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def test_ed25519_and_rsa_keys_check_their_own_signatures_only() -> None:
    ed, rsa = Ed25519PrivateKey.generate(), generate_private_key(65_537, 2_048)
    payload = "symbol=BTCUSDT&timestamp=1"
    signed = {
        _pem(ed): base64.b64encode(ed.sign(payload.encode())).decode(),
        _pem(rsa): base64.b64encode(rsa.sign(payload.encode(), PKCS1v15(), SHA256())).decode(),
    }
    for pem, signature in signed.items():
        key = ApiKey(key="k", account="main", public_key=pem)
        assert verify(key, payload, signature)
        assert not verify(key, payload + "0", signature)
        assert not verify(key, payload, "no base64!")
        assert not verify(key, payload, base64.b64encode(b"short").decode())
        assert not verify(key, payload, sign("", payload)), "an HMAC does not do"


@given(st.text(), st.text(min_size=1), st.integers(0))
def test_no_changed_payload_has_the_same_signature(payload: str, more: str, at: int) -> None:
    payload = payload.encode("utf-8", "replace").decode()
    more = more.encode("utf-8", "replace").decode()
    place = at % (len(payload) + 1)
    signature = sign(EXAMPLE.secret, payload)
    assert verify(EXAMPLE, payload, signature)
    assert not verify(EXAMPLE, payload[:place] + more + payload[place:], signature)
