"""How `goalkick` reads a command line, and how it ends: one grammar for all commands.

Exit codes: 0 done, 1 failed, 2 the command line itself is wrong. Errors are one line on standard
error.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.exceptions import TyperException

from goalkick.common.core.errors import GoalkickError
from goalkick.embedded.console import fail

FAILED, USAGE = 1, 2
DEBUG = "--debug"
EPILOG = (
    "--debug shows the traceback of an error. "
    "Exit codes: 0 done, 1 failed, 2 the command line is wrong."
)


class UsageError(GoalkickError):
    """The command line asks for something that there is not; exit code 2."""


class Command(TyperCommand):
    """A command whose repeatable options take several values: `--bars a.csv b.csv`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Spreads several values over several options, then parses as usual."""
        repeatable = {
            name
            for option in self.params
            if isinstance(option, TyperOption) and option.multiple
            for name in option.opts
        }
        return super().parse_args(ctx, spread(args, repeatable))


class Group(TyperGroup):
    """The command `goalkick` itself: turns every outcome into an exit code and one line."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs a command line and ends the process with its exit code."""
        given = list(sys.argv[1:] if args is None else args)
        debug = DEBUG in given
        words = [word for word in given if word != DEBUG]
        command = words[0] if words and words[0] in self.commands else ""
        words = words or ["--help"]
        place = f"goalkick {command}".rstrip()
        try:
            code = super().main(
                words, "goalkick", complete_var, False, windows_expand_args, **extra
            )
        except UsageError as error:
            fail(place, error, debug=debug)
            code = USAGE
        except TyperException as error:
            hint = f" ({place} --help shows all)"
            known = self._options(command) if command else list(self.commands)
            fail(place, UsageError(_said(error, known) + hint), debug=debug)
            code = error.exit_code
        except BrokenPipeError:
            # Whoever read our output has seen enough; nothing may be written to it any more.
            sys.stdout = None
            code = FAILED
        except (typer.Abort, KeyboardInterrupt):
            fail(place, GoalkickError("stopped before it was done"), debug=debug)
            code = FAILED
        except Exception as error:
            fail(place, error, debug=debug)
            code = FAILED
        sys.exit(code if isinstance(code, int) else 0)  # a command's own result is none

    def _options(self, command: str) -> list[str]:
        found = self.commands.get(command)
        return [name for option in (found.params if found else ()) for name in option.opts]


def spread(args: Iterable[str], repeatable: Iterable[str]) -> list[str]:
    """Repeats an option's name before each further value that follows it.

    Args:
        args: as typed.
        repeatable: names of the options that may be given several times.
    """
    names = set(repeatable)
    result: list[str] = []
    current, fresh = "", False
    for word in args:
        if word.startswith("-") and not _is_number(word):
            current, fresh = (word, True) if word in names else ("", False)
        elif current and not fresh:
            result.append(current)
        else:
            fresh = False
        result.append(word)
    return result


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint at what somebody may have meant; "" if nothing is like it."""
    near = get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


def _said(error: TyperException, known: Sequence[str]) -> str:
    """The parser's message in the words that the rest of Goalkick uses."""
    text = " ".join(error.format_message().split()).rstrip(".")
    wrong = re.match(r"No such (option|command):? '?([^ ']+)", text)
    if wrong:
        return f"expected a known {wrong[1]}, found {wrong[2]}{nearest(wrong[2], known)}"
    text = text.removeprefix("Invalid value for ")
    missing = text.removeprefix("Missing option ")
    if missing != text:
        return f"expected {missing}, found nothing"
    return text[:1].lower() + text[1:]


def _is_number(word: str) -> bool:
    with suppress(ValueError):
        float(word)
        return True
    return False
