"""Options that several commands share, and how their values are read."""

import math
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

import typer

from goalkick.common.values.money import parse_decimal
from goalkick.common.values.time import NS_PER_SECOND, parse_duration, parse_time


def duration_seconds(text: str) -> float:
    """Seconds of `60s`, `5m`, `1h`."""
    try:
        return parse_duration(text) / NS_PER_SECOND
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def moment_ns(text: str) -> int:
    """UTC nanoseconds of an ISO date or time."""
    try:
        return parse_time(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def exact(text: str) -> Decimal:
    """A decimal number, exactly as it is written."""
    try:
        return parse_decimal(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def speed_factor(text: str) -> float:
    """How many times faster than the clock: `60x`, `1x`, `max` (infinity)."""
    if text == "max":
        return math.inf
    try:
        factor = float(text.removesuffix("x"))
    except ValueError:
        factor = math.nan
    if not (factor > 0 and math.isfinite(factor)):
        raise typer.BadParameter(f"expected a speed such as 60x, 1x or max, found {text!r}")
    return factor


Json = Annotated[bool, typer.Option("--json", help="print JSON for machines, on standard output")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="settings: a YAML file with a section for each service (see `goalkick config example`)"
        "; variables such as GOALKICK__RISK__FRACTION=0.2 override it",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="where the state is kept between runs [default: GOALKICK_DATA, or goalkick in "
        "XDG_DATA_HOME, or ~/.local/share/goalkick]",
    ),
]
OnBadData = Annotated[
    Literal["refuse", "drop"],
    typer.Option(
        "--on-bad-data",
        help="what to do about bad rows: refuse the file at the first one, or drop and count them",
    ),
]
BARS_HELP = (
    "candle files, one for each instrument: CSV, Parquet or Feather, plain, .gz or .zip; several "
    "are merged by time"
)
Bars = Annotated[list[Path], typer.Option("--bars", metavar="FILE...", help=BARS_HELP)]
