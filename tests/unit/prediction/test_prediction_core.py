"""The prediction core: when it speaks, what it says, and whom it refuses."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.events.feature import FeatureVector
from goalkick.common.events.prediction import ForecastMade
from goalkick.common.values.ids import InstrumentId, ModelId
from goalkick.common.values.time import NS_PER_HOUR, NS_PER_MINUTE
from goalkick.prediction.core import PredictionCore
from goalkick.prediction.models.onnx import OnnxModel, load
from goalkick.prediction.settings import PredictionSettings
from goalkick.prediction.training.train import TrainReport

BTC = InstrumentId("test:BTC/USDT")
SERVED = "0123456789abcdef"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    id: ModelId = ModelId("echo-1")
    features: tuple[str, ...] = ("b", "a")
    served_features: tuple[str, ...] = ("a", "b", "c")
    definition_hash: str = SERVED
    interval_ns: int = NS_PER_MINUTE
    horizon_ns: int = NS_PER_HOUR
    mean_up: float = 0.02
    mean_down: float = -0.01
    better_than_base_rate: bool = True


class Echo:
    """A model that answers its first value."""

    def __init__(self, manifest: Facts | None = None) -> None:
        self.manifest = manifest or Facts()

    def predict(self, values: Sequence[float]) -> float:
        assert len(values) == len(self.manifest.features)
        return values[0]


def vector(time_ns: int = NS_PER_MINUTE, **changes: object) -> FeatureVector:
    told = FeatureVector(
        time_ns=time_ns,
        instrument=BTC,
        interval_ns=NS_PER_MINUTE,
        available_at_ns=time_ns,
        definition_hash=SERVED,
        names=("a", "b", "c"),
        values=(0.1, 0.75, 0.3),
        close=Decimal("30000.10"),
    )
    return msgspec.structs.replace(told, **changes)


def core(*models: Echo | OnnxModel, **settings: bool) -> PredictionCore:
    return PredictionCore(PredictionSettings(**settings), models)


def forecasts(served: PredictionCore, features: FeatureVector) -> list[ForecastMade]:
    answers = served.handlers[FeatureVector](features)
    assert all(isinstance(answer, ForecastMade) for answer in answers)
    return list(answers)  # type: ignore[arg-type]


def test_says_what_the_model_says_in_the_order_of_the_model_with_an_expiry() -> None:
    (forecast,) = forecasts(core(Echo()), vector())
    assert forecast == ForecastMade(
        time_ns=NS_PER_MINUTE,
        instrument=BTC,
        interval_ns=NS_PER_MINUTE,
        model=ModelId("echo-1"),
        horizon_ns=NS_PER_HOUR,
        probability_up=0.75,
        expected_return=0.75 * 0.02 + 0.25 * -0.01,
        confidence=0.5,
        expires_at_ns=2 * NS_PER_MINUTE,
        definition_hash=SERVED,
    )


@given(up=st.floats(0, 1))
def test_confidence_and_expected_return_stay_in_their_ranges(up: float) -> None:
    (forecast,) = forecasts(core(Echo()), vector(values=(0.1, up, 0.3)))
    assert 0 <= forecast.confidence <= 1
    assert -0.01 <= forecast.expected_return <= 0.02
    assert forecast.expires_at_ns > forecast.time_ns


def test_is_silent_without_a_model() -> None:
    assert forecasts(core(), vector()) == []
    assert core().needs == ()


def test_is_silent_about_bars_of_another_length() -> None:
    assert forecasts(core(Echo()), vector(interval_ns=NS_PER_HOUR)) == []


def test_is_silent_until_every_feature_of_the_model_is_ready() -> None:
    served = core(Echo())
    assert forecasts(served, vector(names=("a", "c"), values=(0.1, 0.3))) == []
    assert len(forecasts(served, vector(names=("a", "b"), values=(0.1, 0.75)))) == 1
    assert len(forecasts(served, vector())) == 1
    assert forecasts(served, vector(names=("b",), values=(0.75,))) == []


def test_every_model_speaks_in_the_order_given() -> None:
    second = Echo(Facts(id=ModelId("echo-2"), features=("c",)))
    said = forecasts(core(Echo(), second), vector())
    assert [(f.model, f.probability_up) for f in said] == [("echo-1", 0.75), ("echo-2", 0.3)]
    assert len({f.id for f in said}) == 2


@pytest.mark.parametrize("interval_ns", [NS_PER_MINUTE, NS_PER_HOUR])
def test_refuses_features_of_another_definition_at_the_first_vector(interval_ns: int) -> None:
    strange = vector(definition_hash="fedcba9876543210", interval_ns=interval_ns)
    with pytest.raises(
        SettingsError, match=r"echo-1: expected .* 0123456789abcdef, found fedcba9876543210"
    ):
        core(Echo()).handlers[FeatureVector](strange)


def test_refuses_features_of_another_definition_at_once_where_it_is_known() -> None:
    PredictionCore(PredictionSettings(), [Echo()], definition_hash=SERVED)
    with pytest.raises(SettingsError, match="serve exactly a, b, c"):
        PredictionCore(PredictionSettings(), [Echo()], definition_hash="fedcba9876543210")


def test_refuses_a_model_that_is_given_twice() -> None:
    with pytest.raises(SettingsError, match="echo-1 repeated"):
        core(Echo(), Echo())


def test_refuses_a_worthless_model_only_where_worth_is_required() -> None:
    worthless = Echo(Facts(better_than_base_rate=False))
    core(worthless)
    core(Echo(), require_better_than_base_rate=True)
    with pytest.raises(SettingsError, match="better than the base rate"):
        core(worthless, require_better_than_base_rate=True)


def test_needs_the_whole_set_of_features_that_its_models_were_trained_with() -> None:
    assert core(Echo()).needs == ("a", "b", "c")


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=8), st.integers(0, 8))
def test_snapshot_and_restore_are_invisible(rows: list[tuple[float, bool]], cut: int) -> None:
    events = [
        vector((i + 1) * NS_PER_MINUTE, values=(0.1, up, 0.3))
        if ready
        else vector((i + 1) * NS_PER_MINUTE, names=("a",), values=(0.1,))
        for i, (up, ready) in enumerate(rows)
    ]
    straight = core(Echo())
    expected = [forecasts(straight, event) for event in events]
    before, after = core(Echo()), core(Echo())
    said = [forecasts(before, event) for event in events[:cut]]
    after.restore(before.snapshot())
    assert after.snapshot() == before.snapshot() == straight.snapshot()
    assert said + [forecasts(after, event) for event in events[cut:]] == expected


def test_refuses_the_snapshot_of_other_models() -> None:
    with pytest.raises(InvalidDataError, match="expected prediction/1"):
        core(Echo()).restore(core().snapshot())


def test_serves_a_trained_model_the_same_way_each_time(
    trained: TrainReport, tmp_path: Path
) -> None:
    trained.save(tmp_path)
    names, rows = ("a", "b", "c"), [(i / 10 - 1, 3e4 + i, 1e-5) for i in range(20)]
    events = [vector(names=names, values=row) for row in rows]

    def run() -> list[ForecastMade]:
        served = core(load(tmp_path))
        return [forecast for event in events for forecast in forecasts(served, event)]

    said = run()
    assert said == run()
    ups = [forecast.probability_up for forecast in said]
    assert ups == sorted(ups), "a rises, and with it the probability"
    assert ups[0] < 0.3
    assert ups[-1] > 0.7
    assert said[0].model == trained.manifest.id
    assert said[0].expected_return < 0 < said[-1].expected_return
