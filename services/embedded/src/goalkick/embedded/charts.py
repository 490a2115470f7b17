"""Line charts as inline SVG: no script, no network, readable in any browser and on paper."""

from html import escape
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from goalkick.common.values.time import NS_PER_DAY, format_time

WIDTH, HEIGHT = 960, 260
LEFT, RIGHT, TOP, BOTTOM = 76, 12, 10, 24
MAX_POINTS = 1_600
"""More points than pixels only make the file large; extremes are kept, see `thinned`."""

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


def thinned(values: Floats, limit: int = MAX_POINTS) -> npt.NDArray[np.int64]:
    """Positions of at most about `limit` values that keep each stretch's lowest and highest."""
    n = len(values)
    if n <= limit:
        return np.arange(n)
    edges = np.linspace(0, n, limit // 2 + 1).astype(np.int64)
    kept = {0, n - 1}
    for start, stop in pairwise(edges):
        part = values[start:stop]
        kept.add(int(start + np.argmin(part)))
        kept.add(int(start + np.argmax(part)))
    return np.array(sorted(kept))


class Chart:
    """One chart: axes, a line, perhaps marks."""

    def __init__(self, title: str, time_ns: Times, values: Floats, *, unit: str = "") -> None:
        """Scales the axes to the data.

        Args:
            title: what it shows; read by screen readers too.
            time_ns: (n,) ascending, n >= 1.
            values: (n,) finite.
            unit: appended to the axis labels.
        """
        self._title = title
        self._unit = unit
        self._t0, self._t1 = int(time_ns[0]), int(time_ns[-1])
        low, high = float(np.min(values)), float(np.max(values))
        margin = (high - low) * 0.04 or abs(high) * 0.01 or 1.0
        self._low, self._high = low - margin, high + margin
        self._parts: list[str] = []
        self._grid()
        keep = thinned(values)
        points = " ".join(
            f"{self._x(int(time_ns[i])):.1f},{self._y(float(values[i])):.1f}" for i in keep
        )
        self._parts.append(f'<polyline class="line" points="{points}"/>')

    def mark(self, time_ns: int, value: float, kind: str, text: str) -> None:
        """Adds a triangle: `kind` is `buy` or `sell`; `text` shows under the pointer."""
        x, y = self._x(time_ns), self._y(value)
        dy = 7 if kind == "buy" else -7
        shape = f'<path class="{kind}" d="M{x:.1f},{y:.1f}l-4,{dy}h8z">'
        self._parts.append(f"{shape}<title>{escape(text)}</title></path>")

    def svg(self) -> str:
        """The chart."""
        body = "".join(self._parts)
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self._title)}">'
            f"{body}</svg>"
        )

    def _x(self, time_ns: int) -> float:
        span = max(self._t1 - self._t0, 1)
        return LEFT + (time_ns - self._t0) / span * (WIDTH - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def _grid(self) -> None:
        for value in _ticks(self._low, self._high):
            y = self._y(value)
            label = f"{value:,.6g}{self._unit}"
            self._parts.append(
                f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text class="tick end" x="{LEFT - 6}" y="{y + 4:.1f}">{label}</text>'
            )
        for i in range(5):
            t = self._t0 + (self._t1 - self._t0) * i // 4
            place = "start" if i == 0 else "end" if i == 4 else "middle"
            text = format_time(t)
            label = text[:10] if self._t1 - self._t0 > 4 * NS_PER_DAY else text[5:16]
            self._parts.append(
                f'<text class="tick {place}" x="{self._x(t):.1f}" y="{HEIGHT - 6}">{label}</text>'
            )


def _ticks(low: float, high: float) -> list[float]:
    """About five round values inside [low, high] (steps of 1, 2 or 5 times a power of ten)."""
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = float(next(m * power for m in (1, 2, 5, 10) if m * power >= rough))
    first = np.ceil(low / step)
    return [float(k * step) for k in np.arange(first, np.floor(high / step) + 1)]
