"""The venue's own authority: a client that trusts it reaches the names it is for, no others."""

import ssl
from pathlib import Path

import pytest

from goalkick.venue.certificates import CA_FILE, make_tls


def shake_hands(server: ssl.SSLContext, ca: Path, name: str) -> None:
    """A TLS handshake in memory."""
    client = ssl.create_default_context(cafile=str(ca))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    left = client.wrap_bio(to_client, to_server, server_hostname=name)
    right = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [left, right]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                pass
    assert not waiting


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "demo-api"])
def test_a_client_that_trusts_the_file_connects(name: str, tmp_path: Path) -> None:
    server = make_tls(tmp_path / "new" / "folder", ["localhost", "127.0.0.1", "demo-api"])
    shake_hands(server, tmp_path / "new" / "folder" / CA_FILE, name)


def test_another_name_is_refused(tmp_path: Path) -> None:
    server = make_tls(tmp_path, ["localhost"])
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server, tmp_path / CA_FILE, "elsewhere")


def test_no_private_key_is_written(tmp_path: Path) -> None:
    make_tls(tmp_path, ["localhost"])
    assert [path.name for path in tmp_path.iterdir()] == [CA_FILE]
    assert "PRIVATE KEY" not in (tmp_path / CA_FILE).read_text()
