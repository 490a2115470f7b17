"""How a job beside the services, such as those of the charts, reaches Kafka."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import yaml

from goalkick.common.adapters.log.connection import with_password
from goalkick.common.config.settings import load
from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.runtime.service import ServiceSettings
from goalkick.common.runtime.settings import KafkaSettings

VARIABLE = "PLATFORM"
"""Holds the section `runtime` as YAML: a job has no file of its own."""
PATIENCE_S = 240.0
"""How long a job waits for a broker that comes beside it; its Job ends it a little later."""
_PAUSE_S = 0.5

Answer = TypeVar("Answer")


def platform(environ: Mapping[str, str]) -> KafkaSettings:
    """How Kafka is reached, by the variable PLATFORM; a password is read from its file.

    Args:
        environ: variables of the process.

    Raises:
        SettingsError: the variable is missing or says what cannot be, or there is no password.
    """
    try:
        said = yaml.safe_load(environ.get(VARIABLE, ""))
    except yaml.YAMLError as error:
        raise SettingsError(f"{VARIABLE}: expected YAML, found: {error}") from None
    if not isinstance(said, dict):
        raise SettingsError(
            f"{VARIABLE}: expected the section `runtime` as YAML, found {type(said).__name__}"
        )
    loaded = load(ServiceSettings, file=None, environ=environ, overrides=said)
    return with_password(loaded.value.runtime.kafka, environ)


async def once_reachable(
    ask: Callable[[], Awaitable[Answer]], *, patience_s: float = PATIENCE_S
) -> Answer:
    """What a broker answers, asked again until it is there.

    Args:
        ask: asks it.
        patience_s: seconds after which it is not asked again.

    Raises:
        TransientError: it was not there in time.
        SettingsError: it is there, and cannot do what is asked.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + patience_s
    while True:
        try:
            return await ask()
        except TransientError:
            if loop.time() > until:
                raise
            await asyncio.sleep(_PAUSE_S)
