"""The Kafka that commands reach, and what several of them do the same about it."""

# ruff: noqa: PLC0415 (see the package's text)

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from goalkick.common.runtime.settings import KafkaSettings

Deployments = Annotated[
    list[str] | None,
    typer.Option(
        "--deployment",
        metavar="NAME...",
        help="strategy services beside the first one, which have topics and rights of their own",
    ),
]


def configured_kafka(config: Path | None) -> "KafkaSettings":
    """The broker as it is configured, with our password at it.

    Raises:
        SettingsError: the settings cannot be used, or the password cannot be had.
        TransientError: Vault did not give it.
    """
    from goalkick.embedded.configuration import load_settings
    from goalkick.embedded.safe import with_secrets

    return with_secrets(load_settings(config).value.runtime.kafka, config)


def keep_the_client_quiet() -> None:
    """What goes wrong is told once, by the command, and not by the client, too."""
    import logging

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
