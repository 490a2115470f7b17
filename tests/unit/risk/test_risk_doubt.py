"""What risk keeps in reserve while nobody knows an order's fate, and what others do."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from goalkick.common.events.base import Event, Side
from goalkick.common.events.control import Halt
from goalkick.common.events.order import (
    ExternalFillSeen,
    ExternalOrderSeen,
    OrderAccepted,
    OrderApproved,
    OrderCancelled,
    OrderExpired,
    OrderPartiallyFilled,
    OrderRejected,
    OrderUnknown,
    RefusalCode,
)
from goalkick.common.telemetry import names
from goalkick.common.values.ids import InstrumentId, StrategyId
from goalkick.risk.standing import LOOKS, external, lines, reserved, reserved_unknown
from tests.unit.risk.desk import BTC, ETH, MAIN, MINUTE, D, Desk, refused

NOW_NS = 3 * MINUTE


def in_doubt() -> tuple[Desk, OrderApproved]:
    """A buy of one unit at 100 of which nobody knows the fate."""
    desk = Desk()
    desk.fills = False
    desk.bar("100")
    (order,) = desk.want(1.0)
    assert isinstance(order, OrderApproved)
    desk.say(about(OrderUnknown, order, reason="timeout"))
    return desk, order


def about(kind: type[Any], order: OrderApproved, **fields: Any) -> Any:
    common = {"account": MAIN, "order": order.order, "instrument": order.instrument}
    return kind(time_ns=MINUTE, **common, **fields)


def part(order: OrderApproved, quantity: str = "0.4") -> Any:
    return about(
        OrderPartiallyFilled,
        order,
        strategy=StrategyId("s"),
        trade_id="1",
        venue_time_ns=MINUTE,
        side=Side.BUY,
        quantity=D(quantity),
        price=D(100),
        fee=D(0),
        fee_currency="USDT",
        slippage=D(0),
        filled=D(quantity),
        remaining=1 - D(quantity),
    )


EVIDENCE: list[tuple[str, Callable[[OrderApproved], Event], Decimal]] = [
    ("it is open", lambda order: about(OrderAccepted, order, venue_order_id="1"), D(1)),
    ("it has traded in part", part, D("0.6")),
    ("it was refused", lambda order: about(OrderRejected, order, reason=""), D(0)),
    ("it was cancelled", lambda o: about(OrderCancelled, o, filled=D(0), reason=""), D(0)),
    ("it has expired", lambda order: about(OrderExpired, order, filled=D(0), reason=""), D(0)),
]
"""What the venue may say, and what is then still to trade."""


@pytest.mark.parametrize(("says", "evidence", "left"), EVIDENCE, ids=[e[0] for e in EVIDENCE])
def test_the_worst_case_is_kept_until_the_venue_has_spoken(
    says: str, evidence: Callable[[OrderApproved], Event], left: Decimal
) -> None:
    desk, order = in_doubt()
    book = desk.core.account.books[BTC]
    for minute in range(2, 40):
        # Neither time nor prices nor the same words again end it.
        desk.bar("100", minute=minute)
        desk.say(about(OrderUnknown, order, reason="timeout"))
        assert book.worst == D(1)
        assert reserved_unknown(desk.core) == D(100)
        assert refused(desk.want(0.5 + minute / 1000)).code is RefusalCode.UNKNOWN_ORDER
    desk.say(evidence(order))
    assert (reserved(desk.core), reserved_unknown(desk.core)) == (left * 100, D(0))
    assert lines(desk.core, NOW_NS) == []


def test_another_strategy_or_instrument_does_not_get_what_is_reserved() -> None:
    desk = Desk(cash="150", max_instrument_exposure=D(1))
    desk.fills = False
    desk.bar("100")
    (order,) = desk.want(1.0)
    assert isinstance(order, OrderApproved)
    desk.say(about(OrderUnknown, order, reason="timeout"))
    desk.bar("100", name=ETH, minute=1)
    assert refused(desk.want(1.0, name=ETH)).code in (
        RefusalCode.INSUFFICIENT_CASH,
        RefusalCode.GROSS_CAP,
    )


def test_a_doubt_goes_on_over_a_restart() -> None:
    desk, _ = in_doubt()
    saved = desk.core.snapshot()
    desk.core.restore(saved)
    assert reserved_unknown(desk.core) == D(100)
    assert LOOKS.gauges[names.ORDERS_UNKNOWN_SECONDS](desk.core, NOW_NS) == 120.0


def test_info_and_metrics_tell_of_a_doubt() -> None:
    desk, order = in_doubt()
    (line,) = lines(desk.core, NOW_NS)
    assert order.order in line
    assert "unknown for 120.0 s" in line
    assert "1 of it (100 of cash)" in line
    figures = {m.name: figure(desk.core, NOW_NS) for m, figure in LOOKS.gauges.items()}
    assert figures == {
        "goalkick_orders_unknown": 1.0,
        "goalkick_orders_unknown_seconds": 120.0,
        "goalkick_reserved_exposure_cash": 100.0,
        "goalkick_reserved_unknown_exposure_cash": 100.0,
        "goalkick_external_exposure_cash": 0.0,
        "goalkick_equity_cash": 10000.0,
        "goalkick_day_profit_cash": 0.0,
        "goalkick_drawdown_ratio": 0.0,
        "goalkick_positions": 0.0,
        "goalkick_exposure_cash": 0.0,
        "goalkick_net_exposure_cash": 0.0,
        "goalkick_halts": 0.0,
    }


def foreign(side: Side, quantity: str, **fields: Any) -> ExternalFillSeen:
    values: dict[str, Any] = {
        "instrument": BTC,
        "price": D(100),
        "fee": D(0),
        "fee_currency": "USDT",
        **fields,
    }
    return ExternalFillSeen(
        time_ns=MINUTE,
        account=MAIN,
        venue_order_id="7",
        trade_id="8",
        venue_time_ns=MINUTE,
        side=side,
        quantity=D(quantity),
        **values,
    )


class TestWhatOthersDo:
    def test_it_counts_in_exposure_and_is_never_traded_against(self) -> None:
        desk = Desk(cash="1000")
        desk.bar("100")
        desk.say(foreign(Side.BUY, "9"))
        assert desk.core.account.books[BTC].worst == D(9)
        assert desk.want(0.0) == [], "a strategy that wants nothing sells nothing of it"
        assert desk.core.account.books[BTC].position == D(0)

    @pytest.mark.parametrize(
        ("limits", "code"),
        [
            ({"max_instrument_exposure": D("0.95")}, RefusalCode.INSTRUMENT_CAP),
            ({"max_gross_exposure": D("0.95")}, RefusalCode.GROSS_CAP),
            ({"max_net_exposure": D("0.95")}, RefusalCode.NET_CAP),
        ],
    )
    def test_it_uses_up_limits(self, limits: dict[str, Any], code: RefusalCode) -> None:
        desk = Desk(cash="1000", **limits)
        desk.bar("100")
        desk.say(foreign(Side.BUY, "9"))
        assert refused(desk.want(1.0)).code is code

    def test_it_spends_cash(self) -> None:
        desk = Desk(cash="1000")
        desk.bar("100")
        desk.say(foreign(Side.BUY, "9.5"))
        assert refused(desk.want(1.0)).code is RefusalCode.INSUFFICIENT_CASH

    def test_its_losses_count_towards_the_limits(self) -> None:
        desk = Desk(cash="1000", max_daily_loss=D("0.05"))
        desk.bar("100")
        desk.say(foreign(Side.BUY, "5"))
        assert desk.core.account.equity == D(1000)
        said = desk.bar("89")
        assert desk.core.account.equity == D(945)
        assert [type(event).__name__ for event in said] == ["TradingHalted"]

    def test_fees_leave_less_of_what_they_are_taken_in(self) -> None:
        desk = Desk(cash="1000")
        desk.bar("100")
        desk.say(foreign(Side.BUY, "1", fee=D("0.1"), fee_currency="BTC"))
        desk.say(foreign(Side.SELL, "0.5", fee=D(2), fee_currency="USDT"))
        desk.say(foreign(Side.BUY, "1", fee=D(1), fee_currency="BNB"))
        account = desk.core.account
        assert account.books[BTC].external == D("1.4")
        assert account.external_cash == D(-100 + 50 - 2 - 100)

    def test_an_instrument_without_bars_is_worth_what_was_paid_for_it(self) -> None:
        desk = Desk(cash="1000")
        desk.bar("100")
        desk.say(foreign(Side.BUY, "2", instrument=InstrumentId("test:SOL/USDT"), price=D(20)))
        assert desk.core.account.equity == D(1000)
        assert external(desk.core) == D(40)

    def test_what_is_paid_in_another_currency_is_counted_and_not_valued(self) -> None:
        desk = Desk(cash="1000")
        desk.say(foreign(Side.BUY, "2", instrument=InstrumentId("test:ETH/BTC"), price=D("0.05")))
        assert desk.core.account.equity == D(1000)
        assert external(desk.core) == D(0)
        (line,) = lines(desk.core, NOW_NS)
        assert "0 orders and 1 fills" in line

    def test_it_is_told(self) -> None:
        desk = Desk(cash="1000")
        desk.bar("100")
        desk.say(
            ExternalOrderSeen(
                time_ns=MINUTE,
                account=MAIN,
                instrument=BTC,
                venue_order_id="7",
                client_order_id="web",
                side=Side.BUY,
                quantity=D(2),
                filled=D(0),
                limit_price=D(100),
                kind="LIMIT",
            )
        )
        desk.say(foreign(Side.BUY, "2"))
        (line,) = lines(desk.core, NOW_NS)
        assert "1 orders and 1 fills were seen, 200 of exposure" in line
        assert LOOKS.gauges[names.EXTERNAL_EXPOSURE](desk.core, NOW_NS) == 200.0


def test_a_halt_is_told() -> None:
    desk = Desk()
    desk.say(Halt(time_ns=MINUTE, issuer="ann", reason="lunch"))
    assert lines(desk.core, NOW_NS) == ["halted by command for *"]
