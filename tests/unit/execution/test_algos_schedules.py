"""TWAP and VWAP: what is due when, and what becomes of what was not traded."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.config.algos import TwapParams, VwapParams
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.common.values.ids import EventId, derive_id
from goalkick.execution.algos.model import ChildEnd, Leftover
from goalkick.execution.algos.twap import Twap
from goalkick.execution.algos.vwap import Vwap
from tests.unit.execution.algo_market import MINUTE, START, D, Market, parent

EVEN: dict[str, Any] = {"slices": 10, "jitter": 0}
"""A slice at each full minute, of 1 each."""


def twap(quantity: str = "10", about: dict[str, Any] | None = None, **params: Any) -> Market:
    return Market("twap", parent(quantity, **(about or {})), {**EVEN, **params})


def fill_all(market: Market) -> None:
    for child in market.open:
        market.fill(child)


@given(
    order=st.integers(0, 10_000),
    slices=st.integers(1, 60),
    jitter=st.decimals(0, 1, places=2),
    length=st.integers(1, 10**12),
)
def test_slices_come_in_their_own_spans_and_before_the_end(
    order: int, slices: int, jitter: Decimal, length: int
) -> None:
    about = parent(
        order=derive_id(str(order), "order"), start_ns=START, end_ns=START + max(length, slices)
    )
    algo = Twap(about, TwapParams(slices=slices, jitter=jitter))
    times, span = algo.times_ns, about.end_ns - about.start_ns
    assert len(times) == slices
    for number, time in enumerate(times):
        assert number * span // slices <= time - START
        assert time - START < max((number + 1) * span // slices, number * span // slices + 1)
    assert list(times) == sorted(times)
    assert times[-1] < about.end_ns


@given(
    order=st.integers(0, 1_000),
    slices=st.integers(1, 40),
    jitter=st.decimals(0, 1, places=2),
    lots=st.integers(1, 5_000),
    profile=st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any),
)
def test_what_is_due_never_falls_and_is_everything_at_last(
    order: int, slices: int, jitter: Decimal, lots: int, profile: list[int]
) -> None:
    quantity = lots * D("0.01")
    about = parent(str(quantity), order=derive_id(str(order), "order"))
    params = VwapParams(slices=slices, size_jitter=jitter, profile=tuple(map(Decimal, profile)))
    targets = Vwap(about, params).targets
    assert targets[0] == 0
    assert targets[-1] == quantity
    assert list(targets) == sorted(targets)
    assert all(target % D("0.01") == 0 for target in targets)


def test_another_parent_has_another_schedule_and_the_same_one_the_same() -> None:
    params = TwapParams(slices=10, size_jitter=D("0.5"))
    first, again = (Twap(parent(), params) for _ in range(2))
    other = Twap(parent(order=EventId("b" * 32)), params)
    assert first.times_ns == again.times_ns != other.times_ns
    assert first.targets == again.targets != other.targets


def test_trades_equal_parts_at_its_times_and_ends_when_all_is_traded() -> None:
    market = twap()
    market.wait(0)
    for _ in range(10):
        assert len(market.open) == 1
        fill_all(market)
        market.wait(60)
    assert [child.quantity for child in market.placed] == [D(1)] * 10
    assert [child.time_ns for child in market.placed] == [START + n * MINUTE for n in range(10)]
    assert {child.kind for child in market.placed} == {OrderKind.MARKET}
    assert market.measurement is not None
    assert market.measurement.leftover_code == Leftover.NOTHING
    assert market.measurement.ended_ns == START + 9 * MINUTE


def test_says_when_it_wants_to_hear_of_the_time() -> None:
    market = twap()
    market.wait(0)
    assert market.algo.wake_ns == START + MINUTE
    fill_all(market)
    market.wait(560)
    fill_all(market)
    assert market.algo.wake_ns is None


def test_what_is_missed_is_caught_up_at_once() -> None:
    market = twap()
    market.wait(200)
    assert [child.quantity for child in market.placed] == [D(4)]


def test_what_is_missed_is_spread_over_what_is_to_come() -> None:
    market = twap(catch_up="spread")
    market.wait(480)
    assert [child.quantity for child in market.placed] == [D(5)]
    fill_all(market)
    market.wait(60)
    assert [child.quantity for child in market.placed] == [D(5), D(5)]


def test_what_is_missed_is_never_caught_up_if_told_so() -> None:
    market = twap(catch_up="never")
    market.wait(570)
    fill_all(market)
    market.wait(30)
    assert [child.quantity for child in market.placed] == [D(1)]
    assert market.measurement is not None
    assert market.measurement.leftover == 9
    assert market.measurement.leftover_code == Leftover.TIME_UP


def test_a_refused_child_is_tried_again_after_the_delay_and_not_before() -> None:
    market = twap(retry_delay="5s")
    market.wait(0)
    assert market.end(0, ChildEnd.REJECTED) == []
    assert market.wait(4) == []
    assert len(market.wait(1)) == 1


def test_gives_up_after_so_many_failures_and_says_why() -> None:
    market = twap(max_failures=3)
    market.wait(0)
    for child in range(3):
        market.end(child, ChildEnd.REJECTED, "no money")
        market.wait(2)
    assert market.measurement is not None
    assert market.measurement.leftover_code == Leftover.REJECTED
    assert "no money" in market.measurement.detail
    assert len(market.placed) == 3


def test_a_trade_ends_a_row_of_failures() -> None:
    market = twap(max_failures=2)
    market.wait(0)
    for child in (0, 2, 4):
        market.end(child, ChildEnd.REJECTED)
        market.wait(2)
        market.fill(child + 1)
        market.wait(60)
    assert market.measurement is None


def test_parts_below_the_venues_minimum_wait_until_they_are_large_enough() -> None:
    market = twap("0.3")
    for _ in range(10):
        market.wait(60)
        fill_all(market)
    assert [child.quantity for child in market.placed] == [D("0.06")] * 5


def test_the_last_child_takes_a_rest_that_is_too_small_for_one_of_its_own() -> None:
    market = twap("1.04", slices=2)
    market.wait(0)
    fill_all(market)
    market.wait(300)
    assert [child.quantity for child in market.placed] == [D("0.52"), D("0.52")]
    market = Market("vwap", parent("1.04"), {"slices": 2, "jitter": 0, "profile": [99, 3]})
    market.wait(0)
    assert [child.quantity for child in market.placed] == [D("1.04")]


def test_with_a_limit_price_children_rest_there_until_time_is_up() -> None:
    market = twap(about={"limit_price": D("100.5")})
    market.wait(60)
    market.wait(60)
    assert {(c.kind, c.limit_price) for c in market.placed} == {(OrderKind.LIMIT, D("100.5"))}
    market.wait(600)
    assert market.cancelled == market.open
    for child in market.open:
        market.end(child)
    assert market.measurement is not None
    assert market.measurement.leftover_code == Leftover.TIME_UP


def test_finishes_at_the_market_if_told_so() -> None:
    market = twap(about={"limit_price": D("100.5")}, slices=1, finish="market")
    market.wait(0)
    market.fill(0, "4")
    market.wait(600)
    market.end(0)
    last = market.placed[-1]
    assert (last.quantity, last.time_in_force) == (D(6), TimeInForce.IMMEDIATE)
    assert last.limit_price == D("100.5")
    market.fill(last.child)
    assert market.measurement is not None
    assert market.measurement.filled == 10


def test_an_unlimited_finish_is_a_market_order_and_is_not_cancelled() -> None:
    market = twap(slices=1, catch_up="never", finish="market")
    market.wait(0)
    market.end(0, ChildEnd.EXPIRED)
    market.wait(600)
    assert market.placed[-1].kind is OrderKind.MARKET
    market.wait(60)
    market.quote("99", "100")
    assert market.cancelled == []
    market.fill(1)
    assert market.measurement is not None


def test_a_stop_cancels_everything_even_the_finish() -> None:
    market = twap(slices=1, catch_up="never", finish="market")
    market.wait(0)
    market.end(0, ChildEnd.EXPIRED)
    market.wait(600)
    market.stop()
    assert market.cancelled == [1]
    market.end(1)
    assert market.measurement is not None
    assert market.measurement.leftover_code == Leftover.STOPPED


def test_a_cap_holds_it_back_until_volume_was_seen() -> None:
    market = twap(max_participation="0.1")
    market.cap = D("0.1")
    assert market.wait(0) == []
    market.trade(4)
    assert [child.quantity for child in market.placed] == [D("0.4")]
    market.trade(3)
    assert [child.quantity for child in market.placed] == [D("0.4"), D("0.3")]
    fill_all(market)
    market.wait(600)
    assert market.measurement is not None
    assert market.measurement.leftover_code == Leftover.PARTICIPATION_CAP
    assert market.measurement.participation == D("0.1")


def test_an_even_profile_is_a_twap() -> None:
    about = parent(side=Side.SELL)
    params = {"slices": 12, "size_jitter": D("0.3")}
    even, timed = Vwap(about, VwapParams(**params)), Twap(about, TwapParams(**params))
    assert even.targets == timed.targets
    assert even.times_ns == timed.times_ns


def test_trades_in_proportion_to_the_expected_volume() -> None:
    about = parent(end_ns=START + 4 * MINUTE)
    market = Market("vwap", about, {"slices": 4, "jitter": 0, "profile": [1, 2, 3, 4]})
    market.wait(0)
    for _ in range(4):
        fill_all(market)
        market.wait(60)
    assert [child.quantity for child in market.placed] == [D(1), D(2), D(3), D(4)]


def test_within_a_part_of_the_profile_volume_is_even() -> None:
    algo = Vwap(parent(), VwapParams(slices=4, profile=(D(1), D(3))))
    assert list(algo.targets) == [D(0), D("1.25"), D("2.5"), D("6.25"), D(10)]


@pytest.mark.parametrize("profile", [[], [0, 0], [1, -1]])
def test_a_profile_without_volume_is_refused(profile: list[int]) -> None:
    with pytest.raises(ValueError, match="profile"):
        VwapParams(profile=tuple(map(Decimal, profile)))
