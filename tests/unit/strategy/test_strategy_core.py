"""The strategy core: readiness, warm-up, switches, snapshots, refusal of bad settings."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.events.base import Event
from goalkick.common.events.control import ActivateStrategy, DeactivateStrategy
from goalkick.common.events.feature import FeatureVector
from goalkick.common.events.prediction import ForecastMade
from goalkick.common.events.signal import Signal
from goalkick.common.strategy import Params, Strategy
from goalkick.common.values.ids import InstrumentId, ModelId
from goalkick.strategy.core import StrategyCore
from goalkick.strategy.discovery import discover
from goalkick.strategy.settings import StrategyRun, StrategySettings

MINUTE = 60_000_000_000
BTC = InstrumentId("test:BTC/USDT")
ETH = InstrumentId("test:ETH/USDT")


def core(**runs: StrategyRun) -> StrategyCore:
    return StrategyCore(StrategySettings(strategies=runs), discover())


def ema_cross(**changes: Any) -> StrategyRun:
    return StrategyRun(strategy="ema_cross", params={"fast": 2, "slow": 3}, **changes)


def vector(
    step: int, values: dict[str, float], instrument: InstrumentId = BTC, close: str = "100"
) -> FeatureVector:
    return FeatureVector(
        time_ns=step * MINUTE,
        instrument=instrument,
        interval_ns=MINUTE,
        available_at_ns=step * MINUTE,
        definition_hash="test",
        names=tuple(values),
        values=tuple(values.values()),
        close=Decimal(close),
    )


def cross(step: int, fast: float, slow: float, instrument: InstrumentId = BTC) -> FeatureVector:
    return vector(step, {"ema_2": fast, "ema_3": slow}, instrument)


def forecast(step: int, up: float) -> ForecastMade:
    return ForecastMade(
        time_ns=step * MINUTE,
        instrument=BTC,
        interval_ns=MINUTE,
        model=ModelId("m"),
        horizon_ns=12 * MINUTE,
        probability_up=up,
        expected_return=0.0,
        confidence=abs(2 * up - 1),
        expires_at_ns=(step + 1) * MINUTE,
        definition_hash="test",
    )


def handle(machine: StrategyCore, event: Event) -> Sequence[Event]:
    return machine.handlers[type(event)](event)


def targets(machine: StrategyCore, events: Sequence[Event]) -> list[float | None]:
    out: list[float | None] = []
    for event in events:
        signals = handle(machine, event)
        assert len(signals) <= 1
        out.append(signals[0].target if signals and isinstance(signals[0], Signal) else None)
    return out


def test_ema_cross_is_long_while_fast_is_above_slow() -> None:
    machine = core(x=ema_cross())
    events = [cross(1, 2, 1), cross(2, 1, 1), cross(3, 1, 2), cross(4, 3, 2)]
    assert targets(machine, events) == [1.0, 0.0, 0.0, 1.0]


def test_ema_cross_goes_short_when_told() -> None:
    run = StrategyRun(strategy="ema_cross", params={"fast": 2, "slow": 3, "short": True})
    assert targets(core(x=run), [cross(1, 1, 2)]) == [-1.0]


def test_says_nothing_until_all_its_features_are_ready() -> None:
    machine = core(x=ema_cross())
    assert targets(machine, [vector(1, {"ema_2": 2.0}), cross(2, 2, 1)]) == [None, 1.0]


def test_says_nothing_before_the_warmup_has_been_seen() -> None:
    machine = core(x=ema_cross(warmup=3))
    assert targets(machine, [cross(i, 2, 1) for i in range(1, 5)]) == [None, None, 1.0, 1.0]


def test_a_signal_names_its_cause_and_expires_after_one_bar() -> None:
    event = cross(5, 2, 1)
    (signal,) = handle(core(x=ema_cross()), event)
    assert isinstance(signal, Signal)
    assert signal.cause == event.definition_hash
    assert (signal.strategy, signal.time_ns, signal.expires_at_ns) == ("x", 5 * MINUTE, 6 * MINUTE)


def test_rsi_reversion_keeps_its_position_between_its_levels() -> None:
    machine = core(x=StrategyRun(strategy="rsi_reversion", params={"length": 5}))
    events = [vector(i, {"rsi_5": rsi}) for i, rsi in enumerate([50, 29, 40, 54, 56, 40])]
    assert targets(machine, events) == [0.0, 1.0, 1.0, 1.0, 0.0, 0.0]


def test_breakout_enters_outside_the_bands_and_leaves_at_the_middle() -> None:
    run = StrategyRun(strategy="breakout", params={"length": 5, "width": 2, "short": True})
    bands = {
        "bollinger_5_2_upper": 110.0,
        "bollinger_5_2_middle": 100.0,
        "bollinger_5_2_lower": 90.0,
    }
    closes = ["105", "111", "101", "99", "89", "99", "101"]
    events = [vector(i, bands, close=close) for i, close in enumerate(closes)]
    assert targets(core(x=run), events) == [0.0, 1.0, 1.0, 0.0, -1.0, -1.0, 0.0]


def test_forecast_threshold_enters_and_leaves_at_two_levels() -> None:
    machine = core(x=StrategyRun(strategy="forecast_threshold", params={"short": True}))
    ups = [0.5, 0.56, 0.51, 0.49, 0.44, 0.49, 0.51]
    events = [forecast(i, up) for i, up in enumerate(ups)]
    assert targets(machine, events) == [0.0, 1.0, 1.0, 0.0, -1.0, -1.0, 0.0]


def test_runs_each_strategy_only_on_its_instruments() -> None:
    machine = core(a=ema_cross(instruments=(BTC,)), b=ema_cross())
    assert [s.strategy for s in handle(machine, cross(1, 2, 1, BTC))] == ["a", "b"]  # type: ignore[attr-defined]
    assert [s.strategy for s in handle(machine, cross(1, 2, 1, ETH))] == ["b"]  # type: ignore[attr-defined]


def test_runs_a_strategy_only_on_its_bar_length() -> None:
    machine = core(a=ema_cross(interval="5m"))
    assert handle(machine, cross(1, 2, 1)) == []


def test_deactivation_goes_flat_then_is_silent_until_activated() -> None:
    machine = core(a=ema_cross(), b=ema_cross())
    handle(machine, cross(1, 2, 1, BTC))
    handle(machine, cross(1, 2, 1, ETH))
    command = DeactivateStrategy(time_ns=2 * MINUTE, scope="a", issuer="ann")
    flat = handle(machine, command)
    assert [(s.strategy, s.instrument, s.target) for s in flat] == [  # type: ignore[attr-defined]
        ("a", BTC, 0.0),
        ("a", ETH, 0.0),
    ]
    assert handle(machine, command) == []
    assert [s.strategy for s in handle(machine, cross(3, 2, 1))] == ["b"]  # type: ignore[attr-defined]
    handle(machine, ActivateStrategy(time_ns=4 * MINUTE, scope="a"))
    assert len(handle(machine, cross(5, 2, 1))) == 2


def test_needs_is_the_union_of_all_strategies() -> None:
    machine = core(a=ema_cross(), b=StrategyRun(strategy="rsi_reversion"))
    assert machine.needs == ("ema_2", "ema_3", "rsi_14")


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30), st.data())
def test_snapshot_then_restore_is_invisible(levels: list[float], data: st.DataObject) -> None:
    def fresh() -> StrategyCore:
        return core(
            r=StrategyRun(strategy="rsi_reversion", params={"length": 5}, warmup=3),
            e=ema_cross(),
        )

    events = [
        vector(i, {"rsi_5": level, "ema_2": level, "ema_3": 50.0}) for i, level in enumerate(levels)
    ]
    cut = data.draw(st.integers(0, len(events)))
    straight, before, after = fresh(), fresh(), fresh()
    expected = [handle(straight, event) for event in events]
    for event in events[:cut]:
        handle(before, event)
    after.restore(before.snapshot())
    assert [handle(after, event) for event in events[cut:]] == expected[cut:]
    assert after.snapshot() == straight.snapshot()


def test_refuses_a_snapshot_of_other_parameters() -> None:
    with pytest.raises(InvalidDataError, match="snapshot"):
        core(x=ema_cross(warmup=1)).restore(core(x=ema_cross()).snapshot())


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (StrategyRun(strategy="ema_cros"), "did you mean ema_cross"),
        (StrategyRun(strategy="ema_cross", params={"fats": 3}), "did you mean fast"),
        (StrategyRun(strategy="ema_cross", params={"fast": 0}), "parameter fast"),
        (StrategyRun(strategy="ema_cross", params={"fast": "x"}), "found 'x'"),
        (StrategyRun(strategy="ema_cross", params={"fast": 9, "slow": 3}), "expected fast < slow"),
        (
            StrategyRun(strategy="rsi_reversion", params={"enter_below": 60, "exit_above": 50}),
            "expected enter_below < exit_above",
        ),
    ],
)
def test_refuses_bad_settings_with_the_nearest_good_ones(run: StrategyRun, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        core(x=run)


class Saying(Strategy[Params]):
    """Says what its forecast's return is, with a confidence of its probability."""

    def on_features(self, features: FeatureVector) -> Iterable[Signal]:
        return (self.target(features, features.values[0], confidence=features.values[1]),)

    def on_forecast(self, forecast: ForecastMade) -> Iterable[Signal]:
        return (self.target(forecast, forecast.expected_return),)


def saying() -> StrategyCore:
    runs = {"fool": StrategyRun(strategy="saying")}
    return StrategyCore(StrategySettings(strategies=runs), {"saying": Saying})


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("target", "confidence"),
    [(NAN, 1), (INF, 1), (-INF, 1), (1.01, 1), (-1.01, 1), (0, NAN), (0, INF), (0, -0.1), (0, 1.1)],
)
def test_refuses_a_target_or_a_confidence_that_is_no_number_in_its_range(
    target: float, confidence: float
) -> None:
    machine = saying()
    with pytest.raises(InvalidDataError, match=r"strategy fool on test:BTC/USDT: expected a tar"):
        handle(machine, vector(1, {"target": target, "confidence": confidence}))
    wild = msgspec.structs.replace(forecast(1, 0.5), expected_return=target + 2 * (target == 0))
    with pytest.raises(InvalidDataError, match=r"in \[-1, 1\]"):
        handle(machine, wild)
    assert len(handle(machine, vector(2, {"target": 1.0, "confidence": 0.0}))) == 1


def test_whole_numbers_become_floats() -> None:
    (signal,) = handle(saying(), vector(1, {"target": 1, "confidence": True}))
    assert isinstance(signal, Signal)
    assert (type(signal.target), type(signal.confidence)) == (float, float)


def test_looks_at_bars_of_several_lengths_at_one_moment_have_signals_of_their_own() -> None:
    machine = core(x=ema_cross())
    short = cross(10, 2, 1)
    looks = [short, msgspec.structs.replace(short, interval_ns=5 * MINUTE)]
    assert len({signal.id for look in looks for signal in handle(machine, look)}) == 2
