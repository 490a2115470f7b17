"""What the features are called, which parameters they take, and what they are.

A feature's name is its definition: family, parameters in order, and the output where there are
several: `ema_10`, `macd_12_26_9_signal`, `bollinger_20_2_upper`.
"""

import hashlib
import math
import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Literal

import msgspec
import numpy as np

from goalkick.common.core.errors import SettingsError
from goalkick.common.values.time import NS_PER_YEAR
from goalkick.feature import kernel

AfterGap = Literal["continue", "restart"]
"""What missing bars do to indicators: nothing, or they begin anew."""

MAX_LENGTH = 10_000
"""Bars; longer windows belong into longer bars."""


class Parameter(msgspec.Struct, frozen=True):
    """A whole number in a feature's name.

    Attributes:
        name: what it is called.
        low, high: its range, inclusive.
        unit: `bars`, or what it counts.
    """

    name: str
    low: int = 1
    high: int = MAX_LENGTH
    unit: str = "bars"


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """An indicator.

    Attributes:
        name: first part of the feature's name.
        opcode: of its instruction in the kernel.
        parameters: at most three.
        outputs: at most three; "" is the one that has no suffix.
        cells: how many float64 it remembers besides its ring.
        ring: whether it remembers one more for each bar of its first parameter.
        unit: of its values.
        about: one line, with the source of the formula.
    """

    name: str
    opcode: int
    parameters: tuple[Parameter, ...] = (Parameter("length"),)
    outputs: tuple[str, ...] = ("",)
    cells: int
    ring: bool = False
    unit: str
    about: str


FAMILIES: tuple[Family, ...] = (
    Family(
        name="ema",
        opcode=kernel.EMA,
        cells=2,
        unit="quote currency",
        about="exponential moving average of the close, begun at the first close",
    ),
    Family(
        name="sma",
        opcode=kernel.SMA,
        cells=3,
        ring=True,
        unit="quote currency",
        about="simple moving average of the close",
    ),
    Family(
        name="rsi",
        opcode=kernel.RSI,
        cells=4,
        unit="0 to 100",
        about="relative strength index (Wilder 1978)",
    ),
    Family(
        name="macd",
        opcode=kernel.MACD,
        parameters=(Parameter("fast"), Parameter("slow"), Parameter("signal")),
        outputs=("", "signal", "histogram"),
        cells=6,
        unit="quote currency",
        about="fast less slow EMA, its EMA, and the difference of both (Appel 1979)",
    ),
    Family(
        name="bollinger",
        opcode=kernel.BOLLINGER,
        parameters=(Parameter("length", 2), Parameter("width", 1, 100, "standard deviations")),
        outputs=("upper", "middle", "lower"),
        cells=3,
        ring=True,
        unit="quote currency",
        about="mean of the close and bands around it (Bollinger 2001)",
    ),
    Family(
        name="atr",
        opcode=kernel.ATR,
        cells=3,
        unit="quote currency",
        about="average true range (Wilder 1978)",
    ),
    Family(
        name="adx",
        opcode=kernel.ADX,
        parameters=(Parameter("length", 2),),
        cells=8,
        unit="0 to 100",
        about="average directional index (Wilder 1978)",
    ),
    Family(
        name="log_return",
        opcode=kernel.LOG_RETURN,
        cells=1,
        ring=True,
        unit="fraction",
        about="log of the close over the close some bars ago",
    ),
    Family(
        name="realised_volatility",
        opcode=kernel.REALISED_VOLATILITY,
        cells=4,
        ring=True,
        unit="fraction a year",
        about="root mean square of log returns, annualised with 365 days",
    ),
    Family(
        name="volume_zscore",
        opcode=kernel.VOLUME_ZSCORE,
        parameters=(Parameter("length", 2),),
        cells=3,
        ring=True,
        unit="standard deviations",
        about="volume against its mean over the last bars, this one included",
    ),
    Family(
        name="time_of_day",
        opcode=kernel.TIME_OF_DAY,
        parameters=(),
        cells=0,
        unit="fraction of a day",
        about="close of the bar as a share of the UTC day, 0 at midnight",
    ),
)

CHAIN = (
    *(f"ema_{n}" for n in (5, 10, 20, 50, 100)),
    *(f"sma_{n}" for n in (10, 20, 50)),
    *(f"rsi_{n}" for n in (7, 14, 28)),
    *(f"macd_12_26_9{output}" for output in ("", "_signal", "_histogram")),
    *(f"bollinger_20_2_{output}" for output in ("upper", "middle", "lower")),
    *(f"atr_{n}" for n in (7, 14)),
    *(f"adx_{n}" for n in (7, 14)),
    *(f"log_return_{n}" for n in (1, 5, 20)),
    *(f"realised_volatility_{n}" for n in (10, 30, 60)),
    *(f"volume_zscore_{n}" for n in (20, 60)),
    "time_of_day",
)
"""Thirty features of all families: what a model may look at, and what the benchmark measures."""


class Definition(msgspec.Struct, frozen=True):
    """One feature, its name understood."""

    name: str
    family: Family
    parameters: tuple[int, ...]
    output: str


def parse(name: str) -> Definition:
    """Understands a feature's name.

    Raises:
        SettingsError: no family, parameter or output is called that.
    """
    for family in FAMILIES:
        rest = name.removeprefix(family.name)
        if rest == name or (rest and not rest.startswith("_")):
            continue
        parts = rest.split("_")[1:]
        count = len(family.parameters)
        numbers, output = parts[:count], "_".join(parts[count:])
        if len(numbers) < count or not all(n.isdecimal() for n in numbers):
            continue
        if output not in family.outputs:
            continue
        for parameter, number in zip(family.parameters, map(int, numbers), strict=True):
            if not parameter.low <= number <= parameter.high:
                raise SettingsError(
                    f"feature {name}: expected {parameter.name} from {parameter.low} to "
                    f"{parameter.high} {parameter.unit}, found {number}"
                )
        return Definition(name, family, tuple(map(int, numbers)), output)
    near = get_close_matches(re.split(r"_?\d", name)[0], [f.name for f in FAMILIES], 1)
    hint = f"; did you mean {_templates(near[0])}?" if near else ""
    raise SettingsError(
        f"feature {name!r}: expected a name such as ema_10 (see `goalkick indicators`){hint}"
    )


def template(family: Family, output: str) -> str:
    """The pattern of a name: `macd_<fast>_<slow>_<signal>_histogram`."""
    parts = [family.name, *(f"<{p.name}>" for p in family.parameters), output]
    return "_".join(part for part in parts if part)


def _templates(name: str) -> str:
    family = next(family for family in FAMILIES if family.name == name)
    return " or ".join(template(family, output) for output in family.outputs)


class Assembly(msgspec.Struct, frozen=True):
    """Features made ready to be computed.

    Attributes:
        names: the features, sorted; place i of the outputs is `names[i]`.
        program: (k, kernel.COLUMNS) int64.
        cells: how many float64 one instrument and bar length needs.
        hash: identifies names, parameters, what a gap does, and the version of the arithmetic.
    """

    names: tuple[str, ...]
    program: kernel.Program
    cells: int
    hash: str

    def fresh_cells(self, interval_ns: int) -> kernel.Cells:
        """The memory of an instrument that has not been seen yet."""
        cells = np.zeros(self.cells)
        cells[kernel.ANNUAL] = math.sqrt(NS_PER_YEAR / interval_ns)
        return cells


def assemble(names: Sequence[str], after_gap: AfterGap = "continue") -> Assembly:
    """One program for all `names`; outputs of one indicator share its instruction.

    Args:
        names: the features, in any order.
        after_gap: what missing bars do to indicators; part of what the hash identifies.

    Raises:
        SettingsError: a name is not a feature's.
    """
    ordered = tuple(sorted(set(names)))
    rows: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    used = kernel.FIRST_CELL
    for place, name in enumerate(ordered):
        definition = parse(name)
        family, parameters = definition.family, definition.parameters
        key = (family.name, parameters)
        if key not in rows:
            padded = (*parameters, 0, 0, 0)[:3]
            rows[key] = [family.opcode, used, *padded, -1, -1, -1]
            used += family.cells + (parameters[0] if family.ring else 0)
        rows[key][5 + family.outputs.index(definition.output)] = place
    program = np.array(list(rows.values()), dtype=np.int64).reshape(-1, kernel.COLUMNS)
    own = () if after_gap == "continue" else (f"after_gap={after_gap}",)
    identity = "\n".join((str(kernel.VERSION), *ordered, *own))
    return Assembly(ordered, program, used, hashlib.sha256(identity.encode()).hexdigest()[:16])
