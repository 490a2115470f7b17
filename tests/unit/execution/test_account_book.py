"""The account's book alone: what is told once, what should be held, and which differences count."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderApproved, OrderKind
from goalkick.common.events.venue import VenueExternalTrade
from goalkick.common.values.ids import AccountId, EventId, InstrumentId, StrategyId, client_order_id
from goalkick.common.values.money import ZERO
from goalkick.execution.account import (
    REMEMBERED,
    AccountBook,
    Difference,
    expected_holdings,
    explained_by,
)
from goalkick.execution.ledger import Ledger
from goalkick.execution.order_state import Order, OrderStatus

D = Decimal
BTC = InstrumentId("binance:BTC/USDT")
ETH = InstrumentId("binance:ETH/USDT")
NAMES = ("BTC", "USDT", "XRP")


def base(instrument: InstrumentId) -> str:
    return instrument.partition(":")[2].partition("/")[0]


def trade(**fields: Any) -> VenueExternalTrade:
    given_fields = {
        "time_ns": 7,
        "instrument": BTC,
        "venue_order_id": "9",
        "trade_id": "3",
        "venue_time_ns": 80,
        "side": Side.BUY,
        "quantity": D("0.5"),
        "price": D(200),
        "fee": D("0.1"),
        "fee_currency": "BNB",
    }
    return VenueExternalTrade(**{**given_fields, **fields})


def order(status: OrderStatus, filled: str = "0", **fields: Any) -> Order:
    given_fields = {
        "time_ns": 5,
        "account": AccountId("main"),
        "order": EventId("a" * 32),
        "cause": EventId("c"),
        "client_order_id": client_order_id(EventId("a" * 32)),
        "strategy": StrategyId("s"),
        "instrument": BTC,
        "side": Side.BUY,
        "quantity": D(2),
    }
    return Order(OrderApproved(**{**given_fields, **fields}), status=status, filled=D(filled))


# --- what is told once


def test_a_number_is_one_order_for_each_instrument() -> None:
    book = AccountBook()
    asked = [(BTC, "1"), (BTC, "1"), (ETH, "1"), (BTC, "2"), (ETH, "1")]
    assert [book.is_new_order(*each) for each in asked] == [True, False, True, True, False]


def test_only_the_latest_orders_are_remembered() -> None:
    book = AccountBook()
    for number in range(REMEMBERED + 1):
        assert book.is_new_order(BTC, str(number))
    assert len(book.orders) == REMEMBERED
    assert not book.is_new_order(BTC, "1")
    assert book.is_new_order(BTC, "0"), "the oldest made room"


def test_a_trade_of_one_id_is_one_trade_for_each_instrument() -> None:
    book = AccountBook()
    assert [book.book(trade(instrument=name), "X", "USDT") for name in (BTC, ETH, BTC, ETH)] == [
        True,
        True,
        False,
        False,
    ]
    assert book.moved["X"] == D(1)


@pytest.mark.parametrize(
    ("fields", "moved"),
    [
        ({}, {"BTC": D("0.5"), "USDT": D(-100), "BNB": D("-0.1")}),
        ({"side": Side.SELL}, {"BTC": D("-0.5"), "USDT": D(100), "BNB": D("-0.1")}),
        ({"fee_currency": "BTC"}, {"BTC": D("0.4"), "USDT": D(-100)}),
        ({"side": Side.SELL, "fee_currency": "USDT"}, {"BTC": D("-0.5"), "USDT": D("99.9")}),
        # A maker may be paid.
        ({"fee": D("-0.1")}, {"BTC": D("0.5"), "USDT": D(-100), "BNB": D("0.1")}),
    ],
)
def test_what_a_trade_that_is_not_ours_makes_of_the_account(
    fields: dict[str, Any], moved: Mapping[str, Decimal]
) -> None:
    book = AccountBook()
    for _ in range(2):
        book.book(trade(**fields), "BTC", "USDT")
    assert book.moved == moved


def test_how_far_trades_are_known_does_not_depend_on_their_order() -> None:
    book = AccountBook()
    seen = []
    for moment in (80, 60, 90, 70):
        book.saw(trade(venue_time_ns=moment))
        seen.append((book.first_ns, book.last_ns))
    assert seen == [(80, 80), (60, 80), (60, 90), (60, 90)]


# --- what should be held


def test_what_should_be_held_is_the_opening_and_all_that_came_after() -> None:
    ledger = Ledger(D(1000))
    ledger.book(BTC, Side.BUY, D(2), D(100), D(1))
    ledger.other_fees["BNB"] = D("0.25")
    book = AccountBook(opening={"USDT": D(1000), "BTC": D(3), "BNB": D(1)})
    book.book(trade(instrument=ETH), "ETH", "USDT")
    assert expected_holdings(ledger, book, "USDT", base) == {
        "USDT": D(1000) - 200 - 1 - 100,
        "BTC": D(5),
        "ETH": D("0.5"),
        "BNB": D(1) - D("0.25") - D("0.1"),
    }


LIMIT: dict[str, Any] = {"kind": OrderKind.LIMIT, "limit_price": D(100)}


@pytest.mark.parametrize(
    ("orders", "explained"),
    [
        ([], {}),
        ([order(OrderStatus.ACCEPTED), order(OrderStatus.PARTIALLY_FILLED, "1")], {}),
        ([order(OrderStatus.UNKNOWN, **LIMIT)], {"BTC": D(2), "USDT": D(200)}),
        ([order(OrderStatus.INTENDED, **LIMIT)], {"BTC": D(2), "USDT": D(200)}),
        # What was booked is in doubt no more.
        ([order(OrderStatus.UNKNOWN, "0.5", **LIMIT)], {"BTC": D("1.5"), "USDT": D(150)}),
        # A market order costs, and any sale brings in, nobody knows how much.
        ([order(OrderStatus.UNKNOWN)], {"BTC": D(2), "USDT": None}),
        ([order(OrderStatus.UNKNOWN, side=Side.SELL, **LIMIT)], {"BTC": D(2), "USDT": None}),
        # Once nobody can say, no other order can either.
        (
            [order(OrderStatus.UNKNOWN), order(OrderStatus.UNKNOWN, instrument=ETH, **LIMIT)],
            {"BTC": D(2), "ETH": D(2), "USDT": None},
        ),
        (
            [order(OrderStatus.UNKNOWN, **LIMIT), order(OrderStatus.UNKNOWN, **LIMIT)],
            {"BTC": D(4), "USDT": D(400)},
        ),
    ],
)
def test_what_orders_in_doubt_explain(
    orders: list[Order], explained: Mapping[str, Decimal | None]
) -> None:
    assert explained_by(orders, "USDT", base) == explained


# --- differences


def test_both_sides_of_a_difference_are_told() -> None:
    book, found, expected = AccountBook(), {"BTC": D(1)}, {"USDT": D(5)}
    assert book.compare(found, expected, {}) == ([], True), "a second look is wanted"
    told, unconfirmed = book.compare(found, expected, {})
    assert told == [Difference("BTC", ZERO, D(1)), Difference("USDT", D(5), ZERO)]
    assert not unconfirmed


def test_a_difference_that_moves_between_two_looks_is_not_told() -> None:
    book = AccountBook()
    for found in (D(1), D(2), D(1), D(2)):
        assert book.compare({"BTC": found}, {}, {}) == ([], True)


@pytest.mark.parametrize("off", [D(2), D(-2)])
def test_a_difference_up_to_what_is_explained_is_none(off: Decimal) -> None:
    book = AccountBook()
    for _ in range(3):
        assert book.compare({"BTC": 10 + off}, {"BTC": D(10)}, {"BTC": D(2)}) == ([], False)


def test_where_nobody_can_say_nothing_is_told_and_nothing_is_forgotten() -> None:
    book, expected = AccountBook(), {"BTC": D(10)}
    for _ in range(2):
        book.compare({"BTC": D(9)}, expected, {})
    assert book.compare({"BTC": D(10)}, expected, {"BTC": None}) == ([], False)
    assert book.compare({"BTC": D(9)}, expected, {}) == ([], False), "it was told before"


def test_a_currency_that_a_venue_does_not_list_any_more_differs_no_more() -> None:
    """Bybit lists what an account has, and leaves out what it has none of."""
    book = AccountBook()
    for _ in range(2):
        book.compare({"XRP": D(5)}, {}, {})
    assert book.compare({}, {}, {}) == ([Difference("XRP", ZERO, ZERO)], False)
    for _ in range(2):
        told, _ = book.compare({"XRP": D(5)}, {}, {})
    assert told == [Difference("XRP", ZERO, D(5))], "the same once more is news"


AMOUNTS = st.dictionaries(st.sampled_from(NAMES), st.integers(-2, 2).map(Decimal))
DOUBTS = st.dictionaries(st.sampled_from(NAMES), st.none() | st.integers(0, 2).map(Decimal))


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS, DOUBTS), max_size=12))
def test_a_difference_is_told_after_two_equal_looks_and_never_twice(
    looks: list[tuple[dict[str, Decimal], dict[str, Decimal], dict[str, Decimal | None]]],
) -> None:
    book, before, told = AccountBook(), dict[str, Decimal](), dict[str, Decimal]()
    for found, expected, doubtful in looks:
        beyond = {}
        for name in NAMES:
            off, explained = found.get(name, ZERO) - expected.get(name, ZERO), doubtful.get(name, 0)
            if explained is not None and abs(off) > explained:
                beyond[name] = off
        differences, unconfirmed = book.compare(found, expected, doubtful)
        for each in differences:
            off = each.found - each.expected
            if abs(off) > each.explained:
                assert before[each.currency] == off != told.get(each.currency)
                told[each.currency] = off
            else:
                del told[each.currency]
        for name in NAMES:
            if doubtful.get(name, ZERO) is None:
                continue
            confirmed = name not in beyond or before.get(name) == beyond[name]
            assert not confirmed or told.get(name) == beyond.get(name)
        assert unconfirmed == any(told.get(name) != off for name, off in beyond.items())
        before = beyond


@given(AMOUNTS, AMOUNTS)
def test_two_looks_settle_everything_and_one_that_agrees_ends_it(
    found: dict[str, Decimal], expected: dict[str, Decimal]
) -> None:
    book = AccountBook()
    assert not book.compare(found, expected, {})[0]
    told, unconfirmed = book.compare(found, expected, {})
    assert not unconfirmed
    assert book.compare(found, expected, {}) == ([], False)
    gone, unconfirmed = book.compare(expected, expected, {})
    assert {each.currency for each in gone} == {each.currency for each in told}
    assert not book.told
