"""A TLS context that follows its files: who renews a certificate restarts nothing.

Connections that stand keep what they were made with; the next one is made with what the files
hold then.
"""

import ssl
from pathlib import Path
from typing import Any, Self

import structlog

from goalkick.common.core.errors import SettingsError

log = structlog.get_logger()

_Stamp = tuple[tuple[int, int, int], ...]
"""What tells one state of the files from another: time of change, inode and size of each."""


class RotatingContext(ssl.SSLContext):
    """Looks at its files before each connection, and reads them again if they changed.

    Files that cannot be used (the certificate is new, its key is not there yet) leave the context
    as it was, with a warning; the next connection looks again.
    """

    def __new__(cls, *_: object) -> Self:
        """A client's context: host names are checked, certificates are required."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, ca: Path | None, certificate: Path | None, key: Path | None) -> None:
        """Reads the files.

        Args:
            ca: PEM of the authorities that vouch for the broker; None: the system's.
            certificate: PEM of our certificate and its chain; None: we show none.
            key: PEM of its private key; None: it stands in the file of the certificate.

        Raises:
            SettingsError: a file cannot be read or used.
        """
        self._ca, self._certificate, self._key = ca, certificate, key
        self._stamp = self._look()
        self._now = self._read()

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """A connection's TLS, by the files as they are now; see `ssl.SSLContext.wrap_bio`."""
        return self._current().wrap_bio(*arguments, **options)

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        """The same for a socket; see `ssl.SSLContext.wrap_socket`."""
        return self._current().wrap_socket(*arguments, **options)

    def _current(self) -> ssl.SSLContext:
        try:
            stamp = self._look()
            if stamp != self._stamp:
                self._now = self._read()
                self._stamp = stamp
                log.info("kafka certificates read again")
        except SettingsError as error:
            log.warning("goes on with the kafka certificates it has", reason=str(error))
        return self._now

    def _look(self) -> _Stamp:
        found = []
        for name, path in self._files():
            try:
                status = path.stat()
            except OSError as error:
                raise SettingsError(
                    f"runtime.kafka.{name}: expected a file {path}, found {error.strerror}"
                ) from None
            found.append((status.st_mtime_ns, status.st_ino, status.st_size))
        return tuple(found)

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            if self._ca is None:
                context.load_default_certs()
            else:
                context.load_verify_locations(self._ca)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"runtime.kafka.ca_file: expected PEM certificates in {self._ca}, found {error}"
            ) from None
        if self._certificate is not None:
            try:
                # Without a password a locked key would ask for one on the terminal.
                context.load_cert_chain(self._certificate, self._key, password="")
            except (OSError, ssl.SSLError, ValueError) as error:
                raise SettingsError(
                    "runtime.kafka.certificate_file: expected a PEM certificate in "
                    f"{self._certificate} and its key, without a password, in "
                    f"{self._key or self._certificate}, found {error}"
                ) from None
        return context

    def _files(self) -> list[tuple[str, Path]]:
        named = {
            "ca_file": self._ca,
            "certificate_file": self._certificate,
            "key_file": self._key,
        }
        return [(name, path) for name, path in named.items() if path is not None]
