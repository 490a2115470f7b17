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


def test_a_matrix_restarts_after_a_gap_where_the_platform_does() -> None:
    tables = [
        walk(rows=300, missing=[*range(50, 60), 70, 200]),
        walk("ETH/USDT", rows=120, seed=8),
    ]
    settings = GoalkickSettings.model_validate(
        {"feature": {"features": CHAIN, "after_gap": "restart"}}
    )
    seen: list[FeatureVector] = []
    pipeline = Pipeline(settings, sinks=[(FeatureVector, seen.append)])  # type: ignore[list-item]
    for step in ReplayFeed(tables).steps():
        pipeline.feed(step)
    gappy, whole = datasets_for_training(tables, CHAIN, after_gap="restart")
    for data in (gappy, whole):
        own = [vector for vector in seen if vector.instrument == data.instrument]
        for vector, row in zip(own, data.features, strict=True):
            assert vector.values == tuple(row[~np.isnan(row)])
            assert vector.definition_hash == data.definition_hash
    _, on = datasets_for_training(tables, CHAIN)
    assert np.array_equal(on.features, whole.features, equal_nan=True), "no gap, no difference"
    assert on.definition_hash != whole.definition_hash, "they do not serve the same platform"


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
