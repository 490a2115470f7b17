"""The arithmetic of all features: one compiled step, for live bars and for whole tables alike.

A program is a table of instructions; each advances one indicator by one bar and writes its outputs.
All memory of an indicator is a slice of one float64 array, `cells`, so that a snapshot is the bytes
of that array. The work per bar does not grow with history (windows are summed anew once per turn of
their ring, which keeps rounding from piling up). NaN in `out` means "not ready", and nothing else.

Adding an indicator: an opcode here, its instruction in `step`, its row in `definitions.FAMILIES`.
"""

import math
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

VERSION = 1
"""Raise it whenever a value changes for the same bars: it is part of the definition hash."""

EMA, SMA, RSI, MACD, BOLLINGER, ATR, ADX, LOG_RETURN, REALISED_VOLATILITY = range(9)
VOLUME_ZSCORE, TIME_OF_DAY = 9, 10

LOOKS_BEYOND_CLOSE = frozenset({ATR, ADX, VOLUME_ZSCORE})
"""Instructions that look at a bar's high, low or volume; the others are given anything there."""

COLUMNS = 8
"""Of an instruction: opcode, first cell, three parameters, three outputs (-1: not wanted)."""

ANNUAL = 0
"""The first cell: square root of the number of bars in a year."""

FIRST_CELL = 1

_NS_PER_DAY = 86_400_000_000_000

_P = ParamSpec("_P")
_R = TypeVar("_R")

Program = npt.NDArray[np.int64]
Cells = npt.NDArray[np.float64]


def _compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compiles once per machine; the result is kept beside the code (or in the user's cache).

    Division by zero gives infinity or NaN, as in numpy; `step` turns both into "not ready".
    The interpreter's lock is kept: a step is shorter than letting it go and taking it back.
    """
    compiler = numba.njit(cache=True, error_model="numpy")
    return cast("Callable[_P, _R]", compiler(function))


@_compiled
def _ema(cells: Cells, at: int, length: int, value: float) -> float:
    """Exponential moving average, a = 2 / (n + 1), begun at the first value; ready at the n-th."""
    cells[at] += 1.0
    if cells[at] == 1.0:
        cells[at + 1] = value
    else:
        cells[at + 1] += 2.0 / (length + 1.0) * (value - cells[at + 1])
    return cells[at + 1] if cells[at] >= length else math.nan


@_compiled
def _window(cells: Cells, at: int, length: int, value: float) -> bool:
    """Mean (cell 1) and sum of squared deviations (cell 2) of the last n values; whether full.

    Welford (1962), sliding; exact again whenever the ring is full of new values.
    """
    count = cells[at] + 1.0
    slot = int(cells[at]) % length
    ring = at + 3
    old = cells[ring + slot]
    cells[ring + slot] = value
    cells[at] = count
    before = cells[at + 1]
    if slot == length - 1:
        total = 0.0
        for i in range(length):
            total += cells[ring + i]
        mean = total / length
        squares = 0.0
        for i in range(length):
            squares += (cells[ring + i] - mean) ** 2
        cells[at + 1] = mean
        cells[at + 2] = squares
    elif count < length:
        mean = before + (value - before) / count
        cells[at + 1] = mean
        cells[at + 2] += (value - before) * (value - mean)
    else:
        mean = before + (value - old) / length
        cells[at + 1] = mean
        cells[at + 2] += (value - old) * (value - mean + old - before)
    return bool(count >= length)


@_compiled
def _rsi(cells: Cells, at: int, length: int, close: float) -> float:
    """Relative strength index (Wilder 1978); not ready where the price has not moved at all."""
    count, previous = cells[at], cells[at + 1]
    cells[at] = count + 1.0
    cells[at + 1] = close
    if count == 0.0:
        return math.nan
    up = max(close - previous, 0.0)
    down = max(previous - close, 0.0)
    if count <= length:
        cells[at + 2] += up / length
        cells[at + 3] += down / length
    else:
        cells[at + 2] = (cells[at + 2] * (length - 1) + up) / length
        cells[at + 3] = (cells[at + 3] * (length - 1) + down) / length
    moved = cells[at + 2] + cells[at + 3]
    if count < length or moved <= 0.0:
        return math.nan
    return float(100.0 * cells[at + 2] / moved)


@_compiled
def _true_range(high: float, low: float, previous_close: float) -> float:
    return max(high - low, abs(high - previous_close), abs(low - previous_close))


@_compiled
def _atr(cells: Cells, at: int, length: int, high: float, low: float, close: float) -> float:
    """Average true range (Wilder 1978), quote currency."""
    count, previous = cells[at], cells[at + 1]
    cells[at] = count + 1.0
    cells[at + 1] = close
    if count == 0.0:
        return math.nan
    true_range = _true_range(high, low, previous)
    if count <= length:
        cells[at + 2] += true_range / length
    else:
        cells[at + 2] = (cells[at + 2] * (length - 1) + true_range) / length
    return cells[at + 2] if count >= length else math.nan


@_compiled
def _adx(cells: Cells, at: int, length: int, high: float, low: float, close: float) -> float:
    """Average directional index (Wilder 1978), 0 to 100; first ready at bar 2 n.

    Cells: count, previous high, low and close, smoothed +DM, -DM and range, index.
    """
    count = cells[at]
    up = high - cells[at + 1]
    down = cells[at + 2] - low
    true_range = _true_range(high, low, cells[at + 3])
    cells[at] = count + 1.0
    cells[at + 1] = high
    cells[at + 2] = low
    cells[at + 3] = close
    if count == 0.0:
        return math.nan
    keep = 1.0 if count < length else 1.0 - 1.0 / length
    cells[at + 4] *= keep
    cells[at + 5] *= keep
    cells[at + 6] = cells[at + 6] * keep + true_range
    if down > 0.0 and up < down:
        cells[at + 5] += down
    elif up > 0.0 and up > down:
        cells[at + 4] += up
    if count < length:
        return math.nan
    moved = cells[at + 4] + cells[at + 5]
    if cells[at + 6] > 0.0 and moved > 0.0:
        index = 100.0 * abs(cells[at + 4] - cells[at + 5]) / moved
        if count < 2 * length:
            cells[at + 7] += index / length
        else:
            cells[at + 7] = (cells[at + 7] * (length - 1) + index) / length
    return cells[at + 7] if count >= 2 * length - 1 else math.nan


@_compiled
def step(  # noqa: C901, PLR0912, PLR0915 - a table of instructions; Numba has no function pointers
    program: Program,
    cells: Cells,
    time_ns: int,
    high: float,
    low: float,
    close: float,
    volume: float,
    out: npt.NDArray[np.float64],
) -> int:
    """Advances every indicator by one bar.

    Args:
        program: (k, COLUMNS) int64, from `definitions.assemble`.
        cells: float64, the memory of one instrument and bar length; changed.
        time_ns: close of the bar, UTC.
        high: quote currency.
        low: quote currency.
        close: quote currency.
        volume: base currency.
        out: (m,) float64; overwritten; NaN where a feature is not ready.

    Returns:
        How many of the outputs are ready.
    """
    for row in range(program.shape[0]):
        opcode = program[row, 0]
        at = program[row, 1]
        length = program[row, 2]
        first = math.nan
        second = math.nan
        third = math.nan
        if opcode == EMA:
            first = _ema(cells, at, length, close)
        elif opcode == SMA:
            if _window(cells, at, length, close):
                first = cells[at + 1]
        elif opcode == RSI:
            first = _rsi(cells, at, length, close)
        elif opcode == MACD:
            slow_length = program[row, 3]
            fast = _ema(cells, at, length, close)
            slow = _ema(cells, at + 2, slow_length, close)
            if not math.isnan(slow):
                first = fast - slow
                second = _ema(cells, at + 4, program[row, 4], first)
                third = first - second
        elif opcode == BOLLINGER:
            if _window(cells, at, length, close):
                width = program[row, 3] * math.sqrt(max(cells[at + 2], 0.0) / length)
                second = cells[at + 1]
                first = second + width
                third = second - width
        elif opcode == ATR:
            first = _atr(cells, at, length, high, low, close)
        elif opcode == ADX:
            first = _adx(cells, at, length, high, low, close)
        elif opcode == LOG_RETURN:
            slot = int(cells[at]) % length
            if cells[at] >= length:
                first = math.log(close / cells[at + 1 + slot])
            cells[at + 1 + slot] = close
            cells[at] += 1.0
        elif opcode == REALISED_VOLATILITY:
            previous = cells[at]
            cells[at] = close
            if previous > 0.0 and _window(cells, at + 1, length, math.log(close / previous) ** 2):
                first = math.sqrt(max(cells[at + 2], 0.0)) * cells[ANNUAL]
        elif opcode == VOLUME_ZSCORE:
            if _window(cells, at, length, volume) and cells[at + 2] > 0.0:
                first = (volume - cells[at + 1]) / math.sqrt(cells[at + 2] / length)
        elif opcode == TIME_OF_DAY:
            first = (time_ns % _NS_PER_DAY) / _NS_PER_DAY
        if program[row, 5] >= 0:
            out[program[row, 5]] = first
        if program[row, 6] >= 0:
            out[program[row, 6]] = second
        if program[row, 7] >= 0:
            out[program[row, 7]] = third
    ready = 0
    for i in range(out.shape[0]):
        if math.isfinite(out[i]):
            ready += 1
        else:
            out[i] = math.nan
    return ready


@_compiled
def run(
    program: Program,
    cells: Cells,
    time_ns: npt.NDArray[np.int64],
    high: npt.NDArray[np.float64],
    low: npt.NDArray[np.float64],
    close: npt.NDArray[np.float64],
    volume: npt.NDArray[np.float64],
    out: npt.NDArray[np.float64],
) -> None:
    """`step` over a table: n bars in, (n, m) outputs out; equal to single steps to the bit."""
    for i in range(len(time_ns)):
        step(program, cells, time_ns[i], high[i], low[i], close[i], volume[i], out[i])


def compiled_step() -> Callable[..., int]:
    """`step` without the look at its arguments' types at each call, a third of its time.

    They must be what `step` says: C-contiguous arrays, Python's int and float.
    """
    step(np.empty((0, COLUMNS), np.int64), np.zeros(1), 0, 0.0, 0.0, 0.0, 0.0, np.empty(0))
    dispatcher = cast("Any", step)
    return cast("Callable[..., int]", dispatcher.get_overload(dispatcher.signatures[0]))
