"""How Kafka is reached, for every client of ours: who we are, and what is wrong if it fails."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from goalkick.common.adapters.log.tls import RotatingContext
from goalkick.common.adapters.secrets.env import EnvSecrets
from goalkick.common.adapters.secrets.file import FileSecrets
from goalkick.common.config.secret import resolve_secrets
from goalkick.common.core.errors import GoalkickError, SettingsError, TransientError
from goalkick.common.runtime.settings import KafkaSettings
from goalkick.common.values.time import NS_PER_MS

MECHANISM = "SCRAM-SHA-512"
"""How a name and a password are shown: neither travels, and the broker keeps only a hash."""

_LEAVE_S = 0.5
"""How long a broker may take to see us off."""

_REFUSED = (SaslAuthenticationFailed, UnsupportedSaslMechanismError, IllegalSaslStateError)


def with_password(settings: KafkaSettings, environ: Mapping[str, str]) -> KafkaSettings:
    """The settings with the password that they refer to, out of a file or a variable.

    Args:
        settings: as they were loaded.
        environ: where secrets `env:NAME` are.

    Raises:
        SettingsError: it is not there, or is kept elsewhere.
    """
    return resolve_secrets(settings, {"env": EnvSecrets(environ), "file": FileSecrets()})


def client_options(settings: KafkaSettings, client: str) -> dict[str, Any]:
    """What every client of aiokafka is made with.

    Args:
        settings: with a resolved password.
        client: name of this process, shown in the broker's logs.

    Raises:
        SettingsError: a file of certificates cannot be used, or nobody resolved the password.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": client,
        "security_protocol": settings.security_protocol.upper(),
    }
    if settings.security_protocol != "plaintext":
        options["ssl_context"] = RotatingContext(
            settings.ca_file, settings.certificate_file, settings.key_file
        )
    if settings.password is not None:
        options["sasl_mechanism"] = MECHANISM
        options["sasl_plain_username"] = settings.username
        options["sasl_plain_password"] = settings.password.reveal()
    return options


def who(settings: KafkaSettings) -> str:
    """Who we are to the broker, for messages."""
    if settings.username is not None:
        return f"User:{settings.username}"
    if settings.certificate_file is not None:
        return f"the holder of {settings.certificate_file}"
    return "User:ANONYMOUS"


@contextlib.asynccontextmanager
async def connected(settings: KafkaSettings, client: str) -> AsyncIterator[AIOKafkaConnection]:
    """A connection to the first broker that takes us.

    Raises:
        SettingsError: a broker is there and does not let us in; says why.
        TransientError: none is there.
    """
    connection = await _connect(settings, client)
    try:
        yield connection
    finally:
        await _end(connection)


async def _connect(settings: KafkaSettings, client: str) -> AIOKafkaConnection:
    options = client_options(settings, client)
    servers = options.pop("bootstrap_servers").split(",")
    failures: list[GoalkickError] = []
    for server in map(str.strip, servers):
        host, _, port = server.rpartition(":")
        if not host or not port.isdecimal():
            raise SettingsError(
                f"runtime.kafka.bootstrap_servers: expected host:port, found {server!r}"
            )
        connection = AIOKafkaConnection(
            host.strip("[]"),
            int(port),
            request_timeout_ms=settings.request_timeout // NS_PER_MS,
            **options,
        )
        try:
            await connection.connect()
        except KafkaError as error:
            await _end(connection)
            failures.append(_meaning(error, settings, server))
        except (OSError, TimeoutError) as error:
            failures.append(_meaning(error, settings, server))
        else:
            return connection
    refused = [failure for failure in failures if isinstance(failure, SettingsError)]
    raise (refused or failures)[0]


async def _end(connection: AIOKafkaConnection) -> None:
    """Closes it and sees it closed: TLS takes its leave."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(connection.close(), _LEAVE_S)


async def explained(settings: KafkaSettings, client: str, error: Exception) -> GoalkickError:
    """Why a client could not start: aiokafka says only that no broker would have it."""
    try:
        async with connected(settings, client):
            pass
    except GoalkickError as found:
        return found
    return TransientError(
        f"Kafka: expected a broker at {settings.bootstrap_servers}, found: {error}"
    )


def _meaning(error: Exception, settings: KafkaSettings, server: str) -> GoalkickError:
    protocol = settings.security_protocol
    if isinstance(error, _REFUSED):
        return SettingsError(
            f"Kafka at {server}: expected it to let in {who(settings)} by {MECHANISM}, found: "
            f"{error.args[0] if error.args else error}; see runtime.kafka.username and password"
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return SettingsError(
            f"Kafka at {server}: expected a certificate of that host that runtime.kafka.ca_file "
            f"vouches for, found: {error.verify_message}"
        )
    if isinstance(error, ssl.SSLError):
        return SettingsError(
            f"Kafka at {server}: expected it to speak TLS with us (runtime.kafka."
            f"security_protocol is {protocol}), found: {error.reason or error}"
        )
    found: object = error
    if isinstance(error, TimeoutError):
        found = "no answer in time"
    elif isinstance(error, KafkaError):
        found = (
            f"that it hangs up on {protocol}: another runtime.kafka.security_protocol, or a "
            f"client's certificate, may be asked for ({error})"
        )
    return TransientError(f"Kafka: expected a broker at {server}, found: {found}")
