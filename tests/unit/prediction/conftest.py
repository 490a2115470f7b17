"""Bars with a signal that was planted in them, and a model that was trained on such bars."""

from collections.abc import Callable

import numpy as np
import pytest

from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.time import NS_PER_MINUTE
from goalkick.prediction.training.dataset import Dataset
from goalkick.prediction.training.train import TrainReport, TrainSpec, train_model

Plant = Callable[..., Dataset]


def plant(
    strength: float, n: int = 3000, seed: int = 0, instrument: str = "test:BTC/USDT"
) -> Dataset:
    """n bars whose next return leans on feature `a`, by `strength` standard deviations."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(n, 3)) * [1.0, 1e4, 1e-5] + [0.0, 3e4, 0.0]
    returns = np.zeros(n)
    returns[1:] = 0.001 * (strength * features[:-1, 0] + random.normal(size=n - 1))
    features[:20, 1] = np.nan
    return Dataset(
        instrument=InstrumentId(instrument),
        interval_ns=NS_PER_MINUTE,
        time_ns=(np.arange(n, dtype=np.int64) + 1) * NS_PER_MINUTE,
        close=30_000 * np.exp(np.cumsum(returns)),
        names=("a", "b", "c"),
        features=features,
        definition_hash="0123456789abcdef",
        served_features=("a", "b", "c", "d"),
    )


@pytest.fixture(scope="session")
def planted() -> Plant:
    return plant


@pytest.fixture(scope="session")
def trained() -> TrainReport:
    return train_model([plant(0.7)], TrainSpec(model="logistic", horizon=1))
