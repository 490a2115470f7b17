"""The risk core: each limit refuses with its reason, exits always get through, losses stop it."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Side
from goalkick.common.events.control import Halt, Resume, TimeAdvanced, TradingHalted, TradingResumed
from goalkick.common.events.market import (
    FeedRecovered,
    FeedStale,
    VenueStatus,
    VenueStatusChanged,
)
from goalkick.common.events.order import (
    OrderApproved,
    OrderExpired,
    OrderRefused,
    OrderRejected,
    OrderUnknown,
    PositionChanged,
    RefusalCode,
)
from goalkick.common.values.ids import AccountId, EventId, InstrumentId
from goalkick.risk.core import RiskCore
from goalkick.risk.settings import RiskSettings
from tests.unit.risk.desk import BTC, DAY, ETH, MAIN, MINUTE, D, Desk, approved, refused


class TestLevels:
    def test_orders_the_difference_between_what_is_wanted_and_held(self) -> None:
        desk = Desk()
        desk.bar("100")
        assert approved(desk.want(1.0)) == (Side.BUY, D(1))
        desk.bar("100")
        assert desk.want(1.0) == []
        assert approved(desk.want(0.25)) == (Side.SELL, D("0.75"))
        assert approved(desk.want(0.0)) == (Side.SELL, D("0.25"))

    def test_counts_what_is_on_its_way(self) -> None:
        desk = Desk()
        desk.fills = False
        desk.bar("100")
        assert approved(desk.want(1.0)) == (Side.BUY, D(1))
        desk.bar("100")
        assert desk.want(1.0) == []

    def test_strategies_on_one_instrument_add_up(self) -> None:
        desk = Desk()
        desk.bar("100")
        assert approved(desk.want(1.0, strategy="a")) == (Side.BUY, D(1))
        assert approved(desk.want(0.5, strategy="b")) == (Side.BUY, D("0.5"))
        assert approved(desk.want(0.0, strategy="a")) == (Side.SELL, D(1))

    def test_orders_again_when_the_venue_did_not_trade(self) -> None:
        desk = Desk()
        desk.fills = False
        desk.bar("100")
        (order,) = desk.want(1.0)
        assert isinstance(order, OrderApproved)
        desk.say(
            OrderRejected(
                time_ns=MINUTE, account=MAIN, order=order.order, instrument=BTC, reason="no"
            )
        )
        desk.bar("100")
        assert approved(desk.want(1.0)) == (Side.BUY, D(1))

    def test_orders_only_the_rest_after_a_partial_fill_expired(self) -> None:
        desk = Desk()
        desk.fills = False
        desk.bar("100")
        (order,) = desk.want(1.0)
        assert isinstance(order, OrderApproved)
        desk.say(
            PositionChanged(
                time_ns=MINUTE,
                account=MAIN,
                cause=EventId("f"),
                instrument=BTC,
                quantity=D("0.4"),
                cost=D(40),
                realised=D(0),
                fees=D(0),
            )
        )
        desk.say(
            OrderExpired(
                time_ns=MINUTE,
                account=MAIN,
                order=order.order,
                instrument=BTC,
                filled=D("0.4"),
                reason="no liquidity",
            )
        )
        desk.bar("100")
        assert approved(desk.want(1.0)) == (Side.BUY, D("0.6"))

    def test_an_order_id_is_derived_from_its_signal(self) -> None:
        first, second = Desk(), Desk()
        for desk in (first, second):
            desk.bar("100")
        assert first.want(1.0) == second.want(1.0)


class TestSizing:
    @pytest.mark.parametrize(
        ("options", "quantity"),
        [
            ({"sizing": "fixed_quantity", "quantity": D("2.5")}, "2.5"),
            ({"sizing": "fixed_fraction", "fraction": D("0.1")}, "10"),
            ({"sizing": "fixed_fraction", "fraction": D("0.12345678")}, "12.345"),
        ],
    )
    def test_sizes_a_full_target(self, options: dict[str, Any], quantity: str) -> None:
        desk = Desk(**options)
        desk.bar("100")
        assert approved(desk.want(1.0)) == (Side.BUY, D(quantity))

    def test_keeps_its_size_until_the_target_changes(self) -> None:
        desk = Desk(sizing="fixed_fraction", fraction=D("0.1"), stop_loss=None)
        desk.bar("100")
        assert approved(desk.want(1.0)) == (Side.BUY, D(10))
        desk.bar("110")
        assert desk.want(1.0) == []

    def test_volatility_target_needs_history_then_scales_inversely(self) -> None:
        def bought(swing: str) -> Decimal:
            desk = Desk(sizing="volatility_target", volatility=D("0.2"), cash="1000000")
            for _ in range(15):
                desk.bar("100")
                desk.bar(swing)
            return approved(desk.want(1.0))[1]

        calm, wild = bought("100.1"), bought("100.2")
        assert 1.9 < float(calm / wild) < 2.1
        fresh = Desk(sizing="volatility_target")
        fresh.bar("100")
        assert refused(fresh.want(1.0)).code is RefusalCode.NO_PRICE

    def test_a_target_below_one_lot_is_refused(self) -> None:
        desk = Desk()
        desk.bar("100")
        assert refused(desk.want(0.0001)).code is RefusalCode.BELOW_MIN_QUANTITY


class TestChecks:
    @pytest.mark.parametrize(
        ("options", "code", "numbers"),
        [
            ({"quantity": D(101)}, "insufficient_cash", {"needed": D(10100), "free": D(10000)}),
            (
                {"quantity": D(51), "max_instrument_exposure": D("0.5")},
                "instrument_cap",
                {"exposure": D(5100), "limit": D(5000), "equity": D(10000)},
            ),
            (
                {"quantity": D(51), "max_gross_exposure": D("0.5")},
                "gross_cap",
                {"exposure": D(5100), "limit": D(5000), "equity": D(10000)},
            ),
            (
                {"quantity": D(51), "max_net_exposure": D("0.5")},
                "net_cap",
                {"exposure": D(5100), "limit": D(5000), "equity": D(10000)},
            ),
        ],
    )
    def test_refuses_above_a_cap_with_the_numbers(
        self, options: dict[str, Any], code: str, numbers: dict[str, Decimal]
    ) -> None:
        desk = Desk(**options)
        desk.bar("100")
        refusal = refused(desk.want(1.0))
        assert (refusal.code.value, refusal.numbers) == (code, numbers)
        assert refusal.quantity == options["quantity"]

    def test_gross_cap_counts_all_instruments_and_working_orders(self) -> None:
        desk = Desk(quantity=D(30), max_gross_exposure=D("0.5"))
        desk.fills = False
        desk.bar("100")
        desk.bar("100", name=ETH, minute=1)
        desk.want(1.0)
        refusal = refused(desk.want(1.0, name=ETH))
        assert refusal.code is RefusalCode.GROSS_CAP
        assert refusal.numbers["exposure"] == D(6000)

    def test_a_hedge_may_pass_the_net_cap_but_not_the_gross_one(self) -> None:
        desk = Desk(
            quantity=D(30),
            max_net_exposure=D("0.3"),
            max_gross_exposure=D("0.6"),
            allow_short=True,
        )
        desk.bar("100")
        desk.bar("100", name=ETH, minute=1)
        desk.want(1.0)
        assert approved(desk.want(-1.0, name=ETH)) == (Side.SELL, D(30))

    def test_refuses_one_instrument_too_many(self) -> None:
        desk = Desk(max_positions=1)
        desk.bar("100")
        desk.bar("100", name=ETH, minute=1)
        desk.want(1.0)
        assert refused(desk.want(1.0, name=ETH)).code is RefusalCode.POSITION_COUNT_CAP

    def test_refuses_a_short_unless_allowed_and_goes_flat_instead_of_reversing(self) -> None:
        desk = Desk()
        desk.bar("100")
        assert refused(desk.want(-1.0)).code is RefusalCode.SHORT_NOT_ALLOWED
        desk.want(1.0)
        refusal, order = desk.want(-1.0)
        assert isinstance(refusal, OrderRefused)
        assert refusal.code is RefusalCode.SHORT_NOT_ALLOWED
        assert isinstance(order, OrderApproved)
        assert (order.side, order.quantity, order.reduce_only) == (Side.SELL, D(1), True)

    def test_reverses_where_shorts_are_allowed(self) -> None:
        desk = Desk(allow_short=True)
        desk.bar("100")
        desk.want(1.0)
        assert approved(desk.want(-1.0)) == (Side.SELL, D(2))

    @pytest.mark.parametrize(
        ("rules", "code"),
        [
            ({"min_quantity": D(2)}, "below_min_quantity"),
            ({"min_notional": D(101)}, "below_min_notional"),
            ({"quote": "EUR"}, "unknown_instrument"),
        ],
    )
    def test_refuses_what_the_venue_would_not_take(self, rules: dict[str, Any], code: str) -> None:
        desk = Desk()
        desk.list_instrument(BTC, **rules)
        desk.bar("100")
        assert refused(desk.want(1.0)).code.value == code

    def test_refuses_before_rules_price_and_balance_are_known(self) -> None:
        desk = Desk()
        assert refused(desk.want(1.0)).code is RefusalCode.NO_PRICE
        other = InstrumentId("test:XRP/USDT")
        assert refused(desk.want(1.0, name=other)).code is RefusalCode.UNKNOWN_INSTRUMENT

    def test_refuses_an_expired_signal(self) -> None:
        desk = Desk()
        desk.bar("100")
        assert refused(desk.want(1.0, expires=0)).code is RefusalCode.SIGNAL_EXPIRED

    @pytest.mark.parametrize("target", [1.5, -1.01, float("nan"), float("inf")])
    def test_refuses_a_target_out_of_range(self, target: float) -> None:
        desk = Desk()
        desk.bar("100")
        assert refused(desk.want(target)).code is RefusalCode.INVALID_SIGNAL

    def test_says_a_refusal_once_until_the_reason_changes(self) -> None:
        desk = Desk(quantity=D(101))
        desk.bar("100")
        assert refused(desk.want(1.0)).code is RefusalCode.INSUFFICIENT_CASH
        desk.bar("100")
        assert desk.want(1.0) == []
        desk.bar("90")
        assert approved(desk.want(1.0)) == (Side.BUY, D(101))


class TestDoubt:
    def test_stale_data_refuses_entries_but_lets_exits_through(self) -> None:
        desk = Desk()
        desk.bar("100")
        desk.want(1.0)
        desk.say(FeedStale(time_ns=MINUTE, instrument=BTC, last_ns=0, stream="bar"))
        assert refused(desk.want(1.0, strategy="b")).code is RefusalCode.STALE_DATA
        assert approved(desk.want(0.0)) == (Side.SELL, D(1))
        desk.say(FeedRecovered(time_ns=MINUTE, instrument=BTC, stream="bar"))
        assert approved(desk.want(1.0)) == (Side.BUY, D(1))

    def test_a_book_that_is_well_again_does_not_make_stale_bars_fresh(self) -> None:
        desk = Desk()
        desk.bar("100")
        desk.say(FeedStale(time_ns=MINUTE, instrument=BTC, last_ns=0, stream="book"))
        assert approved(desk.want(1.0)) == (Side.BUY, D(1))
        desk.say(FeedStale(time_ns=MINUTE, instrument=BTC, last_ns=0, stream="bar"))
        desk.say(FeedRecovered(time_ns=MINUTE, instrument=BTC, stream="book"))
        assert refused(desk.want(1.0, strategy="b")).code is RefusalCode.STALE_DATA

    def test_an_old_price_is_stale_even_if_nobody_says_so(self) -> None:
        desk = Desk(max_data_age="90s")
        desk.bar("100")
        desk.say(TimeAdvanced(time_ns=3 * MINUTE))
        refusal = refused(desk.want(1.0, expires=10))
        assert refusal.code is RefusalCode.STALE_DATA
        assert refusal.numbers["age_ns"] == 2 * MINUTE

    def test_a_halted_venue_takes_neither_entries_nor_exits(self) -> None:
        desk = Desk()
        desk.bar("100")
        desk.want(1.0)
        desk.say(VenueStatusChanged(time_ns=MINUTE, instrument=BTC, status=VenueStatus.HALTED))
        assert refused(desk.want(0.0)).code is RefusalCode.VENUE_HALTED
        desk.say(VenueStatusChanged(time_ns=MINUTE, instrument=BTC, status=VenueStatus.TRADING))
        desk.bar("100")
        assert approved(desk.want(0.0)) == (Side.SELL, D(1))

    def test_an_unknown_order_stops_new_orders_until_it_is_known(self) -> None:
        desk = Desk()
        desk.fills = False
        desk.bar("100")
        (order,) = desk.want(1.0)
        assert isinstance(order, OrderApproved)
        desk.say(
            OrderUnknown(
                time_ns=MINUTE, account=MAIN, order=order.order, instrument=BTC, reason="timeout"
            )
        )
        assert refused(desk.want(0.5)).code is RefusalCode.UNKNOWN_ORDER
        assert desk.core.account.books[BTC].worst == D(1), "its worst case stays reserved"
        desk.fill(order)
        assert approved(desk.want(0.5)) == (Side.SELL, D("0.5"))

    def test_an_operator_halts_and_resumes(self) -> None:
        desk = Desk()
        desk.bar("100")
        (said,) = desk.say(Halt(time_ns=MINUTE, issuer="ann", reason="lunch"))
        assert isinstance(said, TradingHalted)
        assert said.reason == "lunch"
        assert desk.say(Halt(time_ns=MINUTE, issuer="ann")) == []
        assert desk.say(Halt(time_ns=MINUTE, scope="other account")) == []
        assert refused(desk.want(1.0)).code is RefusalCode.TRADING_HALTED
        (said,) = desk.say(Resume(time_ns=MINUTE))
        assert isinstance(said, TradingResumed)
        assert approved(desk.want(1.0)) == (Side.BUY, D(1))


class TestLosses:
    def test_daily_loss_stops_new_risk_until_the_next_day(self) -> None:
        desk = Desk(quantity=D(50), stop_loss=None, max_daily_loss=D("0.05"))
        desk.bar("100")
        desk.want(1.0)
        (said,) = desk.bar("90")
        assert isinstance(said, TradingHalted)
        assert "daily loss" in said.reason
        desk.bar("100", name=ETH, minute=2)
        refusal = refused(desk.want(1.0, name=ETH))
        assert refusal.code is RefusalCode.DAILY_LOSS_REACHED
        assert refusal.numbers == {"equity": D(9500), "day_equity": D(10000)}
        (said,) = desk.bar("90", minute=DAY)
        assert isinstance(said, TradingResumed)
        assert approved(desk.want(0.0)) == (Side.SELL, D(50))

    def test_drawdown_stops_new_risk_until_somebody_resumes(self) -> None:
        desk = Desk(quantity=D(50), stop_loss=None, max_daily_loss=None, max_drawdown=D("0.1"))
        desk.bar("100")
        desk.want(1.0)
        assert desk.bar("120") == []
        (said,) = desk.bar("98", minute=DAY)
        assert isinstance(said, TradingHalted)
        assert desk.bar("98", minute=2 * DAY) == []
        assert refused(desk.want(1.0, strategy="b")).code is RefusalCode.DRAWDOWN_REACHED
        desk.say(Resume(time_ns=2 * DAY * MINUTE))
        assert desk.bar("97", minute=2 * DAY) == [], "the peak counts from the resumption"

    def test_stop_loss_ends_the_position_and_blocks_its_direction(self) -> None:
        desk = Desk(stop_loss=D("0.05"), max_daily_loss=None, max_drawdown=None)
        desk.bar("100")
        desk.want(1.0)
        assert desk.bar("96", low="95.01") == []
        (order,) = desk.bar("96", low="95")
        assert isinstance(order, OrderApproved)
        assert (order.side, order.quantity, order.reduce_only) == (Side.SELL, D(1), True)
        assert order.reason == "stop-loss: 95 beyond 95"
        assert desk.want(1.0) == [], "the same level is over"
        assert refused(desk.want(0.5)).code is RefusalCode.STOPPED_OUT
        assert desk.want(0.0) == []
        assert approved(desk.want(1.0)) == (Side.BUY, D(1))

    def test_a_stop_that_did_not_trade_is_due_again(self) -> None:
        desk = Desk(stop_loss=D("0.05"), max_daily_loss=None, max_drawdown=None)
        desk.bar("100")
        desk.want(1.0)
        desk.fills = False
        (order,) = desk.bar("96", low="95")
        assert isinstance(order, OrderApproved)
        assert desk.bar("94") == [], "one exit is enough"
        desk.say(
            OrderRejected(
                time_ns=MINUTE, account=MAIN, order=order.order, instrument=BTC, reason="no"
            )
        )
        desk.prices[BTC] = D("99")
        assert approved(desk.want(1.0)) == (Side.SELL, D(1))

    def test_take_profit_and_trailing_stop_of_longs_and_shorts(self) -> None:
        def reason(target: float, bars: list[tuple[str, str]], **options: Any) -> str:
            desk = Desk(
                stop_loss=None,
                max_daily_loss=None,
                max_drawdown=None,
                allow_short=True,
                **options,
            )
            desk.bar("100")
            desk.want(target)
            for low, high in bars:
                for event in desk.bar(low, low=low, high=high):
                    assert isinstance(event, OrderApproved)
                    return event.reason
            return ""

        gain, trail = {"take_profit": D("0.1")}, {"trailing_stop": D("0.1")}
        assert reason(1.0, [("105", "109.99")], **gain) == ""
        assert reason(1.0, [("105", "110")], **gain) == "take-profit: 110 beyond 110"
        assert reason(-1.0, [("90", "95")], **gain) == "take-profit: 90 beyond 90"
        assert reason(1.0, [("110", "120"), ("108.01", "110")], **trail) == ""
        assert reason(1.0, [("110", "120"), ("108", "110")], **trail).startswith("trailing stop")
        assert reason(-1.0, [("80", "90"), ("85", "88")], **trail).startswith("trailing stop")
        assert reason(1.0, [("90.01", "200")], **trail) == "", "within a bar nobody knows"

    def test_an_exit_frees_all_strategies_of_that_direction(self) -> None:
        desk = Desk(stop_loss=D("0.05"), max_daily_loss=None, max_drawdown=None)
        desk.bar("100")
        desk.want(1.0, strategy="a")
        desk.want(1.0, strategy="b")
        (order,) = desk.bar("90")
        assert isinstance(order, OrderApproved)
        assert order.quantity == D(2)
        assert desk.want(1.0, strategy="a") == []
        assert desk.want(1.0, strategy="b") == []


class TestState:
    def test_a_snapshot_of_another_account_is_refused(self) -> None:
        snapshot = RiskCore(RiskSettings(account=AccountId("other"))).snapshot()
        with pytest.raises(InvalidDataError, match=r"other\|USDT"):
            RiskCore(RiskSettings()).restore(snapshot)

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.integers(60, 140),
                st.sampled_from([BTC, ETH]),
                st.sampled_from([-1.0, -0.4, 0.0, 0.3, 1.0]),
                st.sampled_from(["a", "b"]),
                st.booleans(),
            ),
            max_size=40,
        )
    )
    @example(  # what still works on the other side must not hide the worst case of this one
        [
            (60, BTC, 0.3, "a", False),
            (60, BTC, -1.0, "a", False),
            (66, BTC, -1.0, "b", False),
        ]
    )
    def test_exposure_never_passes_the_limit_and_a_restore_is_invisible(
        self, moves: list[tuple[int, InstrumentId, float, str, bool]]
    ) -> None:
        options: dict[str, Any] = {
            "quantity": D(40),
            "allow_short": True,
            "allow_borrowing": True,
            "max_gross_exposure": D("0.6"),
            "max_drawdown": D("0.5"),
            "trailing_stop": D("0.2"),
        }
        steady, restored = Desk(**options), Desk(**options)
        for price, name, target, strategy, fills in moves:
            said = []
            for desk in (steady, restored):
                desk.fills = fills
                said.append(desk.bar(str(price), name=name))
                said[-1] += desk.want(target, name=name, strategy=strategy)
            assert said[0] == said[1]
            account = steady.core.account
            if any(isinstance(e, OrderApproved) and not e.reduce_only for e in said[0]):
                gross = sum(b.worst * (b.price or D(0)) for b in account.books.values())
                assert gross <= account.equity * D("0.6")
            fresh = RiskCore(RiskSettings(sizing="fixed_quantity", **options))
            fresh.restore(restored.core.snapshot())
            assert fresh.snapshot() == restored.core.snapshot()
            restored.core = fresh
