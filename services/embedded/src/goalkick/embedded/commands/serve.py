"""`goalkick serve SERVICE`: one service, on Kafka."""

import importlib
from typing import Annotated

import typer

from goalkick.common.topics import PARTS, SERVICES
from goalkick.embedded.commands.grammar import UsageError, nearest
from goalkick.embedded.commands.options import Config

KNOWN = (*SERVICES, *PARTS)

Service = Annotated[
    str, typer.Argument(metavar="SERVICE", help=f"one of {', '.join(KNOWN)}", show_default=False)
]


def serve(service: Service, config: Config = None) -> None:
    """Run one service on Kafka.

    The same as `python -m goalkick.SERVICE`.
    """
    if service not in KNOWN:
        raise UsageError(
            f"expected one of {', '.join(KNOWN)}, found {service!r}{nearest(service, KNOWN)}"
        )
    module = importlib.import_module(f"goalkick.{service}.__main__")
    code = module.main([] if config is None else ["--config", str(config)])
    raise typer.Exit(code or 0)
