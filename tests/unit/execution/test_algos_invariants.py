"""What every algo promises, whatever happens to its children in whatever order."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError, InvariantError
from goalkick.common.events.base import Side
from goalkick.common.values.ids import EventId
from goalkick.execution.algos.catalogue import ALGOS
from goalkick.execution.algos.model import ChildEnd, Leftover, TimePassed
from tests.unit.execution.algo_market import START, D, Market, parent

CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "twap": ("twap", {}, {"slices": 5, "size_jitter": "0.5"}),
    "twap, spread": ("twap", {}, {"slices": 5, "catch_up": "spread", "finish": "market"}),
    "twap, never": ("twap", {}, {"slices": 5, "catch_up": "never"}),
    "twap, limit": ("twap", {"limit_price": D(101)}, {"slices": 4, "finish": "market"}),
    "twap, capped": ("twap", {}, {"slices": 5, "max_participation": "0.3", "finish": "market"}),
    "vwap": ("vwap", {}, {"slices": 7, "profile": [1, 0, 5, 2]}),
    "pov": ("pov", {}, {"rate": "0.2"}),
    "pov, capped": (
        "pov",
        {"limit_price": D(101)},
        {"rate": "0.2", "max_participation": "0.3", "finish": "market", "max_child": 1},
    ),
    "iceberg": ("iceberg", {"limit_price": D(100)}, {"visible": 1, "jitter": "0.4"}),
    "iceberg, capped": (
        "iceberg",
        {"limit_price": D(100), "side": Side.SELL},
        {"visible": 2, "max_participation": "0.5", "finish": "market"},
    ),
    "post_only": ("post_only", {}, {"finish": "market"}),
    "post_only, limit": (
        "post_only",
        {"limit_price": D(101), "side": Side.SELL},
        {"finish": "market", "max_participation": "0.5"},
    ),
    "oco": ("oco", {"side": Side.SELL}, {"stop_price": 95, "take_profit": 105}),
    "oco, buy": ("oco", {}, {"stop_price": 105, "take_profit": 95}),
    "bracket": ("bracket", {}, {"stop_price": 95, "take_profit": 105}),
    "bracket, sell": (
        "bracket",
        {"side": Side.SELL, "limit_price": D(101)},
        {"stop_price": 105, "take_profit": 95, "max_participation": "0.5", "max_orders": 1},
    ),
}
CAPS = {
    name: D(str(params.get("max_participation", params.get("rate", 0))))
    for name, (_, _, params) in CASES.items()
}

STEP = st.tuples(st.integers(0, 11), st.integers(0, 40), st.integers(0, 10))


def market(case: str, quantity: str = "10", order: str = "a") -> Market:
    name, about, params = CASES[case]
    built = Market(name, parent(quantity, order=EventId(order * 32), **about), params)
    built.cap = CAPS[case] or None
    return built


def step(market: Market, what: int, size: int, which: int) -> None:  # noqa: C901
    """Something happens; most news of children wait to be delivered."""
    still = market.open
    child = still[which % len(still)] if still else None
    if what == 0:
        market.wait(size * 4)
    elif what == 1:
        market.quote(D(90) + size // 2, D("90.1") + size // 2)
    elif what == 2:
        market.trade(D(size) / 4)
    elif what in (3, 4) and child is not None:
        left = market.orders[child].working
        part = max(D("0.01"), (left * size / 40).quantize(D("0.01")))
        market.news.append(market.filled(child, min(part, left) if what == 3 else left))
    elif what == 5 and child is not None and not market.orders[child].filled:
        market.news.append(market.over(child, ChildEnd.REJECTED))
    elif what == 6 and child is not None:
        market.news.append(market.over(child, ChildEnd.EXPIRED))
    elif what == 7:
        obey(market)
    elif what in (8, 9) and market.news:
        market.tell(market.news.pop(which % len(market.news)))
    elif what == 10 and market.heard:
        repeated = market.heard[-1 - which % len(market.heard)]
        if not hasattr(repeated, "from_ns"):
            market.tell(repeated)
    elif what == 11:
        market.revive()


def obey(market: Market) -> None:
    """The venue cancels what it was asked to."""
    for number in market.cancelled:
        if market.orders[number].working:
            market.news.append(market.over(number, ChildEnd.CANCELLED))


def settle(market: Market) -> None:
    while market.news:
        market.tell(market.news.pop())


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(STEP, min_size=10, max_size=80),
    quantity=st.sampled_from(["10", "3.33", "0.05", "0.04", "1"]),
    order=st.sampled_from("abcdef"),
)
def test_never_more_than_the_parent_and_an_end_at_last(
    case: str, steps: list[tuple[int, int, int]], quantity: str, order: str
) -> None:
    built = market(case, quantity, order)
    built.wait(0)
    for what, size, which in steps:
        step(built, what, size, which)
    built.stop()
    obey(built)
    settle(built)
    measured = built.measurement
    assert measured is not None, "all children ended and the parent did not"
    assert built.open == []
    traded, _ = built.sums(protective=False)
    assert measured.filled == traded
    assert measured.leftover == built.parent.quantity - traded
    assert (measured.leftover_code == Leftover.NOTHING) is (measured.leftover == 0)
    assert measured.shortfall == measured.execution_cost + measured.opportunity_cost
    built.replay()


@pytest.mark.parametrize("case", [case for case in CASES if "bracket" not in case])
def test_the_parent_ends_by_time_alone_when_no_child_trades(case: str) -> None:
    built = market(case)
    built.wait(0)
    built.quote("99.9", "100")
    built.wait(600)
    for _ in range(40):
        obey(built)
        for number in built.open:
            built.news.append(built.over(number, ChildEnd.EXPIRED))
        settle(built)
        built.wait(1)
    assert built.measurement is not None
    assert built.measurement.leftover == 10


def test_a_bracket_ends_by_time_when_nothing_was_entered() -> None:
    built = market("bracket, sell")
    built.wait(600)
    assert built.measurement is not None
    assert built.measurement.filled == 0


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_placed_before_the_start(case: str) -> None:
    built = market(case)
    assert built.tell(TimePassed(time_ns=START - 1)) == []
    assert built.algo.wake_ns == START


@pytest.mark.parametrize("case", [case for case in CASES if "iceberg" not in case])
def test_a_part_that_the_venue_does_not_take_is_left_over_at_once_and_said(case: str) -> None:
    built = market(case, "0.02")
    built.wait(0)
    assert built.measurement is not None
    assert built.measurement.leftover_code == Leftover.BELOW_MINIMUM
    assert built.placed == []


@pytest.mark.parametrize("case", CASES)
def test_a_snapshot_of_another_parent_is_refused(case: str) -> None:
    with pytest.raises(InvalidDataError, match="snapshot"):
        market(case).algo.restore(market(case, order="b").algo.snapshot())


def test_a_snapshot_with_other_parameters_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="snapshot"):
        market("twap").algo.restore(market("twap, spread").algo.snapshot())


def test_a_trade_that_comes_after_its_childs_end_is_reserved_until_then() -> None:
    built = market("twap, spread")
    built.wait(400)
    (first,) = built.open
    late = built.filled(first, "0.5")
    built.tell(built.over(first, ChildEnd.EXPIRED))
    placed, working = built.algo.parent.quantity, built.sums(protective=False)[1]
    assert working <= placed - D("0.5")
    built.tell(late)
    assert built.sums(protective=False)[0] == D("0.5")


def test_a_venue_that_trades_more_than_it_said_makes_the_rest_be_cancelled() -> None:
    built = market("iceberg")
    built.wait(0)
    child = built.placed[0]
    built.end(child.child, ChildEnd.EXPIRED)
    built.wait(2)
    for _ in range(30):
        if built.placed[-1].quantity + built.sums(protective=False)[0] == 10:
            break
        built.fill(built.placed[-1].child)
    order = built.orders[child.child]
    order.ended = False
    lie = built.filled(child.child, "0.5")
    order.ended = True
    deeds = built.algo.handle(lie)
    assert [type(deed).__name__ for deed in deeds] == ["CancelChild"]


def test_news_of_a_child_that_was_never_placed_is_an_error() -> None:
    built = market("twap")
    built.wait(300)
    news = built.filled(0)
    with pytest.raises(InvariantError, match="child 99"):
        built.algo.handle(type(news)(**{**_fields(news), "child": 99}))
    with pytest.raises(InvariantError, match="at most"):
        built.algo.handle(type(news)(**{**_fields(news), "quantity": D(1000)}))


def _fields(news: Any) -> dict[str, Any]:
    return {name: getattr(news, name) for name in news.__struct_fields__}


def test_every_algo_has_a_case_here() -> None:
    assert {name for name, _, _ in CASES.values()} == set(ALGOS)
