"""`goalkick strategies|indicators|services|topics`: what there is."""

# ruff: noqa: PLC0415 (see the package's text)

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goalkick.embedded.commands.broker import (
    Deployments,
    configured_kafka,
    keep_the_client_quiet,
)
from goalkick.embedded.commands.options import Config, Json
from goalkick.embedded.console import print_json, print_table

if TYPE_CHECKING:
    from goalkick.embedded.catalogue import ParameterEntry

_PARAMETER_COLUMNS = ("Parameter", "Kind", "Range", "Unit", ">Default", "About")

Folder = Annotated[
    Path | None,
    typer.Option("--folder", metavar="DIR", help="a folder with strategies of your own, too"),
]


def strategies(folder: Folder = None, json: Json = False) -> None:
    """List the strategies, with their parameters."""
    from goalkick.embedded import catalogue

    entries = catalogue.strategies(folder)
    if json:
        print_json(entries)
        return
    print_table(
        "Strategies",
        ("Strategy", *_PARAMETER_COLUMNS),
        _grouped((entry.name, entry.about, entry.parameters) for entry in entries),
    )


def indicators(json: Json = False) -> None:
    """List the indicators: names, parameters, units."""
    from goalkick.embedded import catalogue

    entries = catalogue.indicators()
    if json:
        print_json(entries)
        return
    print_table(
        "Indicators",
        ("Feature", "Parameters", "Unit", "About"),
        (
            (
                "\n".join(entry.features),
                "\n".join(f"{p.name} {p.range} {p.unit}" for p in entry.parameters) or "none",
                entry.unit,
                entry.about,
            )
            for entry in entries
        ),
    )


def services(json: Json = False) -> None:
    """List the services, with their topics and settings."""
    from goalkick.embedded import catalogue

    entries = catalogue.services()
    if json:
        print_json(entries)
        return
    print_table(
        "Services",
        ("Service", "About", "Consumes", "Produces"),
        (
            (entry.name, entry.about, "\n".join(entry.consumes), "\n".join(entry.produces))
            for entry in entries
        ),
    )
    print_table(
        "Settings",
        ("Section", *_PARAMETER_COLUMNS),
        _grouped((entry.name, "", entry.parameters) for entry in entries if entry.parameters),
    )


Create = Annotated[
    bool, typer.Option("--create", help="make those that are missing on the configured Kafka")
]


def topics(
    create: Create = False,
    deployment: Deployments = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """List the topics: what flows, who says it, who listens; or make them on Kafka."""
    from goalkick.embedded import catalogue

    if create:
        _make_topics(config, deployment or [], json)
        return
    entries = catalogue.topics()
    if json:
        print_json(entries)
        return
    print_table(
        "Topics",
        (">Rank", "Topic", "Key", ">Partitions", "Kept", "Producer", "Consumers", "About"),
        (
            (
                entry.rank,
                entry.name,
                entry.key,
                entry.partitions,
                entry.retention,
                entry.producer + (" (feedback)" if entry.feedback else ""),
                ", ".join(f"{name} ({how})" for name, how in entry.consumers.items()) or "none",
                entry.about,
            )
            for entry in sorted(entries, key=lambda entry: entry.rank)
        ),
    )


def _make_topics(config: Path | None, deployments: list[str], json: bool) -> None:
    import asyncio

    from goalkick.common.adapters.log.kafka_topics import create_topics

    keep_the_client_quiet()
    kafka = configured_kafka(config)
    made = asyncio.run(create_topics(kafka, deployments))
    if json:
        print_json(made)
        return
    print_table(
        f"Topics on {kafka.bootstrap_servers}",
        ("Topic", "State"),
        ((name, "made now" if new else "was there") for name, new in made.items()),
    )


def _grouped(
    groups: Iterable[tuple[str, str, Sequence["ParameterEntry"]]],
) -> Iterable[tuple[str, ...]]:
    """A row for each group's line, and one for each of its parameters."""
    for name, about, parameters in groups:
        if about or not parameters:
            yield (name, "", "", "", "", "", about)
            name = ""  # noqa: PLW2901 (said once for each group)
        for p in parameters:
            default = "required" if p.default is None else p.default
            yield (name, p.name, p.kind, p.range, p.unit, default, p.about)
            name = ""  # noqa: PLW2901
