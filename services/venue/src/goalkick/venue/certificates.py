"""Certificates of the venue's own authority, for clients that insist on TLS."""

import ssl
from collections.abc import Sequence
from pathlib import Path

import trustme

CA_FILE = "ca.pem"


def make_tls(folder: Path, names: Sequence[str]) -> ssl.SSLContext:
    """Makes an authority and a server certificate, and writes the authority's for clients.

    The keys stay in memory and end with the process: an authority that is found in a folder has
    nothing left to sign with.

    Args:
        folder: where `ca.pem` is written; made if it is missing.
        names: host names and addresses that the certificate is for.

    Returns:
        The context of a server.
    """
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    folder.mkdir(parents=True, exist_ok=True)
    authority.cert_pem.write_to_path(folder / CA_FILE)
    return context
