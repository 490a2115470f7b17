"""Iceberg and post-only: what rests, when it is refilled or moved, and how it ends."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.execution.algos.catalogue import build_algo
from goalkick.execution.algos.model import ChildEnd, Leftover
from tests.unit.execution.algo_market import START, D, Market, parent


def iceberg(quantity: str = "10", **params: Any) -> Market:
    about = parent(quantity, limit_price=D(100))
    market = Market("iceberg", about, {"visible": 3, **params})
    market.wait(0)
    return market


def post_only(about: dict[str, Any] | None = None, **params: Any) -> Market:
    return Market("post_only", parent(**(about or {})), {"requote_every": "2s", **params})


def test_shows_a_part_and_refills_it_when_it_was_traded() -> None:
    market = iceberg()
    market.fill(0, "1")
    assert len(market.placed) == 1
    market.fill(0)
    for child in (1, 2, 3):
        market.fill(child)
    assert [child.quantity for child in market.placed] == [D(3), D(3), D(3), D(1)]
    assert {child.limit_price for child in market.placed} == {D(100)}
    assert market.measurement is not None
    assert market.measurement.emulated


def test_never_shows_more_than_its_part() -> None:
    market = iceberg(jitter="0.5")
    while market.open:
        (child,) = market.open
        assert market.orders[child].placed.quantity <= 3
        market.fill(child)
    assert len({child.quantity for child in market.placed}) > 2


def test_a_last_part_that_would_leave_too_little_takes_it_too() -> None:
    market = iceberg("3.04")
    assert [child.quantity for child in market.placed] == [D("3.04")]


@pytest.mark.parametrize(
    ("post_only", "expected"), [(True, "post_only"), (False, "until_cancelled")]
)
def test_a_part_may_be_post_only(post_only: bool, expected: str) -> None:
    assert iceberg(post_only=post_only).placed[0].time_in_force == TimeInForce(expected)


def test_an_expired_part_is_placed_again_for_what_is_left_of_it() -> None:
    market = iceberg(retry_delay="1s")
    market.fill(0, "1")
    market.end(0, ChildEnd.EXPIRED)
    assert [child.quantity for child in market.placed] == [D(3), D(3)]


@pytest.mark.parametrize(
    ("about", "params", "words"),
    [
        ({}, {"visible": 1}, "limit price"),
        ({"limit_price": D(100)}, {"visible": "0.06", "jitter": "0.5"}, "at least 0.05"),
        ({"limit_price": D("100.05")}, {"visible": 1}, "tick"),
    ],
)
def test_an_iceberg_that_cannot_work_is_refused(
    about: dict[str, Any], params: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidDataError, match=words):
        build_algo("iceberg", parent(**about), params)


@pytest.mark.parametrize(
    ("side", "limit", "behind", "expected"),
    [
        (Side.BUY, None, 0, "99.8"),
        (Side.SELL, None, 0, "100.2"),
        (Side.BUY, None, 2, "99.6"),
        (Side.SELL, None, 2, "100.4"),
        (Side.BUY, "99.5", 0, "99.5"),
        (Side.SELL, "100.5", 0, "100.5"),
        (Side.BUY, "105", 0, "99.8"),
    ],
)
def test_rests_at_the_best_price_within_the_limit(
    side: Side, limit: str | None, behind: int, expected: str
) -> None:
    about = {"side": side, "limit_price": D(limit) if limit else None}
    market = post_only(about, behind=behind)
    assert market.wait(0) == []
    market.quote("99.8", "100.2")
    (child,) = market.placed
    assert (child.kind, child.limit_price) == (OrderKind.LIMIT, D(expected))
    assert child.time_in_force is TimeInForce.POST_ONLY


def test_follows_the_best_price_once_its_cancel_is_known() -> None:
    market = post_only()
    market.quote("99.8", "100.2")
    market.wait(2)
    market.quote("99.9", "100.2")
    assert market.cancelled == [0]
    late = market.filled(0, "4")
    market.tell(market.over(0, ChildEnd.CANCELLED))
    assert len(market.placed) == 1, "a trade of it is still to be heard of"
    market.tell(late)
    assert [child.quantity for child in market.placed] == [D(10), D(6)]
    assert market.placed[-1].limit_price == D("99.9")


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 20)), min_size=1, max_size=60))
def test_never_places_more_often_than_it_may(moves: list[tuple[int, int]]) -> None:
    market = post_only()
    for ticks, tenths in moves:
        market.wait(tenths / 10)
        bid = D(90) + ticks * D("0.1")
        market.quote(bid, bid + 1)
        for child in set(market.cancelled) & set(market.open):
            market.end(child)
    times = [child.time_ns for child in market.placed]
    assert all(late - early >= 2 * 10**9 for early, late in pairwise(times))


def test_stays_where_it_is_while_the_price_moves_less_than_it_follows() -> None:
    market = post_only(min_move=3)
    market.quote("99.8", "101")
    market.wait(2)
    market.quote("100", "101")
    assert market.cancelled == []
    market.quote("100.1", "101")
    assert market.cancelled == [0]


def test_a_refused_quote_waits_and_does_not_hurry() -> None:
    market = post_only(retry_delay="3s")
    market.quote("99.8", "100.2")
    market.end(0, ChildEnd.REJECTED, "would take")
    assert market.wait(2) == []
    assert len(market.wait(1)) == 1


@pytest.mark.parametrize(
    ("limit", "kind", "force"),
    [
        (None, OrderKind.MARKET, TimeInForce.UNTIL_CANCELLED),
        (D(105), OrderKind.LIMIT, TimeInForce.IMMEDIATE),
    ],
)
def test_takes_at_the_end_if_told_so(limit: Any, kind: OrderKind, force: TimeInForce) -> None:
    market = post_only({"limit_price": limit}, finish="market")
    market.quote("99.8", "100.2")
    market.fill(0, "4")
    market.wait(600)
    assert market.cancelled == [0]
    assert len(market.placed) == 1
    market.end(0)
    last = market.placed[-1]
    assert (last.quantity, last.kind, last.time_in_force) == (D(6), kind, force)


def test_leaves_the_rest_if_not_told_so() -> None:
    market = post_only()
    market.quote("99.8", "100.2")
    market.wait(600)
    market.end(0)
    assert market.measurement is not None
    assert market.measurement.leftover_code == Leftover.TIME_UP


def test_a_finish_that_finds_nobody_is_given_up_after_some_tries() -> None:
    market = post_only({"limit_price": D(90)}, finish="market", max_failures=3)
    market.wait(600)
    for child in range(3):
        market.end(child, ChildEnd.EXPIRED)
        market.wait(1)
    assert market.measurement is not None
    assert market.measurement.leftover == 10
    assert market.measurement.ended_ns > START
