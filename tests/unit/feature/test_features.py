"""Features: right by TA-Lib, the same bar by bar as in batch, absent until they are known."""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.events.feature import FeatureVector
from goalkick.common.events.market import BarClosed, GapDetected
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.money import decimal_from_float
from goalkick.common.values.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_YEAR
from goalkick.feature.batch import Floats, compute
from goalkick.feature.core import FeatureCore
from goalkick.feature.definitions import CHAIN, FAMILIES, assemble, parse
from goalkick.feature.settings import FeatureSettings

BTC = InstrumentId("test:BTC/USDT")


class Market:
    """A random walk with highs, lows and volumes, n bars of one minute."""

    def __init__(self, n: int, seed: int = 1) -> None:
        random = np.random.default_rng(seed)
        self.close = np.round(30_000 * np.exp(np.cumsum(random.normal(0, 0.002, n))), 2)
        opened = np.concatenate(([30_000.0], self.close[:-1]))
        self.high = np.round(np.maximum(opened, self.close) + random.exponential(20, n), 2)
        self.low = np.round(np.minimum(opened, self.close) - random.exponential(20, n), 2)
        self.volume = np.round(random.exponential(3, n), 3)
        self.time_ns = (np.arange(n, dtype=np.int64) + 1) * NS_PER_MINUTE

    def features(self, *names: str) -> Floats:
        columns = (self.time_ns, self.high, self.low, self.close, self.volume)
        return compute(names, NS_PER_MINUTE, *columns)[1]

    def bars(self) -> list[BarClosed]:
        return [
            bar(int(t), *map(decimal_from_float, row))
            for t, *row in zip(
                self.time_ns, self.high, self.low, self.close, self.volume, strict=True
            )
        ]


def bar(
    time_ns: int, high: Decimal, low: Decimal, close: Decimal, volume: Decimal = Decimal(1)
) -> BarClosed:
    return BarClosed(
        time_ns=time_ns,
        instrument=BTC,
        interval_ns=NS_PER_MINUTE,
        open=close,
        high=high,
        low=low,
        close=close,
        volume=volume,
    )


def vector(core: FeatureCore, event: BarClosed) -> FeatureVector:
    (answer,) = core.handlers[BarClosed](event)
    assert isinstance(answer, FeatureVector)
    return answer


def closes(core: FeatureCore, *prices: str) -> list[FeatureVector]:
    return [
        vector(core, bar((i + 1) * NS_PER_MINUTE, Decimal(p), Decimal(p), Decimal(p)))
        for i, p in enumerate(prices)
    ]


REFERENCES = [
    # feature, what TA-Lib says, bars until both have forgotten how they began
    ("ema_10", lambda m: talib.EMA(m.close, 10), 200),
    ("sma_20", lambda m: talib.SMA(m.close, 20), 0),
    ("rsi_14", lambda m: talib.RSI(m.close, 14), 0),
    ("macd_12_26_9", lambda m: talib.MACD(m.close, 12, 26, 9)[0], 600),
    ("macd_12_26_9_signal", lambda m: talib.MACD(m.close, 12, 26, 9)[1], 600),
    ("macd_12_26_9_histogram", lambda m: talib.MACD(m.close, 12, 26, 9)[2], 600),
    ("bollinger_20_2_upper", lambda m: talib.BBANDS(m.close, 20, 2, 2)[0], 0),
    ("bollinger_20_2_middle", lambda m: talib.BBANDS(m.close, 20, 2, 2)[1], 0),
    ("bollinger_20_2_lower", lambda m: talib.BBANDS(m.close, 20, 2, 2)[2], 0),
    ("atr_14", lambda m: talib.ATR(m.high, m.low, m.close, 14), 0),
    ("adx_14", lambda m: talib.ADX(m.high, m.low, m.close, 14), 0),
]


@pytest.mark.parametrize(("name", "reference", "unstable"), REFERENCES, ids=lambda v: str(v)[:24])
def test_equals_ta_lib_after_its_unstable_period(name, reference, unstable) -> None:  # type: ignore[no-untyped-def]
    market = Market(5000)
    ours, theirs = market.features(name)[:, 0], reference(market)
    known = ~np.isnan(theirs)
    known[:unstable] = False
    assert known.sum() > 4000
    np.testing.assert_allclose(ours[known], theirs[known], rtol=1e-9, atol=1e-7)
    if not unstable:
        assert np.array_equal(np.isnan(ours), np.isnan(theirs)), "ready at the same bar"


def test_returns_volatility_and_volume_follow_their_formulas() -> None:
    market = Market(200)
    names = ("log_return_1", "log_return_5", "realised_volatility_30", "volume_zscore_20")
    one, five, volatility, zscore = market.features(*names).T
    returns = np.log(market.close[1:] / market.close[:-1])
    np.testing.assert_allclose(one[1:], returns)
    np.testing.assert_allclose(five[5:], np.log(market.close[5:] / market.close[:-5]))
    yearly = np.sqrt(NS_PER_YEAR / NS_PER_MINUTE)
    np.testing.assert_allclose(volatility[30], np.sqrt(np.mean(returns[:30] ** 2)) * yearly)
    last = market.volume[-20:]
    np.testing.assert_allclose(zscore[-1], (last[-1] - last.mean()) / last.std())
    assert np.isnan(one[0])
    assert np.isnan(five[4])
    assert np.isnan(volatility[29])
    assert np.isnan(zscore[18])


def test_time_of_day_is_a_share_of_the_utc_day() -> None:
    times = np.array([NS_PER_DAY, NS_PER_DAY + 6 * NS_PER_HOUR], dtype=np.int64)
    same = np.ones(2)
    _, out = compute(("time_of_day",), NS_PER_HOUR, times, same, same, same, same)
    assert out[:, 0].tolist() == [0.0, 0.25]


def test_the_chain_is_thirty_features_of_every_family() -> None:
    assert len(set(CHAIN)) == 30
    assert {parse(name).family.name for name in CHAIN} == {family.name for family in FAMILIES}


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 400))
def test_bar_by_bar_and_in_batch_are_equal_to_the_bit(seed: int, n: int) -> None:
    market = Market(n, seed)
    core = FeatureCore(FeatureSettings(features=CHAIN))
    batch = market.features(*CHAIN)
    names = assemble(CHAIN).names
    for i, event in enumerate(market.bars()):
        said = vector(core, event)
        ready = ~np.isnan(batch[i])
        assert said.names == tuple(name for name, yes in zip(names, ready, strict=True) if yes)
        assert np.array(said.values).tobytes() == batch[i][ready].tobytes()


def test_a_window_forgets_what_left_it() -> None:
    """A running sum would keep the rounding of the huge prices for ever."""
    n = 200_000
    close = np.concatenate((np.full(n, 1e12) + np.random.default_rng(3).random(n), np.ones(40)))
    times = np.arange(1, len(close) + 1, dtype=np.int64)
    names, out = compute(
        ("sma_20", "bollinger_20_2_upper"), 1, times, close, close, close, np.ones(len(close))
    )
    assert dict(zip(names, out[-1], strict=True)) == {"sma_20": 1.0, "bollinger_20_2_upper": 1.0}


def test_a_feature_that_is_not_ready_is_absent_and_not_zero() -> None:
    core = FeatureCore(FeatureSettings(features=("sma_3", "ema_2", "log_return_1")))
    first, second, third, fourth = closes(core, "100", "110", "120", "130")
    assert first.names == ()
    assert second.names == ("ema_2", "log_return_1")
    assert third.names == ("ema_2", "log_return_1", "sma_3")
    assert third["sma_3"] == 110.0
    assert "sma_3" not in second
    with pytest.raises(KeyError):
        _ = second["sma_3"]
    assert fourth.names is third.names, "readers compare identity"


def test_the_vector_says_when_it_was_known_and_from_what() -> None:
    core = FeatureCore(FeatureSettings(features=("ema_1",)))
    (said,) = closes(core, "100.5")
    assert said.time_ns == said.available_at_ns == NS_PER_MINUTE
    assert said.close == Decimal("100.5")
    assert said.definition_hash == core.definition_hash
    assert said["ema_1"] == 100.5


def test_the_rsi_of_a_price_that_never_moved_is_absent() -> None:
    """TA-Lib says 0 here, which a strategy would take for oversold."""
    core = FeatureCore(FeatureSettings(features=("rsi_2",)))
    *_, still, moved = closes(core, "5", "5", "5", "5", "6")
    assert still.names == ()
    assert moved["rsi_2"] == 100.0


def test_a_price_of_zero_makes_features_absent_and_never_infinite() -> None:
    core = FeatureCore(FeatureSettings(features=("log_return_1", "realised_volatility_2")))
    said = closes(core, "1", "2", "0", "2", "3", "4", "5")
    assert said[2].names == said[3].names == ()
    assert said[-1].names == ("log_return_1", "realised_volatility_2")


def test_only_the_wanted_bar_lengths_are_looked_at() -> None:
    core = FeatureCore(FeatureSettings(features=("ema_1",), intervals=(NS_PER_HOUR,)))
    event = bar(NS_PER_MINUTE, Decimal(1), Decimal(1), Decimal(1))
    assert core.handlers[BarClosed](event) == ()


@pytest.mark.parametrize(("after_gap", "ready"), [("continue", True), ("restart", False)])
def test_a_gap_restarts_indicators_only_if_told_so(after_gap: str, ready: bool) -> None:
    core = FeatureCore(FeatureSettings(features=("sma_2",), after_gap=after_gap))
    closes(core, "1", "2")
    gap = GapDetected(
        time_ns=9 * NS_PER_MINUTE, instrument=BTC, from_ns=0, to_ns=1, missing=6, stream="bar"
    )
    assert core.handlers[GapDetected](gap) == ()
    said = vector(core, bar(9 * NS_PER_MINUTE, Decimal(3), Decimal(3), Decimal(3)))
    assert ("sma_2" in said) is ready


def test_a_restored_core_goes_on_as_if_nothing_had_happened() -> None:
    market = Market(120)
    steady = FeatureCore(FeatureSettings(features=CHAIN))
    other = FeatureCore(FeatureSettings(features=CHAIN))
    for event in market.bars():
        assert vector(steady, event) == vector(other, event)
        fresh = FeatureCore(FeatureSettings(features=CHAIN))
        fresh.restore(other.snapshot())
        assert fresh.snapshot() == steady.snapshot()
        other = fresh


def test_a_snapshot_of_other_features_is_refused() -> None:
    snapshot = FeatureCore(FeatureSettings(features=("ema_5",))).snapshot()
    with pytest.raises(InvalidDataError, match="expected feature/1"):
        FeatureCore(FeatureSettings(features=("ema_6",))).restore(snapshot)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ema_0", "feature ema_0: expected length from 1 to 10000 bars, found 0"),
        ("ema_20000", "found 20000"),
        ("ema", "did you mean ema_<length>"),
        ("emma_10", "expected a name such as ema_10"),
        ("macd_12_26", "did you mean macd_<fast>_<slow>_<signal>"),
        ("bollinger_20_2", "did you mean bollinger_<length>_<width>_"),
        ("ema_10_upper", "expected a name such as ema_10"),
        ("", "expected a name such as"),
    ],
)
def test_a_wrong_name_is_refused_with_a_hint(name: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        FeatureCore(FeatureSettings(features=(name,)))
    assert says in str(caught.value)


def test_the_hash_follows_the_definitions_and_not_their_order() -> None:
    def definition_hash(names: Sequence[str]) -> str:
        return assemble(names).hash

    assert definition_hash(("ema_5", "sma_5")) == definition_hash(("sma_5", "ema_5", "ema_5"))
    assert definition_hash(("ema_5",)) != definition_hash(("ema_6",))
