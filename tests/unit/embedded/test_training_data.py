"""What a model is trained on is what it would have been served."""

import numpy as np
import pytest

from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.events.feature import FeatureVector
from goalkick.embedded.pipeline import Pipeline
from goalkick.embedded.settings import GoalkickSettings
from goalkick.embedded.training import datasets_for_training
from goalkick.feature.definitions import CHAIN
from goalkick.ingest.feeds.replay import ReplayFeed
from tests.embedded.recordings import walk


def test_a_matrix_holds_what_the_pipeline_serves_to_the_bit() -> None:
    tables = [walk(rows=300), walk("ETH/USDT", rows=300, seed=8, missing=range(50, 60))]
    seen: list[FeatureVector] = []
    pipeline = Pipeline(
        GoalkickSettings.model_validate({"feature": {"features": CHAIN}}),
        sinks=[(FeatureVector, seen.append)],  # type: ignore[list-item]
    )
    for step in ReplayFeed(tables).steps():
        pipeline.feed(step)
    for data in datasets_for_training(tables, CHAIN):
        own = [vector for vector in seen if vector.instrument == data.instrument]
        assert [vector.time_ns for vector in own] == data.time_ns.tolist()
        for vector, row, close in zip(own, data.features, data.close, strict=True):
            ready = ~np.isnan(row)
            names = tuple(np.array(data.names)[ready])
            assert (vector.names, vector.values) == (names, tuple(row[ready]))
            assert (vector.definition_hash, float(vector.close)) == (data.definition_hash, close)


def test_served_features_beside_the_models_own_are_in_the_hash_and_not_in_the_matrix() -> None:
    (alone,) = datasets_for_training([walk()], ["rsi_14"])
    (beside,) = datasets_for_training([walk()], ["rsi_14"], served=["ema_10"])
    assert beside.names == alone.names == ("rsi_14",)
    assert np.array_equal(beside.features, alone.features, equal_nan=True)
    assert beside.definition_hash != alone.definition_hash
    assert beside.served_features == ("ema_10", "rsi_14")


def test_refuses_what_cannot_be_learnt_from() -> None:
    with pytest.raises(InvalidDataError, match="found none"):
        datasets_for_training([], ["rsi_14"])
    with pytest.raises(SettingsError, match="rsj_14"):
        datasets_for_training([walk()], ["rsj_14"])
