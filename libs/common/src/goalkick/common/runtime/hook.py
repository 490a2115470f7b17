"""How a job beside the services, such as those of the charts, reaches Kafka."""

from collections.abc import Mapping

import yaml

from goalkick.common.adapters.log.connection import with_password
from goalkick.common.config.settings import load
from goalkick.common.core.errors import SettingsError
from goalkick.common.runtime.service import ServiceSettings
from goalkick.common.runtime.settings import KafkaSettings

VARIABLE = "PLATFORM"
"""Holds the section `runtime` as YAML: a job has no file of its own."""


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
