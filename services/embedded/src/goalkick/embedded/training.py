"""From candles to what a model is trained on: the features that would have been served."""

from collections.abc import Sequence

import numpy as np

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.time import format_duration
from goalkick.feature import batch
from goalkick.feature.definitions import AfterGap, Assembly, assemble
from goalkick.ingest.candles import CandleTable
from goalkick.prediction.training.dataset import Dataset


def datasets_for_training(
    tables: Sequence[CandleTable],
    features: Sequence[str],
    *,
    served: Sequence[str] = (),
    after_gap: AfterGap = "continue",
) -> list[Dataset]:
    """Bars and features of each instrument, computed by the arithmetic that serves them.

    Args:
        tables: one for each instrument, all with bars of one length.
        features: what the model may look at.
        served: what else is served beside them, for strategies or other models: a model only fits
            a platform that serves exactly the set that it was trained on.
        after_gap: what missing bars do to indicators, as it will be when they are served.

    Raises:
        SettingsError: a name is not a feature's.
        InvalidDataError: there is no table, or the bars have different lengths.
    """
    if not tables:
        raise InvalidDataError("training: expected candles of one instrument or more, found none")
    lengths = sorted({table.interval_ns for table in tables})
    if len(lengths) > 1:
        found = ", ".join(map(format_duration, lengths))
        raise InvalidDataError(f"training: expected bars of one length, found {found}")
    assembly = assemble([*features, *served], after_gap)
    restarts = [_after_gaps(table) if after_gap == "restart" else [] for table in tables]
    return [
        _dataset(table, assembly, features, rows)
        for table, rows in zip(tables, restarts, strict=True)
    ]


def _after_gaps(table: CandleTable) -> list[int]:
    """Rows of the first bars after gaps: where the feed says `GapDetected`."""
    closes = [gap.to_ns + table.interval_ns for gap in table.gaps]
    rows: list[int] = np.searchsorted(table.time_ns, closes).tolist()
    return rows


def _dataset(
    table: CandleTable, assembly: Assembly, features: Sequence[str], restarts: Sequence[int]
) -> Dataset:
    close = table.floats("close")
    names, values = batch.compute(
        assembly.names,
        table.interval_ns,
        table.time_ns,
        table.floats("high"),
        table.floats("low"),
        close,
        table.floats("volume"),
        restarts=restarts,
    )
    wanted = tuple(sorted(set(features)))
    return Dataset(
        instrument=table.instrument,
        interval_ns=table.interval_ns,
        time_ns=table.time_ns,
        close=close,
        names=wanted,
        features=values[:, [names.index(name) for name in wanted]],
        definition_hash=assembly.hash,
        served_features=assembly.names,
    )
