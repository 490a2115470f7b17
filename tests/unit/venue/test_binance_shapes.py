"""What is told looks as Binance's does, and says exactly what the exchange says."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from goalkick.venue.binance import shapes
from goalkick.venue.engine.model import (
    Kind,
    Listing,
    Order,
    SelfTrade,
    Side,
    Status,
    Ticker,
    TimeInForce,
)

LISTING = Listing(instrument="BTC/USDT", base="BTC", quote="USDT")


def order(**changes: object) -> Order:
    fields: dict[str, object] = {
        "order_id": 7,
        "client_order_id": "mine",
        "account": "main",
        "instrument": "BTC/USDT",
        "side": Side.BUY,
        "kind": Kind.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "self_trade": SelfTrade.NONE,
        "quantity": Decimal(1),
        "quote_quantity": None,
        "price": Decimal(90),
        "stop_price": None,
        "status": Status.NEW,
        "created_ns": 1_000_000,
        "updated_ns": 2_999_999,
        "working_ns": 1_000_000,
    }
    return Order(**{**fields, **changes})  # type: ignore[arg-type]


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12))
def test_no_amount_is_rounded(value: Decimal) -> None:
    assert Decimal(shapes.amount(value)) == value


def test_amounts_have_eight_decimals_unless_they_need_more() -> None:
    assert shapes.amount(Decimal("1.5")) == "1.50000000"
    assert shapes.amount(Decimal("0.0000000123")) == "0.0000000123"
    assert shapes.amount(None) == "0.00000000"


def test_an_order_has_the_fields_that_are_documented() -> None:
    told = shapes.order(order(), "BTCUSDT")
    assert told == {
        "symbol": "BTCUSDT",
        "orderId": 7,
        "orderListId": -1,
        "clientOrderId": "mine",
        "price": "90.00000000",
        "origQty": "1.00000000",
        "executedQty": "0.00000000",
        "cummulativeQuoteQty": "0.00000000",
        "status": "NEW",
        "timeInForce": "GTC",
        "type": "LIMIT",
        "side": "BUY",
        "stopPrice": "0.00000000",
        "icebergQty": "0.00000000",
        "time": 1,
        "updateTime": 2,
        "isWorking": True,
        "workingTime": 1,
        "origQuoteOrderQty": "0.00000000",
        "selfTradePreventionMode": "NONE",
    }


def test_an_untriggered_stop_is_new_and_not_working() -> None:
    stop = order(kind=Kind.STOP_LOSS, status=Status.PENDING, stop_price=Decimal(80), working_ns=0)
    told = shapes.order(stop, "BTCUSDT")
    assert (told["status"], told["isWorking"], told["workingTime"]) == ("NEW", False, -1)
    assert told["stopPrice"] == "80.00000000"


def test_acknowledgements_tell_ids_only_and_full_answers_tell_fills() -> None:
    ack = shapes.new_order(order(), "BTCUSDT", "ACK")
    assert set(ack) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    assert "fills" not in shapes.new_order(order(), "BTCUSDT", "RESULT")
    assert shapes.new_order(order(), "BTCUSDT", "FULL")["fills"] == []


def test_a_cancel_has_its_own_client_id_and_the_orders(  # C12
) -> None:
    told = shapes.cancelled(order(status=Status.CANCELLED), "BTCUSDT", "cancel-1")
    assert (told["clientOrderId"], told["origClientOrderId"]) == ("cancel-1", "mine")


def test_expired_orders_say_why() -> None:
    reasons = {
        Kind.MARKET: (TimeInForce.GTC, "INSUFFICIENT_LIQUIDITY"),
        Kind.LIMIT: (TimeInForce.IOC, "UNFILLED_IOC_QUANTITY_EXPIRED"),
    }
    for kind, (time_in_force, reason) in reasons.items():
        one = order(kind=kind, time_in_force=time_in_force, status=Status.EXPIRED)
        assert shapes.expiry_reason(one) == reason
    assert shapes.expiry_reason(order()) is None


def test_all_filters_of_a_listing_are_told() -> None:
    kinds = [one["filterType"] for one in shapes.listing(LISTING)["filters"]]
    assert kinds == [
        "PRICE_FILTER",
        "LOT_SIZE",
        "MARKET_LOT_SIZE",
        "PERCENT_PRICE_BY_SIDE",
        "NOTIONAL",
        "MAX_NUM_ORDERS",
        "MAX_NUM_ALGO_ORDERS",
    ]


def test_a_day_without_trades_has_no_change_and_no_mean() -> None:
    zero = Decimal(0)
    ticker = Ticker(
        instrument="BTC/USDT",
        open_ns=0,
        close_ns=0,
        open=zero,
        high=zero,
        low=zero,
        last=zero,
        volume=zero,
        quote_volume=zero,
        trades=0,
        first_id=-1,
        last_id=-1,
        bid=zero,
        bid_quantity=zero,
        ask=zero,
        ask_quantity=zero,
    )
    told = shapes.full_ticker(ticker, "BTCUSDT", None)
    assert told["priceChangePercent"] == "0.000"
    assert told["weightedAvgPrice"] == "0.00000000"
