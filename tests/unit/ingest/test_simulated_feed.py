"""The simulated market: the same seed says the same, prices are exact, and it behaves like one."""

from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from goalkick.common.events.market import BarClosed, GapDetected, InstrumentListed
from goalkick.common.ports.feed import Step
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.money import is_multiple
from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_YEAR, parse_time
from goalkick.ingest.feeds.simulated import SimulatedFeed
from goalkick.ingest.settings import SimulatedSettings

BTC, ETH = InstrumentId("simulated:BTC/USDT"), InstrumentId("simulated:ETH/USDT")


def steps(count: int = 300, **options: Any) -> list[Step]:
    return list(SimulatedFeed(SimulatedSettings(bars=count, **options)).steps())


def bars(told: list[Step], instrument: InstrumentId = BTC) -> list[BarClosed]:
    return [e for s in told for e in s if isinstance(e, BarClosed) and e.instrument == instrument]


def returns(told: list[Step], instrument: InstrumentId = BTC) -> np.ndarray[Any, Any]:
    return np.diff(np.log([float(bar.close) for bar in bars(told, instrument)]))


def test_the_same_seed_gives_the_same_market_and_another_another() -> None:
    assert steps(gap_probability=0.05) == steps(gap_probability=0.05)
    assert steps(seed=1) != steps(seed=2)


def test_first_step_lists_the_instruments_at_the_first_open() -> None:
    listing = steps(start="2024-02-03T04:05:30")[0]
    assert all(isinstance(event, InstrumentListed) for event in listing)
    assert [event.key for event in listing] == sorted(event.key for event in listing)
    assert {event.time_ns for event in listing} == {parse_time("2024-02-03T04:05")}


def test_bars_are_exact_on_the_grid_and_ordered() -> None:
    told = steps(2000)
    rules = {event.key: event.rules for event in told[0] if isinstance(event, InstrumentListed)}
    assert len(rules) == 3
    for step in told[1:]:
        assert [event.key for event in step] == sorted(rules)
        for bar in step:
            assert isinstance(bar, BarClosed)
            rule = rules[bar.key]
            assert 0 < bar.low <= min(bar.open, bar.close)
            assert bar.high >= max(bar.open, bar.close)
            assert bar.volume >= 0
            assert all(
                is_multiple(price, rule.tick_size)
                for price in (bar.open, bar.high, bar.low, bar.close)
            )
            assert is_multiple(bar.volume, rule.lot_size)


def test_each_bar_opens_where_the_last_one_closed() -> None:
    told = bars(steps(500))
    assert all(left.close == right.open for left, right in pairwise(told))


def test_goes_on_without_end_unless_bars_are_counted() -> None:
    endless = SimulatedFeed(SimulatedSettings()).steps()
    assert len(list(islice(endless, 2000))) == 2000
    assert len(bars(steps(7))) == 7


def test_adding_an_instrument_changes_no_other() -> None:
    both = SimulatedSettings().instruments
    alone = {BTC: both[BTC]}
    assert bars(steps(instruments=alone)) == bars(steps(instruments=both))


@given(st.integers(0, 1000), st.integers(-5, 1600), st.floats(0, 0.3))
@settings(max_examples=20, deadline=None)
def test_any_start_gives_the_same_rest(seed: int, minute: int, gap_probability: float) -> None:
    feed = SimulatedFeed(
        SimulatedSettings(seed=seed, bars=1500, gap_probability=gap_probability, start="1970-01-01")
    )
    from_ns = minute * NS_PER_MINUTE
    whole = [list(step) for step in feed.steps()]
    rest = [list(step) for step in feed.steps(from_ns)]
    assert rest == [step for step in whole if step[0].time_ns >= from_ns]


def test_gaps_come_on_demand_and_are_told_before_the_bar_that_follows() -> None:
    told = steps(3000, gap_probability=0.02, gap_bars=4)
    last: dict[str, BarClosed] = {}
    gaps = 0
    for step in told[1:]:
        announced: dict[str, GapDetected] = {}
        for event in step:
            if isinstance(event, GapDetected):
                announced[event.key] = event
            elif isinstance(event, BarClosed):
                before = last.get(event.key)
                gap = announced.pop(event.key, None)
                expected_ns = event.open_time_ns if before is None else before.time_ns
                if gap is not None:
                    gaps += 1
                    assert (gap.from_ns, gap.to_ns) == (expected_ns, event.open_time_ns)
                    assert gap.missing == (gap.to_ns - gap.from_ns) // NS_PER_MINUTE
                    assert 1 <= gap.missing <= 4
                else:
                    assert event.open_time_ns == expected_ns
                last[event.key] = event
    assert gaps > 50
    assert all(type(event) is not GapDetected for step in steps(3000) for event in step)


def test_volatility_is_what_was_asked_for_and_comes_in_bursts() -> None:
    moves = returns(steps(40_000))
    annual = moves.std() * np.sqrt(NS_PER_YEAR / NS_PER_MINUTE)
    assert annual == pytest.approx(0.6, rel=0.25)
    calm = abs(moves)
    assert np.corrcoef(calm[:-1], calm[1:])[0, 1] > 0.15
    kurtosis = ((moves - moves.mean()) ** 4).mean() / moves.var() ** 2
    assert kurtosis > 4


@pytest.mark.parametrize(("correlation", "low", "high"), [(0.0, -0.1, 0.1), (0.9, 0.7, 0.95)])
def test_instruments_move_together_as_much_as_asked_for(
    correlation: float, low: float, high: float
) -> None:
    told = steps(5000, correlation=correlation)
    assert low < np.corrcoef(returns(told), returns(told, ETH))[0, 1] < high


def test_refuses_an_instrument_without_a_pair() -> None:
    with pytest.raises(ValidationError, match="expected an id such as simulated:BTC/USDT"):
        SimulatedSettings.model_validate({"instruments": {"BTC": {}}})


def test_refuses_a_start_that_is_no_time() -> None:
    with pytest.raises(ValidationError, match="expected an ISO date or time"):
        SimulatedSettings(start="soon")
