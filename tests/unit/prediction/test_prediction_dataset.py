"""Examples and their split: an outcome belongs to its bar, and no part sees another's."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.ids import InstrumentId
from goalkick.prediction.training.dataset import Dataset, Examples, split, stack

Plant = Callable[..., Dataset]


def dataset(close: list[float], times: list[int] | None = None) -> Dataset:
    n = len(close)
    return Dataset(
        instrument=InstrumentId("test:BTC/USDT"),
        interval_ns=10,
        time_ns=np.array(times or [10 * (i + 1) for i in range(n)], dtype=np.int64),
        close=np.array(close),
        names=("a",),
        features=np.arange(n, dtype=np.float64).reshape(-1, 1),
        definition_hash="x",
    )


# --- what an example is


def test_the_outcome_is_the_return_to_the_close_one_horizon_later() -> None:
    examples = stack([dataset([100.0, 110.0, 121.0, 121.0, 60.5])], horizon=2)
    assert examples.time_ns.tolist() == [10, 20, 30]
    np.testing.assert_allclose(examples.returns, [0.21, 0.1, -0.5])
    assert examples.up.tolist() == [True, True, False]
    assert (examples.no_outcome, examples.not_ready) == (2, 0)


def test_no_change_is_not_a_rise() -> None:
    assert stack([dataset([100.0, 100.0])], horizon=1).up.tolist() == [False]


def test_a_gap_leaves_no_outcome_rather_than_a_longer_horizon() -> None:
    examples = stack([dataset([1.0, 2.0, 3.0, 4.0], [10, 20, 50, 60])], horizon=1)
    assert examples.time_ns.tolist() == [10, 50]
    assert examples.no_outcome == 2


def test_bars_whose_features_are_not_ready_are_left_out_but_close_outcomes() -> None:
    bars = dataset([1.0, 2.0, 3.0, 4.0])
    bars.features[1] = np.nan
    examples = stack([bars], horizon=1)
    assert examples.time_ns.tolist() == [10, 30]
    assert examples.not_ready == 1


def test_instruments_are_stacked_by_time_whatever_their_order(planted: Plant) -> None:
    one, two = planted(0.5, n=50), planted(0.5, n=40, seed=1, instrument="test:ETH/USDT")
    examples, again = stack([two, one], 1), stack([one, two], 1)
    assert np.all(np.diff(examples.time_ns) >= 0)
    assert np.array_equal(examples.features, again.features)
    assert len(examples.time_ns) == 49 - 20 + 39 - 20


@given(
    future=st.permutations(range(30)),
    horizon=st.integers(1, 5),
)
def test_shuffling_the_future_changes_no_example_of_the_past(
    future: list[int], horizon: int
) -> None:
    close = [100.0 + (7 * i) % 13 for i in range(60)]
    shuffled = close[:30] + [close[30 + i] for i in future]
    past = 30 - horizon
    ours, theirs = (stack([dataset(prices)], horizon) for prices in (close, shuffled))
    assert np.array_equal(ours.returns[:past], theirs.returns[:past])
    assert np.array_equal(ours.features[:past], theirs.features[:past])


# --- the split


@settings(deadline=None)
@given(
    n=st.integers(10, 200),
    horizon=st.integers(1, 20),
    instruments=st.integers(1, 3),
    shares=st.tuples(st.floats(0.05, 0.9), st.floats(0.05, 0.9)).filter(lambda s: sum(s) < 1),
)
def test_no_outcome_of_one_part_reaches_into_the_next(
    n: int, horizon: int, instruments: int, shares: tuple[float, float]
) -> None:
    time_ns = np.repeat(np.arange(n, dtype=np.int64) * 10, instruments)
    k = len(time_ns)
    examples = Examples(time_ns=time_ns, features=np.zeros((k, 1)), returns=np.zeros(k))
    parts = split(examples, horizon * 10, *shares)
    filled = [p for p in (parts.train, parts.calibrate, parts.test) if len(p.time_ns)]
    for earlier, later in pairwise(filled):
        assert earlier.time_ns.max() + horizon * 10 <= later.time_ns.min()
    assert sum(len(part.time_ns) for part in filled) + parts.purged == k
    for part in filled:
        _, counts = np.unique(part.time_ns, return_counts=True)
        assert set(counts) == {instruments}, "instruments are cut at the same instants"


def test_nothing_to_cut_is_refused_with_the_counts() -> None:
    with pytest.raises(InvalidDataError, match=r"found none.*1 without an outcome"):
        split(stack([dataset([1.0])], 12), 120, 0.6, 0.2)
