"""Features of a whole table of bars: for training and research, by the very same arithmetic."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from goalkick.feature import kernel
from goalkick.feature.definitions import assemble

Floats = npt.NDArray[np.float64]


def compute(
    names: Sequence[str],
    interval_ns: int,
    time_ns: npt.NDArray[np.int64],
    high: Floats,
    low: Floats,
    close: Floats,
    volume: Floats,
    *,
    restarts: Sequence[int] = (),
) -> tuple[tuple[str, ...], Floats]:
    """Computes features for n bars of one instrument.

    Args:
        names: the features.
        interval_ns: length of the bars.
        time_ns: (n,) closes of the bars, UTC.
        high: (n,) quote currency.
        low: (n,) quote currency.
        close: (n,) quote currency.
        volume: (n,) base currency.
        restarts: rows at which all indicators begin anew, rising: the first bars after a gap
            where the settings say `after_gap: restart`.

    Returns:
        The names, sorted, and a (n, m) float64 table in their order; NaN where not ready.
        Equal to the bit to what `FeatureCore` says bar by bar.

    Raises:
        SettingsError: a name is not a feature's.
    """
    assembly = assemble(names)
    out = np.empty((len(time_ns), len(assembly.names)))
    for first, end in pairwise((0, *restarts, len(time_ns))):
        part = slice(first, end)
        kernel.run(
            assembly.program,
            assembly.fresh_cells(interval_ns),
            time_ns[part],
            high[part],
            low[part],
            close[part],
            volume[part],
            out[part],
        )
    return assembly.names, out
