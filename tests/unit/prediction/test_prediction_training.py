"""Training: finds what is there, says when nothing is, and never looks ahead."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from goalkick.common.core.errors import InvalidDataError, InvariantError
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.time import NS_PER_MINUTE
from goalkick.feature.batch import compute
from goalkick.feature.definitions import assemble
from goalkick.prediction.manifest import seal
from goalkick.prediction.models.onnx import OnnxGraph
from goalkick.prediction.training import estimators
from goalkick.prediction.training import train as training
from goalkick.prediction.training.dataset import Dataset, Examples, split, stack
from goalkick.prediction.training.estimators import fit
from goalkick.prediction.training.evaluate import evaluate, is_better, p_value
from goalkick.prediction.training.export import to_bytes
from goalkick.prediction.training.train import TrainReport, TrainSpec, train_model

Kind = Literal["logistic", "boosting"]
Plant = Callable[..., Dataset]
KINDS: tuple[Kind, ...] = ("logistic", "boosting")


# --- what is found


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_signal_is_found_better_than_the_base_rate(planted: Plant, kind: Kind) -> None:
    report = train_model([planted(0.7)], TrainSpec(model=kind, horizon=1))
    metrics = report.manifest.metrics
    assert report.manifest.better_than_base_rate
    assert report.verdict.startswith("better than the base rate")
    assert metrics.auc > 0.65
    assert metrics.log_loss < metrics.base_log_loss
    assert metrics.brier < metrics.base_brier
    assert metrics.accuracy > metrics.base_accuracy
    assert report.manifest.mean_down < 0 < report.manifest.mean_up


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("horizon", [1, 12])
def test_noise_is_said_to_be_no_better(planted: Plant, kind: Kind, horizon: int) -> None:
    for seed in range(5):
        report = train_model([planted(0.0, seed=seed)], TrainSpec(model=kind, horizon=horizon))
        assert not report.manifest.better_than_base_rate
        assert report.verdict.startswith("no better than the base rate")


def test_a_drift_alone_is_no_skill(planted: Plant) -> None:
    """Rises became more frequent after the training part: calibration learns it, so may anybody."""
    bars = planted(0.0)
    drift = np.where(np.arange(3000) > 1800, 0.0007, 0.0)
    drifting = msgspec.structs.replace(bars, close=bars.close * np.exp(np.cumsum(drift)))
    assert not train_model([drifting], TrainSpec(horizon=1)).manifest.better_than_base_rate


def test_probabilities_are_calibrated(planted: Plant) -> None:
    bars = planted(1.0, n=20_000)
    report = train_model([bars], TrainSpec(horizon=1))
    graph = OnnxGraph(report.model, 3, "x")
    test = stack([bars], 1)
    test = test.where(test.time_ns >= report.manifest.test.from_ns)
    said = np.array([graph.predict(row) for row in test.features.tolist()])
    for low in (0.1, 0.3, 0.5, 0.7):
        within = (said >= low) & (said < low + 0.2)
        assert within.sum() > 200
        assert abs(said[within].mean() - test.up[within].mean()) < 0.06


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_in_the_test_part_does_not_touch_the_model(planted: Plant, kind: Kind) -> None:
    bars = planted(0.7)
    spec = TrainSpec(model=kind, horizon=5)
    report = train_model([bars], spec)
    start = int(np.searchsorted(bars.time_ns, report.manifest.test.from_ns)) + 1
    close, features = bars.close.copy(), bars.features.copy()
    close[start:] = close[start:][::-1]
    features[start:] = features[start:][::-1]
    other = train_model([msgspec.structs.replace(bars, close=close, features=features)], spec)
    assert other.model == report.model
    assert other.manifest.metrics != report.manifest.metrics
    assert (other.manifest.mean_up, other.manifest.mean_down) == (
        report.manifest.mean_up,
        report.manifest.mean_down,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_data_give_the_same_bytes(planted: Plant, kind: Kind) -> None:
    spec = TrainSpec(model=kind, horizon=3)
    pair = [planted(0.5), planted(0.5, seed=1, instrument="test:ETH/USDT")]
    report = train_model(pair, spec)
    assert train_model(pair[::-1], spec) == report
    assert report.manifest.instruments == ("test:BTC/USDT", "test:ETH/USDT")
    assert train_model([planted(0.5)], spec).manifest.id != report.manifest.id


def test_the_manifest_tells_what_the_model_was_made_from(trained: TrainReport) -> None:
    told = trained.manifest
    assert told.features == ("a", "b", "c")
    assert told.served_features == ("a", "b", "c", "d")
    assert told.definition_hash == "0123456789abcdef"
    assert (told.interval_ns, told.horizon_bars, told.horizon_ns) == (
        NS_PER_MINUTE,
        1,
        NS_PER_MINUTE,
    )
    assert told.train.from_ns == 21 * NS_PER_MINUTE
    assert told.train.to_ns < told.calibrate.from_ns < told.calibrate.to_ns < told.test.from_ns
    assert told.train.rows + told.calibrate.rows + told.test.rows + trained.purged == 2979
    assert set(told.libraries) >= {"scikit-learn", "onnxruntime"}
    assert seal(told, trained.model) == told
    assert (trained.not_ready, trained.no_outcome) == (20, 1)


def test_progress_is_told_and_only_rises(planted: Plant) -> None:
    told: list[tuple[str, float]] = []
    train_model([planted(0.5)], TrainSpec(), lambda stage, share: told.append((stage, share)))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)


# --- export


@pytest.mark.parametrize("kind", KINDS)
def test_served_probabilities_equal_scikit_learns(planted: Plant, kind: Kind) -> None:
    examples = stack([planted(0.5)], 1)
    rounded = examples.features.astype(np.float32).astype(np.float64)
    parts = split(msgspec.structs.replace(examples, features=rounded), NS_PER_MINUTE, 0.6, 0.2)
    pipeline = fit(kind, parts.train, parts.calibrate)
    graph = OnnxGraph(to_bytes(pipeline, kind, 3), 3, "x")
    # The training rows too: thresholds of trees lie between them, where rounding would show.
    for part in (parts.train, parts.test):
        served = [graph.predict(row) for row in part.features.tolist()]
        fitted = pipeline.predict_proba(part.features)[:, 1]
        np.testing.assert_allclose(served, fitted, rtol=0, atol=1e-6)


def test_trees_split_neighbouring_numbers_as_scikit_learn_does() -> None:
    """Two values, one float32 step apart, and a threshold between them that float32 cannot hold."""
    low = np.float32(30_000.0)
    pair = np.array([low, np.nextafter(low, np.float32(np.inf))], dtype=np.float64)
    for first in (0, 1):
        chosen = np.arange(4000) % 2
        up = (chosen + np.random.default_rng(first).integers(0, 5, 4000) // 4) % 2
        values = np.nextafter(pair.astype(np.float32), np.float32(np.inf)) if first else pair
        part = Examples(
            time_ns=np.arange(4000, dtype=np.int64),
            features=values.astype(np.float64)[chosen].reshape(-1, 1),
            returns=up.astype(np.float64) - 0.5,
        )
        pipeline = fit("boosting", part, part)
        graph = OnnxGraph(to_bytes(pipeline, "boosting", 1), 1, "x")
        rows = values.astype(np.float64).reshape(-1, 1)
        served = [graph.predict(row) for row in rows.tolist()]
        np.testing.assert_allclose(served, pipeline.predict_proba(rows)[:, 1], atol=1e-6)
        assert served[1] - served[0] > 0.3


def test_trees_learn_nothing_from_what_float32_cannot_tell_apart(planted: Plant) -> None:
    """The graph would answer the same for both values, whatever was fitted."""
    bars = planted(0.0)
    rises = np.append(bars.close[1:] > bars.close[:-1], [False])
    features = np.where(rises, 1.0, 1.0 + 1e-9).reshape(-1, 1)
    told = msgspec.structs.replace(bars, names=("a",), features=features)
    report = train_model([told], TrainSpec(model="boosting", horizon=1))
    assert report.manifest.metrics.auc == 0.5


def test_a_graph_that_says_something_else_is_refused(
    planted: Plant,
    trained: TrainReport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training, "to_bytes", lambda *_: trained.model)
    with pytest.raises(InvariantError, match="within 1e-05 of scikit-learn's, found a difference"):
        train_model([planted(0.2, seed=5)], TrainSpec(horizon=1))


# --- the verdict


def test_luck_is_told_from_skill() -> None:
    random = np.random.default_rng(3)
    noise = random.normal(size=5000)
    assert p_value(noise - noise.mean() + 0.1, 50) < 0.001
    assert 0.3 < p_value(noise - noise.mean(), 50) < 0.7
    assert p_value(noise - 0.1, 50) > 0.99


def test_lasting_luck_counts_less_than_it_seems() -> None:
    """The same values in long runs are fewer observations."""
    draws = np.random.default_rng(0).normal(0.1, 1, 100)
    runs = np.repeat(draws, 50)
    shuffled = np.random.default_rng(1).permutation(runs)
    assert p_value(runs, 200) > 20 * p_value(shuffled, 200)


def test_too_little_data_convince_nobody() -> None:
    assert p_value(np.ones(499), 50) == 1.0
    assert p_value(np.ones(500), 50) < 0.001


def test_instruments_of_one_moment_are_one_observation() -> None:
    moments = np.arange(1000, dtype=np.int64)
    up = moments % 7 > 2
    said = np.where((np.random.default_rng(0).random(1000) < 0.45) ^ up, 0.6, 0.4)
    once = evaluate(said, up, moments, (0.5,), 1)
    many = evaluate(said.repeat(9), up.repeat(9), moments.repeat(9), (0.5,), 1)
    assert 0.01 < once.p_value < 0.99, "neither sure nor hopeless, so that a difference would show"
    assert many.p_value == pytest.approx(once.p_value, abs=0.001)
    assert many.log_loss == pytest.approx(once.log_loss)


def test_figures_follow_their_formulas() -> None:
    up = np.array([True, False, True, True])
    metrics = evaluate(np.array([0.8, 0.4, 0.6, 0.3]), up, np.arange(4), (0.5, 0.75), 1)
    np.testing.assert_allclose(metrics.log_loss, -np.log([0.8, 0.6, 0.6, 0.3]).mean())
    np.testing.assert_allclose(metrics.brier, np.mean([0.04, 0.16, 0.16, 0.49]))
    assert (metrics.accuracy, metrics.base_accuracy) == (0.75, 0.75)
    assert metrics.base_rate == 0.75, "the base rate that does best counts"
    np.testing.assert_allclose(metrics.base_log_loss, -np.log([0.75, 0.25, 0.75, 0.75]).mean())
    np.testing.assert_allclose(metrics.auc, 2 / 3)
    assert not is_better(metrics)


# --- bad input


def test_a_fit_that_does_not_settle_is_refused(
    planted: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimators, "_MAX_ITERATIONS", 1)
    with pytest.raises(InvalidDataError, match="settles within 1 iterations"):
        train_model([planted(0.5)], TrainSpec())


def test_refuses_parts_that_are_too_small(planted: Plant) -> None:
    with pytest.raises(InvalidDataError, match="expected 100 examples or more to calibrate on"):
        train_model([planted(0.5, n=400)], TrainSpec())


def test_refuses_a_market_that_only_rises(planted: Plant) -> None:
    bars = planted(0.5)
    rising = msgspec.structs.replace(bars, close=np.arange(1.0, 3001.0))
    with pytest.raises(InvalidDataError, match="some that did not, found"):
        train_model([rising], TrainSpec())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"interval_ns": 5 * NS_PER_MINUTE}, "one interval_ns, found"),
        ({"names": ("a", "b", "d")}, "one names, found"),
        ({"definition_hash": "other"}, "one definition_hash, found"),
        ({"instrument": "test:BTC/USDT"}, "each instrument once"),
    ],
)
def test_refuses_instruments_that_do_not_go_together(
    planted: Plant, change: dict[str, object], reason: str
) -> None:
    other = msgspec.structs.replace(planted(0.5, instrument="test:ETH/USDT"), **change)
    with pytest.raises(InvalidDataError, match=reason):
        train_model([planted(0.5), other], TrainSpec())


def test_refuses_no_instruments() -> None:
    with pytest.raises(InvalidDataError, match="found none"):
        train_model([], TrainSpec())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"close": np.ones(3)}, "expected 3000 closes"),
        ({"features": np.ones((3000, 2))}, "features"),
        ({"close": np.full(3000, np.nan)}, "positive closes"),
        ({"time_ns": np.zeros(3000, dtype=np.int64)}, "times that rise"),
        ({"served_features": ("a", "b")}, "features out of a, b"),
    ],
)
def test_refuses_a_table_that_is_not_as_described(
    planted: Plant, change: dict[str, object], reason: str
) -> None:
    with pytest.raises(InvalidDataError, match=reason):
        msgspec.structs.replace(planted(0.5), **change)


@pytest.mark.parametrize(
    "values",
    [
        {"train": 0.8, "calibrate": 0.2},
        {"horizon": 0},
        {"name": "../up"},
        {"model": "pickle"},
    ],
)
def test_refuses_a_specification_out_of_range(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TrainSpec(**values)


# --- real bars


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_year_of_bitcoin_gives_a_model_that_is_served_as_it_was_fitted(
    recorded_data: Path, kind: Kind
) -> None:
    bars = pd.read_csv(recorded_data / "candles" / "binance_spot_BTCUSDT_5m_2023.csv.gz")
    interval_ns = 5 * NS_PER_MINUTE
    time_ns = bars["ts_ms"].to_numpy(np.int64) * 1_000_000 + interval_ns
    high, low, close, volume = (
        bars[column].to_numpy(np.float64) for column in ("high", "low", "close", "volume")
    )
    wanted = ("rsi_14", "log_return_1", "log_return_5", "volume_zscore_20", "time_of_day")
    names, features = compute(wanted, interval_ns, time_ns, high, low, close, volume)
    report = train_model(
        [
            Dataset(
                instrument=InstrumentId("binance:BTC/USDT"),
                interval_ns=interval_ns,
                time_ns=time_ns,
                close=close,
                names=names,
                features=features,
                definition_hash=assemble(wanted).hash,
            )
        ],
        TrainSpec(model=kind, horizon=12),
    )
    metrics = report.manifest.metrics
    assert report.manifest.test.rows > 20_000
    # Nobody sees much in an hour of Bitcoin: anything far from the base rate is a leak.
    assert abs(metrics.log_loss - metrics.base_log_loss) < 0.01
    assert 0.48 < metrics.auc < 0.58
    assert "than the base rate" in report.verdict
