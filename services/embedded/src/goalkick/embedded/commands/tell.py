"""`goalkick tell COMMAND`: what people tell a running platform."""

# ruff: noqa: PLC0415 (see the package's text)

from typing import Annotated

import typer

from goalkick.embedded.commands.broker import configured_kafka, keep_the_client_quiet
from goalkick.embedded.commands.options import Config, Json
from goalkick.embedded.console import print_json

Word = Annotated[
    str,
    typer.Argument(
        metavar="COMMAND",
        help="halt or resume an account, activate or deactivate a strategy, add or remove a "
        "strategy service of its own",
        show_default=False,
    ),
]
Scope = Annotated[
    str,
    typer.Option("--scope", help="which account, strategy or strategy service; *: everybody"),
]
Reason = Annotated[str, typer.Option("--reason", help="why, for people; it is kept for good")]
Issuer = Annotated[
    str, typer.Option("--issuer", help="who says so; empty: the name of this machine's user")
]


def tell(
    word: Word,
    scope: Scope = "*",
    reason: Reason = "",
    issuer: Issuer = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """Tell a platform on Kafka what to do.

    Everybody whom it concerns takes it at the next moment that there is, and after a restart, too.
    """
    import asyncio

    from goalkick.common.adapters.clock.system import SystemClock
    from goalkick.common.adapters.log.kafka import KafkaLog
    from goalkick.common.codec.json import as_dict
    from goalkick.common.core.errors import InvalidDataError
    from goalkick.common.runtime import commands
    from goalkick.embedded.commands.grammar import UsageError

    keep_the_client_quiet()
    try:
        event = commands.command(
            word,
            scope=scope,
            issuer=issuer or _user(),
            reason=reason,
            time_ns=SystemClock().now_ns(),
        )
    except InvalidDataError as error:
        raise UsageError(str(error)) from None
    kafka = configured_kafka(config)
    asyncio.run(commands.tell(KafkaLog(kafka, "goalkick-tell"), event))
    if json:
        print_json(as_dict(event))
    else:
        typer.echo(f"{word} {scope}: told {kafka.bootstrap_servers}")


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "operator"
