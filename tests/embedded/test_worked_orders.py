"""Orders that algos work, from a signal to the measurement: risk and paper execution together."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goalkick.common.events.base import Event, Side
from goalkick.common.events.control import TradingHalted
from goalkick.common.events.order import (
    CancelRequested,
    OrderApproved,
    OrderCancelled,
    OrderIntended,
    OrderRefused,
    OrderRejected,
    OrderWorked,
    RefusalCode,
)
from goalkick.common.values.ids import EventId
from goalkick.common.values.money import ZERO
from goalkick.common.values.time import NS_PER_MINUTE
from tests.embedded.worked_desk import BTC, WorkedDesk

D = Decimal

FAMILIES: dict[str, dict[str, Any]] = {
    "twap": {"algo": "twap", "params": {"slices": 5}},
    "twap, limit": {"algo": "twap", "limit": "0.01", "params": {"finish": "market"}},
    "vwap": {"algo": "vwap", "params": {"profile": [1, 3], "slices": 4}},
    "pov": {"algo": "pov", "params": {"rate": "0.02"}},
    "iceberg": {"algo": "iceberg", "limit": "0.005", "params": {"visible": 2}},
    "post_only": {"algo": "post_only"},
    "bracket": {"algo": "bracket", "stop": "0.02", "take_profit": "0.03"},
}


def desk(name: str, **options: Any) -> WorkedDesk:
    return WorkedDesk({name: {"over": "10m", **FAMILIES[name]}}, **options)


def kinds(said: Sequence[Event], *wanted: type[Event]) -> list[type[Event]]:
    return [type(event) for event in said if isinstance(event, wanted)]


@pytest.mark.parametrize("name", FAMILIES)
def test_an_entry_is_worked_by_children_and_measured(name: str) -> None:
    trading = desk(name)
    for price in (100, 99, 100, 99, 100, 99, 100, 99, 100, 99, 100, 99, 100):
        trading.bar(price, 1.0)
    (parent,) = trading.parents()
    fills = [fill for fill in trading.fills(parent.order) if fill.side is Side.BUY]
    assert trading.position == sum((fill.quantity for fill in fills), ZERO) == 5
    intended = trading.of(OrderIntended)
    assert {each.parent for each in intended} == {parent.order}
    assert len({each.client_order_id for each in intended}) == len(intended)
    if name == "bracket":
        assert not trading.of(OrderWorked), "it protects what it has entered"
        return
    event = trading.worked()
    paid = sum((fill.quantity * fill.price for fill in fills), ZERO)
    assert (event.order, event.algo) == (parent.order, name.partition(",")[0])
    assert event.filled == 5
    assert event.arrival_price == 100, "the close that it was decided at"
    assert event.execution_cost == event.shortfall == paid - 500
    assert event.average_price == paid / 5
    assert event.children == len(intended)
    assert 0 < event.duration_ns <= 12 * NS_PER_MINUTE
    assert event.participation is not None
    assert 0 < event.participation < D("0.03")


def test_what_time_did_not_suffice_for_is_told_and_due_again() -> None:
    trading = WorkedDesk(
        {"slow": {"algo": "pov", "over": "3m", "params": {"rate": "0.01", "min_child": 1}}}
    )
    for _ in range(4):
        trading.bar(100, 1.0)
    first = trading.worked()
    assert first.leftover_reason == "participation_cap"
    assert first.filled + first.leftover == 5
    trading.bar(100, 1.0)
    assert len(list(trading.parents())) == 2, "the difference is ordered anew"


def test_the_narrowest_rule_counts_and_exits_have_rules_of_their_own() -> None:
    trading = WorkedDesk(
        {
            "any": {"algo": "twap"},
            "of s": {"strategy": "s", "algo": "pov"},
            "of s here": {"strategy": "s", "instrument": BTC, "algo": "bracket"}
            | {"stop": "0.1", "take_profit": "0.1"},
            "out": {"orders": "exits", "algo": "vwap", "params": {"slices": 2}, "over": "6m"},
        }
    )
    for target in (1.0, 1.0, *[0.0] * 8):
        trading.bar(100, target)
    names = [parent.algo.name for parent in trading.parents() if parent.algo]
    assert names == ["bracket", "vwap"]
    assert trading.position == 0


def test_a_rule_for_somebody_else_changes_nothing() -> None:
    plain, other = WorkedDesk({}), WorkedDesk({"x": {"strategy": "other", "algo": "twap"}})
    for target in (1.0, 0.5, 0.0):
        assert plain.bar(100, target) == other.bar(100, target)
    assert not list(other.parents())


def test_an_algo_that_cannot_work_the_order_refuses_it() -> None:
    trading = WorkedDesk(
        {"b": {"algo": "bracket", "stop": "0.00001", "take_profit": "0.00001", "over": "1m"}}
    )
    trading.bar(100, 1.0)
    (rejected,) = trading.of(OrderRejected)
    assert "take-profit above the stop" in rejected.reason
    assert not trading.risk.awaits_reports


# --- brackets and stops


def test_a_bracket_ends_at_its_stop_and_its_strategy_stays_out() -> None:
    trading = desk("bracket")
    for price in (100, 100, 99, 97):
        trading.bar(price, 1.0)
    assert trading.position == 0
    event = trading.worked()
    assert [event.exit_filled, event.exit_average_price, event.unprotected] == [5, 97, 0]
    assert not kinds(trading.bar(97, 1.0), OrderApproved)
    said = trading.bar(97, 0.8)
    assert [each.code for each in said if isinstance(each, OrderRefused)] == [
        RefusalCode.STOPPED_OUT
    ]
    trading.bar(97, 0.0)
    trading.bar(97, 1.0)
    assert len(list(trading.parents())) == 2, "another target may enter again"


def test_a_bracket_ends_at_its_take_profit() -> None:
    trading = desk("bracket")
    for price in (100, 100, 102, 104, 104):
        trading.bar(price, 1.0)
    assert trading.position == 0
    assert trading.worked().exit_average_price == 104


def test_going_flat_takes_a_bracket_out_of_the_market_first() -> None:
    trading = desk("bracket")
    for price in (100, 100):
        trading.bar(price, 1.0)
    said = trading.bar(100, 0.0)
    order = (CancelRequested, OrderCancelled, OrderWorked, OrderApproved, OrderIntended)
    assert kinds(said, *order) == list(order)
    trading.bar(100, 0.0)
    assert trading.position == 0


def test_a_smaller_target_ends_the_bracket_over_the_whole() -> None:
    trading = desk("bracket")
    for target in (1.0, 1.0, 0.6, 0.6):
        trading.bar(100, target)
    assert trading.position == 3
    for price in (97, 97, 97):
        trading.bar(price, 0.6)
    assert trading.position == 3, "what is left is protected by the account's own limits only"


def test_a_larger_target_has_a_bracket_of_its_own() -> None:
    trading = desk("bracket")
    for price, target in ((100, 0.4), (100, 0.4), (101, 1.0), (101, 1.0)):
        trading.bar(price, target)
    assert trading.position == 5
    assert len(list(trading.parents())) == 2
    trading.bar(98, 1.0, low=97)
    assert trading.position == 0
    assert [each.exit_filled for each in trading.of(OrderWorked)] == [2, 3]


def test_a_bracket_is_never_turned_round_in_one_order() -> None:
    trading = desk("bracket", allow_short=True)
    for target in (1.0, 1.0, -1.0, -1.0, -1.0):
        trading.bar(100, target)
    approved = [(each.side, each.quantity) for each in trading.of(OrderApproved)]
    assert approved == [(Side.BUY, 5), (Side.SELL, 5), (Side.SELL, 5)]
    assert trading.position == -5
    trading.bar(103, -1.0)
    assert trading.position == 0, "the short one has its stop above"


def test_an_oco_stands_over_a_position_and_is_renewed() -> None:
    trading = WorkedDesk(
        {
            "over": {"algo": "oco", "orders": "positions", "over": "3m"}
            | {"stop": "0.02", "take_profit": "0.03"}
        }
    )
    for _ in range(7):
        trading.bar(100, 1.0)
    assert [each.leftover_reason for each in trading.of(OrderWorked)] == ["time_up"]
    assert len(list(trading.parents())) == 2
    trading.bar(97, 1.0)
    assert trading.position == 0
    assert not kinds(trading.bar(97, 1.0), OrderApproved)


def test_the_accounts_own_stop_ends_what_is_worked_slowly() -> None:
    trading = WorkedDesk(
        {"slow": {"algo": "twap", "orders": "all", "over": "60m", "params": {"slices": 60}}},
        stop_loss="0.05",
    )
    for target in [1.0] * 20:
        trading.bar(100, target)
    assert 0 < trading.position < 5
    for _ in range(4):
        trading.bar(90, 1.0)
    assert trading.position == 0
    assert trading.worked().leftover_reason == "stopped"


def test_a_halt_ends_an_entry_and_leaves_its_protection() -> None:
    trading = WorkedDesk(
        {"b": {"algo": "bracket", "over": "30m", "stop": "0.02", "take_profit": "0.03"}},
        {"max_volume_share": "0.02"},
    )
    for _ in range(2):
        trading.bar(100, 1.0)
    assert trading.position == 2
    halted = TradingHalted(time_ns=trading.now_ns, scope="*", issuer="test", reason="test")
    trading.bus.feed([halted])
    trading.bar(100, 1.0)
    assert trading.position == 2
    assert trading.execution.execution.parents.busy
    for _ in range(3):
        trading.bar(97)
    assert trading.position == 0
    assert trading.worked().leftover_reason == "stopped"


# --- whatever happens

MOVES = st.lists(
    st.tuples(
        st.sampled_from([100, 100, 101, 99, 97, 103, 96, 105]),
        st.sampled_from([0, 3, 10, 100]),
        st.sampled_from([None, None, None, 1.0, 0.6, 0.2, 0.0]),
        st.booleans(),
    ),
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([*FAMILIES]),
    st.sampled_from(["next_open", "touch", "path"]),
    st.sampled_from([None, "0.1"]),
    MOVES,
)
def test_children_never_ask_for_more_than_was_approved_and_a_restart_is_not_seen(
    name: str, fill: str, share: str | None, moves: list[tuple[int, int, float | None, bool]]
) -> None:
    execution = {"fill": fill, "max_volume_share": share}
    one, other = desk(name, execution=execution), desk(name, execution=execution)
    target = 0.0
    for price, volume, wanted, again in moves:
        target = target if wanted is None else wanted
        for trading in (one, other):
            trading.bar(price, target, volume=volume)
            assert 0 <= trading.position <= 5
            assert trading.risk.awaits_reports == trading.execution.execution.busy
        if again:
            other.restart()
        assert_no_parent_asks_for_too_much(one)
    assert one.journal == other.journal
    for _ in range(80):
        one.bar(100, 0.0, volume=1000)
    assert one.position == 0
    assert not one.risk.awaits_reports


def assert_no_parent_asks_for_too_much(trading: WorkedDesk) -> None:
    """Traded and still in the market, each way: no more than the approval, or what was entered."""
    working = list(trading.execution.execution.working.values())
    for parent in trading.parents():
        for side in Side:
            filled = traded(trading, parent.order, side)
            left = [w.remaining for w in working if (w.parent, w.sent.side) == (parent.order, side)]
            bound = parent.quantity
            if side is not parent.side:
                bound = traded(trading, parent.order, parent.side)
            assert filled + sum(left, ZERO) <= bound


def traded(trading: WorkedDesk, parent: EventId, side: Side) -> Decimal:
    fills = trading.fills(parent)
    return sum((fill.quantity for fill in fills if fill.side is side), ZERO)
