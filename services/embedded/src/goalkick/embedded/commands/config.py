"""`goalkick config show|example`: what is set, and what can be."""

# ruff: noqa: PLC0415 (see the package's text)

import typer

from goalkick.embedded.commands.grammar import EPILOG, Command
from goalkick.embedded.commands.options import Config, Json
from goalkick.embedded.console import print_json, print_table, print_text

app = typer.Typer(name="config", help="Show the settings in force, or an example of all.")


@app.command(cls=Command, epilog=EPILOG)
def show(config: Config = None, json: Json = False) -> None:
    """Print the settings in force, and where each comes from.

    Secrets are masked.
    """
    from goalkick.common.config.settings import describe
    from goalkick.embedded.configuration import load_settings

    rows = describe(load_settings(config))
    if json:
        print_json([{"key": key, "value": value, "source": source} for key, value, source in rows])
    else:
        print_table("", ("Key", "Value", "Source"), rows)


@app.command(cls=Command, epilog=EPILOG)
def example() -> None:
    """Print a configuration file with everything in it."""
    from goalkick.embedded.commands.example import example as written
    from goalkick.embedded.configuration import PlatformSettings

    print_text(written(PlatformSettings))


@app.command(cls=Command, epilog=EPILOG)
def features(config: Config = None, json: Json = False) -> None:
    """Print the features that strategies and models need.

    As a section for the configuration file: services on Kafka serve what is written there, and
    each of them sees only its own section.
    """
    from goalkick.embedded.configuration import load_models, load_settings
    from goalkick.embedded.settings import resolved

    settings = load_settings(config).value
    names = resolved(settings, models=load_models(settings)).feature.features
    if json:
        print_json(names)
    elif names:
        print_text("\n".join(("feature:", "  features:", *(f"    - {name}" for name in names))))
    else:
        print_text("feature:\n  features: []  # no strategy is configured that needs any")
