"""Bybit's requests: who sent them, and what is in them."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.venue.accounts import Accounts, ApiKey
from goalkick.venue.bybit import errors
from goalkick.venue.bybit.account_calls import EXECUTION_FIELDS
from goalkick.venue.bybit.errors import ApiError
from goalkick.venue.bybit.order_calls import CREATE_FIELDS
from goalkick.venue.bybit.parameters import read
from goalkick.venue.bybit.signing import check_login, check_request, sign
from goalkick.venue.engine.model import (
    Kind,
    Listing,
    NewOrder,
    Reason,
    Refused,
    Side,
)

KEY = ApiKey(key="key", secret="secret", account="main")
NOW_MS = 1_700_000_000_000
LIMIT = {
    "category": "spot",
    "symbol": "BTCUSDT",
    "side": "Buy",
    "orderType": "Limit",
    "qty": "0.1",
    "price": "100",
}


@pytest.fixture
def accounts() -> Accounts:
    """One valid key."""
    accounts = Accounts()
    accounts.add(KEY)
    return accounts


def headers(payload: str, **changes: str) -> dict[str, str]:
    stamp, window = changes.get("stamp", str(NOW_MS)), changes.get("window", "5000")
    return {
        "X-BAPI-API-KEY": changes.get("key", "key"),
        "X-BAPI-TIMESTAMP": stamp,
        "X-BAPI-RECV-WINDOW": window,
        "X-BAPI-SIGN": changes.get("sign", sign("secret", f"{stamp}key{window}{payload}")),
    }


def check(accounts: Accounts, given: dict[str, str], payload: str) -> ApiKey:
    return check_request(accounts, given, payload, now_ms=NOW_MS, default_window_ms=5_000)


@given(payload=st.text())
def test_accepts_what_its_key_signed_and_nothing_else(payload: str) -> None:
    accounts = Accounts()
    accounts.add(KEY)
    assert check(accounts, headers(payload), payload) == KEY
    with pytest.raises(ApiError) as refused:
        check(accounts, headers(payload), payload + "x")
    assert refused.value.code == 10004


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"key": ""}, 10001),
        ({"sign": ""}, 10001),
        ({"key": "nobody"}, 10003),
        ({"sign": "0" * 64}, 10004),
        ({"stamp": str(NOW_MS - 5_001)}, 10002),
        ({"stamp": str(NOW_MS + 1_000)}, 10002),
        ({"stamp": "soon"}, 10002),
        ({"stamp": str(NOW_MS - 900), "window": "800"}, 10002),
    ],
)
def test_refuses_with_bybits_code(accounts: Accounts, changes: dict[str, str], code: int) -> None:
    with pytest.raises(ApiError) as refused:
        check(accounts, headers("a=1", **changes), "a=1")
    assert (refused.value.code, refused.value.status) == (code, 200)


@pytest.mark.parametrize("stamp", [NOW_MS - 5_000, NOW_MS, NOW_MS + 999])
def test_the_window_has_bybits_bounds(accounts: Accounts, stamp: int) -> None:
    assert check(accounts, headers("", stamp=str(stamp)), "") == KEY


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (None, 10001),
        (["key"], 10001),
        (["nobody", NOW_MS + 1, "x"], 10003),
        (["key", NOW_MS, sign("secret", f"GET/realtime{NOW_MS}")], 10004),
        (["key", NOW_MS + 1, "x"], 10004),
    ],
)
def test_refuses_a_wrong_login(accounts: Accounts, args: Any, code: int) -> None:
    with pytest.raises(ApiError) as refused:
        check_login(accounts, args, NOW_MS)
    assert refused.value.code == code


def test_accepts_a_login_that_has_not_expired(accounts: Accounts) -> None:
    expires = NOW_MS + 1
    args = ["key", expires, sign("secret", f"GET/realtime{expires}")]
    assert check_login(accounts, args, NOW_MS) == KEY


def test_reads_an_order() -> None:
    asked = read(CREATE_FIELDS, LIMIT)
    assert (asked["qty"], asked["price"]) == (Decimal("0.1"), Decimal(100))
    assert (asked["orderFilter"], asked["orderLinkId"]) == ("Order", "")


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"quantity": "1"}, 10001, "unknown parameter quantity"),
        ({"symbol": None}, 10001, "symbol is required"),
        ({"symbol": ""}, 10001, "symbol is required"),
        ({"category": "linear"}, 10001, "Category is invalid"),
        ({"qty": 0.1}, 10001, "qty must be a string"),
        ({"qty": "0"}, 170130, "'qty'"),
        ({"qty": "NaN"}, 170130, "'qty'"),
        ({"side": "buy"}, 170130, "'side'"),
        ({"orderLinkId": "a" * 37}, 170130, "'orderLinkId'"),
        ({"orderLinkId": "a b"}, 170130, "'orderLinkId'"),
        ({"isLeverage": 1}, 170130, "'isLeverage'"),
        ({"takeProfit": "120"}, 170130, "'takeProfit'"),
    ],
)
def test_refuses_parameters(changes: dict[str, Any], code: int, text: str) -> None:
    with pytest.raises(ApiError, match=text) as refused:
        read(CREATE_FIELDS, {**LIMIT, **changes})
    assert refused.value.code == code


@pytest.mark.parametrize(("sent", "limit"), [({}, 50), ({"limit": "7"}, 7), ({"limit": 500}, 100)])
def test_limits_have_defaults_and_bounds(sent: dict[str, Any], limit: int) -> None:
    assert read(EXECUTION_FIELDS, {"category": "spot", **sent})["limit"] == limit


@pytest.mark.parametrize("reason", Reason)
def test_each_refusal_of_the_exchange_has_a_code(reason: Reason) -> None:
    assert errors.refused(Refused(reason)).code >= 110_000


@pytest.mark.parametrize(
    ("reason", "price", "quantity", "code"),
    [
        (Reason.PRICE_FILTER, "2000000", "1", 170132),
        (Reason.PRICE_FILTER, "0.001", "1", 170133),
        (Reason.PRICE_FILTER, "100.001", "1", 170134),
        (Reason.LOT_SIZE, "100", "10000", 170135),
        (Reason.LOT_SIZE, "100", "0.000001", 170136),
        (Reason.LOT_SIZE, "100", "1.000001", 170137),
        (Reason.NOTIONAL, "1", "1", 170140),
        (Reason.NOTIONAL, "900000", "1000", 170124),
    ],
)
def test_says_which_side_of_a_filter(reason: Reason, price: str, quantity: str, code: int) -> None:
    listing = Listing(instrument="BTC/USDT", base="BTC", quote="USDT")
    asked = NewOrder(
        instrument="BTC/USDT",
        side=Side.BUY,
        kind=Kind.LIMIT,
        price=Decimal(price),
        quantity=Decimal(quantity),
    )
    assert errors.refused(Refused(reason), asked, listing).code == code
