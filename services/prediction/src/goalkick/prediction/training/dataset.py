"""Examples out of features and closes, and their split in time. Nothing here is ever shuffled.

An example is made at the close of a bar from what was known then; its outcome is the return from
that close to the close one horizon later. Where two parts of a split meet, the examples whose
outcome reaches into the later part are left out, so that no return is seen by both.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.ids import InstrumentId

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """Bars of one instrument with their features.

    Attributes:
        instrument: whose bars they are.
        interval_ns: length of the bars.
        time_ns: (n,) int64, closes of the bars, UTC, strictly rising; may have gaps.
        close: (n,) float64, positive, quote currency.
        names: the m features that the model may look at.
        features: (n, m) float64, NaN where a feature is not ready; as known at `time_ns`.
        definition_hash: of the whole set of served features that they were taken from.
        served_features: that whole set; empty: just `names`.
    """

    instrument: InstrumentId
    interval_ns: int
    time_ns: Integers
    close: Floats
    names: tuple[str, ...]
    features: Floats
    definition_hash: str
    served_features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks shapes, order and range.

        Raises:
            InvalidDataError: one of them is not as described.
        """
        n, m = len(self.time_ns), len(self.names)
        if not m or self.features.shape != (n, m) or self.close.shape != (n,):
            raise InvalidDataError(
                f"{self.instrument}: expected {n} closes and features ({n}, {m}), one or more, "
                f"found {self.close.shape} and {self.features.shape}"
            )
        if n > 1 and not bool(np.all(np.diff(self.time_ns) > 0)):
            raise InvalidDataError(f"{self.instrument}: expected times that rise, found others")
        if not bool(np.all(np.isfinite(self.close) & (self.close > 0))):
            raise InvalidDataError(f"{self.instrument}: expected positive closes, found others")
        if self.served_features and not set(self.names) <= set(self.served_features):
            raise InvalidDataError(
                f"{self.instrument}: expected features out of {', '.join(self.served_features)}, "
                f"found {', '.join(self.names)}"
            )


class Examples(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to learn from, of all instruments together, in order of time.

    Attributes:
        time_ns: (k,) int64, when each was made; rising, equal for different instruments.
        features: (k, m) float64, finite.
        returns: (k,) float64, simple return over the horizon.
        not_ready: bars left out because a feature was not ready.
        no_outcome: bars left out because there is no bar one horizon later, or not at that time.
    """

    time_ns: Integers
    features: Floats
    returns: Floats
    not_ready: int = 0
    no_outcome: int = 0

    @property
    def up(self) -> Mask:
        """(k,) whether the return was positive; no change at all is not."""
        return self.returns > 0

    def where(self, mask: Mask) -> "Examples":
        """Those that `mask` (k,) marks."""
        return Examples(
            time_ns=self.time_ns[mask], features=self.features[mask], returns=self.returns[mask]
        )


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """Three parts, one after the other, and how many examples lay between them."""

    train: Examples
    calibrate: Examples
    test: Examples
    purged: int


def stack(datasets: Sequence[Dataset], horizon: int) -> Examples:
    """All usable examples, sorted by time and, within a moment, by instrument.

    Args:
        datasets: one for each instrument, in any order.
        horizon: bars from an example to its outcome.

    Raises:
        InvalidDataError: there are none, or they do not go together.
    """
    _check_together(datasets)
    parts = [_examples(one, horizon) for one in sorted(datasets, key=lambda d: d.instrument)]
    time_ns = np.concatenate([part.time_ns for part in parts])
    order = np.argsort(time_ns, kind="stable")
    return Examples(
        time_ns=time_ns[order],
        features=np.concatenate([part.features for part in parts])[order],
        returns=np.concatenate([part.returns for part in parts])[order],
        not_ready=sum(part.not_ready for part in parts),
        no_outcome=sum(part.no_outcome for part in parts),
    )


def split(examples: Examples, horizon_ns: int, train: float, calibrate: float) -> Split:
    """Cuts at two instants, the same for all instruments.

    Args:
        examples: in order of time.
        horizon_ns: how far an outcome reaches.
        train: share of the examples before the first cut.
        calibrate: share of the examples between the cuts.

    Raises:
        InvalidDataError: there is nothing to cut.
    """
    time_ns, n = examples.time_ns, len(examples.time_ns)
    if not n:
        raise InvalidDataError(
            "training: expected examples, found none: no bar has all features ready and another "
            f"bar one horizon later ({examples.not_ready} bars not ready, {examples.no_outcome} "
            "without an outcome)"
        )
    first = time_ns[int(n * train)]
    second = time_ns[min(int(n * (train + calibrate)), n - 1)]
    ends = time_ns + horizon_ns
    before = ends <= first
    between = (time_ns >= first) & (ends <= second)
    after = time_ns >= second
    return Split(
        train=examples.where(before),
        calibrate=examples.where(between),
        test=examples.where(after),
        purged=int(n - before.sum() - between.sum() - after.sum()),
    )


def _examples(data: Dataset, horizon: int) -> Examples:
    n = len(data.time_ns)
    reach = max(n - horizon, 0)
    later = data.time_ns[n - reach :] - data.time_ns[:reach]
    # After a gap the bar `horizon` places later is not one horizon later: no outcome is known.
    known = np.zeros(n, dtype=np.bool_)
    known[:reach] = later == horizon * data.interval_ns
    returns = np.zeros(n)
    returns[:reach] = data.close[n - reach :] / data.close[:reach] - 1
    ready = np.isfinite(data.features).all(axis=1)
    usable = known & ready
    return Examples(
        time_ns=data.time_ns[usable],
        features=data.features[usable],
        returns=returns[usable],
        not_ready=int((~ready).sum()),
        no_outcome=int((ready & ~known).sum()),
    )


def _check_together(datasets: Sequence[Dataset]) -> None:
    if not datasets:
        raise InvalidDataError("training: expected bars of one instrument or more, found none")
    first = datasets[0]
    for other in datasets[1:]:
        for what in ("interval_ns", "names", "definition_hash", "served_features"):
            if getattr(other, what) != getattr(first, what):
                raise InvalidDataError(
                    f"training: expected one {what}, found {getattr(first, what)} for "
                    f"{first.instrument} and {getattr(other, what)} for {other.instrument}"
                )
    if len({data.instrument for data in datasets}) < len(datasets):
        raise InvalidDataError("training: expected each instrument once, found one repeated")
