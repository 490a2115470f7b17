"""`goalkick kafka acls|render`: who may do what on Kafka, and making it so."""

# ruff: noqa: PLC0415 (see the package's text)

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goalkick.embedded.commands.broker import (
    Deployments,
    configured_kafka,
    keep_the_client_quiet,
)
from goalkick.embedded.commands.grammar import EPILOG, FAILED, Command, UsageError
from goalkick.embedded.commands.options import Config, Json
from goalkick.embedded.console import print_json, print_note, print_table, print_text

if TYPE_CHECKING:
    from goalkick.common.adapters.log.grants import Grant
    from goalkick.common.adapters.log.kafka_acls import Difference
    from goalkick.common.runtime.settings import KafkaSettings

app = typer.Typer(name="kafka", help="Who may do what on Kafka: show it, apply it, write it down.")


class Form(StrEnum):
    """How access lists are printed."""

    TABLE = "table"
    COMMANDS = "commands"
    STRIMZI = "strimzi"
    MARKDOWN = "markdown"


Installation = Annotated[
    str | None,
    typer.Option(
        "--installation",
        metavar="NAME",
        help="of runtime.kafka.installation [default: what the settings say]",
    ),
]
Fused = Annotated[
    bool,
    typer.Option("--fused", help="feature, prediction and strategy run as one service, and user"),
]
Cluster = Annotated[
    str, typer.Option("--cluster", metavar="NAME", help="of Strimzi's Kafka resource")
]


app.callback()(keep_the_client_quiet)


@app.command(cls=Command, epilog=EPILOG)
def acls(
    form: Annotated[
        Form,
        typer.Option(
            "--form",
            help="a table, commands for Kafka's own tools, users for Strimzi, or Markdown",
        ),
    ] = Form.TABLE,
    deployment: Deployments = None,
    fused: Fused = False,
    installation: Installation = None,
    cluster: Cluster = "kafka",
    apply: Annotated[
        bool, typer.Option("--apply", help="add what is missing on the configured Kafka")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="with --apply: take away what our users have beyond the table"
        ),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="change nothing; exit code 1 if anything differs")
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Print the access lists that the platform needs, or bring the configured Kafka to them.

    They are made from the table of topics: a service may read its inputs, write its outputs, keep
    its snapshots, and nothing else. Users and their passwords are made with Kafka's own tools, or
    by Strimzi.
    """
    from goalkick.common.adapters.log.access import access_table
    from goalkick.common.adapters.log.grants import all_grants

    if prune and not apply:
        raise UsageError("--prune: expected it with --apply, found it alone")
    kafka = _settings(config)
    table = access_table(deployment or (), fused=fused)
    named = installation or kafka.installation
    grants = all_grants(table, named)
    if apply or check:
        _bring(configured_kafka(config), grants, change=apply, prune=prune, json=json)
    elif json:
        print_json([_row(grant) for grant in grants])
    elif form is Form.STRIMZI:
        from goalkick.common.adapters.log.grants import strimzi_files

        files = strimzi_files(table, cluster=cluster, installation=named)
        print_text("---\n".join(files.values()).rstrip())
    elif form is Form.MARKDOWN:
        from goalkick.common.adapters.log.grants import markdown_table

        print_text(markdown_table(table).rstrip())
    elif form is Form.COMMANDS:
        from goalkick.common.adapters.log.grants import command_lines

        print_text("\n".join(command_lines(grants)))
    else:
        _print(grants)


@app.command(cls=Command, epilog=EPILOG)
def render(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="where users/ is written")],
    deployment: Deployments = None,
    fused: Fused = False,
    installation: Installation = None,
    cluster: Cluster = "kafka",
) -> None:
    """Write Strimzi's users as files, for Kubernetes to apply."""
    from goalkick.common.adapters.log.access import access_table
    from goalkick.common.adapters.log.grants import strimzi_files

    table = access_table(deployment or (), fused=fused)
    made = strimzi_files(table, cluster=cluster, installation=installation)
    for name, text in made.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    print_text(f"{len(made)} files in {out}")


def _settings(config: Path | None) -> "KafkaSettings":
    from goalkick.embedded.configuration import load_settings

    return load_settings(config).value.runtime.kafka


def _bring(
    kafka: "KafkaSettings", grants: "list[Grant]", *, change: bool, prune: bool, json: bool
) -> None:
    import asyncio

    from goalkick.common.adapters.log import kafka_acls

    found: Difference = asyncio.run(
        kafka_acls.apply(kafka, grants, prune=prune)
        if change
        else kafka_acls.compare(kafka, grants)
    )
    extra = "taken away" if prune else "too much"
    rows = [("added" if change else "missing", grant) for grant in found.missing]
    rows += [(extra, grant) for grant in found.extra]
    if json:
        print_json([{"state": state, **_row(grant)} for state, grant in rows])
    elif rows:
        print_table(
            f"Access lists on {kafka.bootstrap_servers}",
            ("State", "User", "Thing", "Operation"),
            ((state, *_row(grant).values()) for state, grant in rows),
        )
    else:
        print_text("nothing differs")
    if found.extra and not prune and not json:
        print_note("our users may do more than they need; --apply --prune takes it away")
    if not change and rows:
        raise typer.Exit(FAILED)


def _row(grant: "Grant") -> dict[str, str]:
    star = "*" if grant.prefixed else ""
    return {
        "user": grant.user,
        "thing": f"{grant.resource} {grant.name}{star}",
        "operation": grant.operation,
    }


def _print(grants: "list[Grant]") -> None:
    together: dict[tuple[str, str], list[str]] = {}
    for grant in grants:
        row = _row(grant)
        together.setdefault((row["user"], row["thing"]), []).append(row["operation"])
    last = ""
    rows = []
    for (user, thing), operations in together.items():
        rows.append(("" if user == last else user, thing, ", ".join(operations)))
        last = user
    print_table("Access lists", ("User", "Thing", "May"), rows)
