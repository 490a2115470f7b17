"""Features of a whole table of bars: for training and research, by the very same arithmetic."""

from collections.abc import Sequence

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

    Returns:
        The names, sorted, and a (n, m) float64 table in their order; NaN where not ready.
        Equal to the bit to what `FeatureCore` says bar by bar.

    Raises:
        SettingsError: a name is not a feature's.
    """
    assembly = assemble(names)
    out = np.empty((len(time_ns), len(assembly.names)))
    cells = assembly.fresh_cells(interval_ns)
    kernel.run(assembly.program, cells, time_ns, high, low, close, volume, out)
    return assembly.names, out
