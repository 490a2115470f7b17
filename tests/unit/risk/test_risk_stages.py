"""Stages of a strategy, and what it may hold by itself."""

from decimal import Decimal
from typing import Any

import pytest

from goalkick.common.events.base import Event, Side
from goalkick.common.events.order import RefusalCode
from tests.unit.risk.desk import BTC, ETH, D, Desk, approved, refused


def desk(*, live: bool = False, quantity: str = "1", **limits: Any) -> Desk:
    """A desk at which the strategy `s` has limits of its own; one unit costs 100."""
    at_work = Desk(live=live, quantity=D(quantity), stop_loss=None, strategies={"s": limits})
    at_work.bar("100")
    at_work.bar("100", name=ETH)
    return at_work


def bought(answers: list[Event]) -> Decimal:
    side, quantity = approved(answers)
    assert side is Side.BUY
    return quantity


@pytest.mark.parametrize(
    ("stage", "live", "quantity"),
    [
        ("shadow", False, None),
        ("shadow", True, None),
        ("paper", False, "1"),
        ("paper", True, None),
        ("canary", False, "0.1"),
        ("canary", True, "0.1"),
        ("live", False, "1"),
        ("live", True, "1"),
    ],
)
def test_a_stage_says_where_and_with_how_much_a_strategy_trades(
    stage: str, live: bool, quantity: str | None
) -> None:
    answers = desk(live=live, stage=stage).want(1.0)
    if quantity is None:
        assert refused(answers).code is RefusalCode.STAGE
        assert stage in refused(answers).detail
    else:
        assert bought(answers) == D(quantity)


def test_a_strategy_without_limits_of_its_own_trades_all_of_its_size() -> None:
    assert bought(desk(stage="shadow").want(1.0, strategy="other")) == D(1)


def test_who_is_not_named_has_the_stage_of_the_rest() -> None:
    at_work = Desk(stop_loss=None, stage="shadow", strategies={"s": {"stage": "live"}})
    at_work.bar("100")
    assert bought(at_work.want(1.0)) == D(1)
    assert refused(at_work.want(1.0, strategy="other")).code is RefusalCode.STAGE


def test_what_is_refused_for_its_stage_is_said_once() -> None:
    at_work = desk(stage="shadow")
    assert at_work.want(1.0)
    at_work.bar("100")
    assert not at_work.want(1.0)


def test_a_strategy_that_is_set_back_goes_flat_with_its_next_target() -> None:
    before = desk(stage="live")
    assert bought(before.want(0.5)) == D("0.5")
    after = desk(stage="shadow")
    after.core.restore(before.core.snapshot())
    after.minute, after.held, after.cash = before.minute, before.held, before.cash
    after.bar("100")
    sold, *rest = after.want(1.0)
    assert approved([sold]) == (Side.SELL, D("0.5"))
    assert refused(rest).code is RefusalCode.STAGE


def test_a_canary_share_is_rounded_down_to_whole_lots() -> None:
    at_work = desk(stage="canary", canary_share="0.3333", quantity="0.1")
    assert bought(at_work.want(1.0)) == D("0.033")


def test_a_strategy_may_want_of_all_instruments_together_what_its_limit_allows() -> None:
    at_work = desk(max_exposure="0.015")
    assert bought(at_work.want(1.0, name=BTC)) == D(1)
    answer = refused(at_work.want(1.0, name=ETH))
    assert answer.code is RefusalCode.STRATEGY_CAP
    assert answer.numbers == {"exposure": D(200), "limit": D(150), "equity": D(10_000)}
    assert bought(at_work.want(1.0, name=ETH, strategy="other")) == D(1)


def test_a_limit_holds_nobody_back_from_wanting_less() -> None:
    at_work = desk(max_exposure="0.015")
    at_work.want(1.0)
    at_work.bar("1000")
    assert approved(at_work.want(0.5)) == (Side.SELL, D("0.5")), "1,000 is far beyond 150"
