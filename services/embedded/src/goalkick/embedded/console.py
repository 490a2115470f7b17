"""What commands print: results on standard output, everything else on standard error.

Nothing here knows what is printed.
"""

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from goalkick.common.core.errors import GoalkickError

PLAIN_WIDTH = 160
"""Columns of a table that goes into a file or a pipe, where no terminal says how many fit."""

_JSON = msgspec.json.Encoder(decimal_format="number", enc_hook=str)

Tell = Callable[[int], None]
"""Is told how many units of the work are done, in all."""


def print_json(value: Any) -> None:
    """One JSON document on one line; exact decimals become numbers with all their digits."""
    sys.stdout.write(_JSON.encode(value).decode() + "\n")
    sys.stdout.flush()


def print_text(text: str) -> None:
    """One or more lines of plain text."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_note(text: str) -> None:
    """Something that a person should know about the result; on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table for people.

    Args:
        title: heading; "" for none.
        columns: heads; one that begins with `>` stands right-aligned.
        rows: one cell for each column; text is taken as it is, never as markup.
    """
    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else PLAIN_WIDTH, highlight=False)
    table = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD if terminal else None,
        pad_edge=False,
    )
    for column in columns:
        table.add_column(
            Text(column.removeprefix(">")),
            justify="right" if column.startswith(">") else "left",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console.print(table)
    if not terminal:
        console.print()


@contextmanager
def progress(description: str, total: int | None, unit: str) -> Iterator[Tell]:
    """A progress bar on standard error while the body runs; nothing where nobody watches.

    Args:
        description: what is being done.
        total: how many units there are; None if that is not known.
        unit: what is counted, for example `bars`.
    """
    if not sys.stderr.isatty():
        yield _nowhere
        return
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        _Count(unit),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
    ) as bars:
        task = bars.add_task(description, total=total)
        yield lambda done: bars.update(task, completed=done)


def fail(place: str, error: BaseException, *, debug: bool) -> None:
    """Reports an error: one line, and the traceback where it was asked for.

    Args:
        place: which command failed.
        error: what happened; the message of ours says what was expected, found and where.
        debug: print the traceback as well.
    """
    if debug:
        sys.stderr.write("".join(traceback.format_exception(error)))
    sys.stderr.write(f"{place}: {_one_line(error, debug=debug)}\n")
    sys.stderr.flush()


def _one_line(error: BaseException, *, debug: bool) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, GoalkickError):
        return text
    if isinstance(error, OSError) and error.strerror:
        about = f"{error.filename}: " if error.filename is not None else ""
        return f"{about}{error.strerror}"
    hint = "" if debug else "; --debug shows where"
    return f"unexpected {type(error).__name__}: {text}{hint}"


class _Count(ProgressColumn):
    """How much is done, how long it took, and how fast it goes."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        passed = timedelta(seconds=int(task.elapsed or 0))
        speed = f", {task.speed:,.0f}/s" if task.speed else ""
        return Text(f"{int(task.completed):,} {self._unit} in {passed}{speed}")


def _nowhere(done: int) -> None:
    """Nobody watches."""
