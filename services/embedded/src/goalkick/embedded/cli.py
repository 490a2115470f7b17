"""The command `goalkick`: its commands, and nothing of what they do."""

import typer

from goalkick.embedded.commands import (
    backtest,
    config,
    data,
    doctor,
    download,
    kafka,
    lists,
    run,
    secrets,
    serve,
    tell,
    train,
    vault,
    venue,
    version,
)
from goalkick.embedded.commands.grammar import EPILOG, Command, Group

app = typer.Typer(
    cls=Group,
    name="goalkick",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Trade crypto on paper, test strategies on the past, see what there is.",
    epilog=EPILOG,
)
for command in (
    run.run,
    backtest.backtest,
    train.train,
    download.download,
    doctor.doctor,
    lists.strategies,
    lists.indicators,
    lists.services,
    lists.topics,
    serve.serve,
    tell.tell,
    venue.venue,
    version.version,
):
    app.command(cls=Command, epilog=EPILOG)(command)
app.add_typer(config.app)
app.add_typer(data.app)
app.add_typer(kafka.app)
app.add_typer(secrets.app)
app.add_typer(vault.app)


def main() -> None:
    """Entry point of the installed command."""
    app()


if __name__ == "__main__":
    main()
