"""What Binance and Bybit answer to questions about orders, trades and holdings, in our words."""

import asyncio
import hashlib
import hmac
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind
from goalkick.common.events.venue import (
    PlaceOrder,
    VenueAccepted,
    VenueClosed,
    VenueExternalOrder,
    VenueTraded,
)
from goalkick.common.values.ids import ClientOrderId, InstrumentId
from goalkick.common.values.time import NS_PER_MS
from goalkick.execution.venues.binance import BinanceDialect
from goalkick.execution.venues.bybit import BybitDialect
from goalkick.execution.venues.dialect import Dialect

D = Decimal
MOMENT_MS = 1_700_000_000_000
BOTH = [BinanceDialect(), BybitDialect()]


class Scripted:
    """Stands in for ccxt's client: each call has its answers, and what was asked is kept."""

    apiKey, secret = "key", "secret"  # noqa: N815 - ccxt's name

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        async def answer(*params: Any) -> Any:
            self.asked.append((name, *(dict(p) if isinstance(p, dict) else p for p in params)))
            given = self.answers[name]
            told = given.pop(0) if isinstance(given, list) else given
            if isinstance(told, Exception):
                raise told
            return told

        return answer

    def nonce(self) -> int:
        return MOMENT_MS

    @staticmethod
    def hmac(text: bytes, secret: bytes, algorithm: Any, _: str) -> str:
        return hmac.new(secret, text, algorithm).hexdigest()


def listed(*rows: Any, cursor: str = "") -> dict[str, Any]:
    return {"result": {"list": list(rows), "nextPageCursor": cursor}}


# --- Binance: what became of an order


def binance_order(**fields: Any) -> dict[str, Any]:
    given = {
        "symbol": "BTCUSDT",
        "orderId": 7,
        "clientOrderId": "gk-1",
        "status": "NEW",
        "executedQty": "0",
        "origQty": "1",
        "price": "90",
        "side": "SELL",
        "type": "LIMIT",
        "time": MOMENT_MS,
    }
    return {**given, **fields}


def binance_trade(**fields: Any) -> dict[str, Any]:
    given = {
        "symbol": "BTCUSDT",
        "id": 3,
        "orderId": 7,
        "time": MOMENT_MS,
        "isBuyer": True,
        "qty": "0.4",
        "price": "89.5",
        "commission": "0.0002",
        "commissionAsset": "BNB",
    }
    return {**given, **fields}


@pytest.mark.parametrize(
    ("status", "ours"),
    [
        ("NEW", "open"),
        ("PENDING_NEW", "open"),
        ("PARTIALLY_FILLED", "open"),
        ("PENDING_CANCEL", "open"),
        ("FILLED", "filled"),
        ("CANCELED", "cancelled"),
        ("EXPIRED", "expired"),
        ("EXPIRED_IN_MATCH", "expired"),
        ("REJECTED", "rejected"),
        # A word that is not known is no end.
        ("SOMETHING_NEW", "open"),
    ],
)
async def test_how_binances_orders_stand(status: str, ours: str) -> None:
    client = Scripted(private_get_order=binance_order(status=status), private_get_mytrades=())
    found = await BinanceDialect().find(client, "gk-1", "BTCUSDT")
    assert found is not None
    assert (found.status, found.venue_order_id, found.reason) == (ours, "7", status)
    assert client.asked == [
        ("private_get_order", {"symbol": "BTCUSDT", "origClientOrderId": "gk-1"}),
        ("private_get_mytrades", {"symbol": "BTCUSDT", "orderId": "7"}),
    ]


@pytest.mark.parametrize(("buyer", "side"), [(True, Side.BUY), (False, Side.SELL)])
async def test_binances_order_is_found_with_its_trades_or_says_that_some_are_missing(
    buyer: bool, side: Side
) -> None:
    client = Scripted(
        private_get_order=binance_order(executedQty="0.5", expiryReason="IOC"),
        private_get_mytrades=[[binance_trade(isBuyer=buyer)] for _ in range(2)],
    )
    found = await BinanceDialect().find(client, "gk-1", "BTCUSDT")
    assert found is not None
    assert (found.complete, found.reason) == (False, "IOC")
    (trade,) = found.trades
    assert trade == VenueTraded(
        time_ns=MOMENT_MS * NS_PER_MS,
        client_order_id=ClientOrderId("gk-1"),
        instrument=InstrumentId("BTCUSDT"),
        trade_id="3",
        venue_time_ns=MOMENT_MS * NS_PER_MS,
        side=side,
        quantity=D("0.4"),
        price=D("89.5"),
        fee=D("0.0002"),
        fee_currency="BNB",
        slippage=D(0),
        venue_order_id="7",
    )
    client.answers["private_get_order"] = binance_order(executedQty="0.4")
    found = await BinanceDialect().find(client, "gk-1", "BTCUSDT")
    assert found is not None
    assert found.complete


@pytest.mark.parametrize(
    ("status", "kinds"),
    [
        ("FILLED", [VenueAccepted]),  # its trades say the same
        ("CANCELED", [VenueAccepted, VenueClosed]),
        ("EXPIRED", [VenueAccepted, VenueClosed]),
        ("PARTIALLY_FILLED", [VenueAccepted]),
        ("SOMETHING_NEW", [VenueAccepted]),
    ],
)
async def test_what_binance_answers_to_a_placement(status: str, kinds: list[type]) -> None:
    answer = {"orderId": 7, "transactTime": MOMENT_MS, "status": status, "executedQty": "0"}
    order = PlaceOrder(
        time_ns=1,
        client_order_id=ClientOrderId("gk-1"),
        instrument=InstrumentId("binance:BTC/USDT"),
        side=Side.BUY,
        quantity=D(1),
        kind=OrderKind.MARKET,
    )
    told = await BinanceDialect().place(Scripted(private_post_order=answer), order, "BTCUSDT")
    assert [type(event) for event in told] == kinds
    closed = [event for event in told if isinstance(event, VenueClosed)]
    assert all(each.cancelled == (status == "CANCELED") for each in closed)


# --- whose an order is


async def test_binance_says_whose_an_order_is() -> None:
    client = Scripted(private_get_order=binance_order(clientOrderId="web-1"))
    assert await BinanceDialect().owner(client, "7", "BTCUSDT") == "web-1"
    assert client.asked == [("private_get_order", {"symbol": "BTCUSDT", "orderId": "7"})]


async def test_bybit_says_whose_an_order_is_or_that_it_has_forgotten_it() -> None:
    row = {"orderLinkId": "web-1"}
    client = Scripted(
        private_get_v5_order_realtime=listed(),
        private_get_v5_order_history=[listed(row), listed()],
    )
    owners = [await BybitDialect().owner(client, "7", "BTCUSDT") for _ in range(2)]
    assert owners == ["web-1", ""]


# --- all that is open


async def test_binance_lists_open_orders() -> None:
    rows = [binance_order(), binance_order(orderId=8, type="MARKET", price="0.00000000")]
    (limit, market) = await BinanceDialect().open_orders(Scripted(private_get_openorders=[rows]))
    assert limit == VenueExternalOrder(
        time_ns=MOMENT_MS * NS_PER_MS,
        instrument=InstrumentId("BTCUSDT"),
        venue_order_id="7",
        client_order_id="gk-1",
        side=Side.SELL,
        quantity=D(1),
        filled=D(0),
        limit_price=D(90),
        kind="LIMIT",
    )
    assert market.limit_price is None


def bybit_order(**fields: Any) -> dict[str, Any]:
    given = {
        "symbol": "BTCUSDT",
        "orderId": "7",
        "orderLinkId": "gk-1",
        "side": "Sell",
        "orderType": "Limit",
        "price": "90",
        "qty": "1",
        "cumExecQty": "0.25",
        "orderStatus": "New",
        "createdTime": str(MOMENT_MS),
    }
    return {**given, **fields}


@pytest.mark.parametrize(
    ("fields", "quantity", "limit_price", "kind"),
    [
        ({}, D(1), D(90), "Limit"),
        ({"orderType": "Market", "price": ""}, D(1), None, "Market"),
        # So much of quote currency: how much of base currency it is nobody knows.
        (
            {"orderType": "Market", "price": "", "marketUnit": "quoteCoin"},
            D(0),
            None,
            "Market",
        ),
        ({"stopOrderType": "Stop", "orderStatus": "Untriggered"}, D(1), D(90), "Limit Stop"),
    ],
)
async def test_how_bybits_open_orders_are_read(
    fields: Mapping[str, Any], quantity: Decimal, limit_price: Decimal | None, kind: str
) -> None:
    client = Scripted(private_get_v5_order_realtime=listed(bybit_order(**fields)))
    (order,) = await BybitDialect().open_orders(client)
    assert order == VenueExternalOrder(
        time_ns=MOMENT_MS * NS_PER_MS,
        instrument=InstrumentId("BTCUSDT"),
        venue_order_id="7",
        client_order_id="gk-1",
        side=Side.SELL,
        quantity=quantity,
        filled=D("0.25"),
        limit_price=limit_price,
        kind=kind,
    )


async def test_bybits_open_orders_are_read_to_the_last_page_without_those_that_ended() -> None:
    pages = [
        listed(bybit_order(), bybit_order(orderId="8", orderStatus="Cancelled"), cursor="c"),
        listed(bybit_order(orderId="9"), cursor="d"),
        listed(cursor="e"),  # a cursor without orders leads nowhere
    ]
    client = Scripted(private_get_v5_order_realtime=pages)
    orders = await BybitDialect().open_orders(client)
    assert [order.venue_order_id for order in orders] == ["7", "9"]
    assert [asked.get("cursor") for _, asked in client.asked] == [None, "c", "d"]


# --- trades and holdings of the whole account


async def test_binances_trades_are_asked_for_by_instrument_and_put_in_order() -> None:
    client = Scripted(
        private_get_mytrades=[
            [binance_trade(id=1, time=MOMENT_MS + 2), binance_trade(id=2, time=MOMENT_MS + 4)],
            [binance_trade(id=1, time=MOMENT_MS + 3)],
        ]
    )
    found = await BinanceDialect().trades(client, ["BTCUSDT", "ETHUSDT"], MOMENT_MS)
    assert [(each.trade.instrument, each.trade.trade_id, each.handle) for each in found] == [
        ("BTCUSDT", "1", ""),
        ("ETHUSDT", "1", ""),
        ("BTCUSDT", "2", ""),
    ]
    assert [asked["startTime"] for _, asked in client.asked] == [MOMENT_MS, MOMENT_MS]


async def test_bybits_trades_say_whose_they_are() -> None:
    row = {
        "symbol": "BTCUSDT",
        "orderId": "7",
        "orderLinkId": "web-1",
        "side": "Buy",
        "execId": "e-3",
        "execPrice": "89.5",
        "execQty": "0.4",
        "execFee": "",
        "feeCurrency": "",
        "execTime": str(MOMENT_MS),
    }
    client = Scripted(private_get_v5_execution_list=listed(row))
    (found,) = await BybitDialect().trades(client, (), MOMENT_MS)
    assert (found.handle, found.trade.trade_id, found.trade.fee) == ("web-1", "e-3", D(0))
    ((_, asked),) = client.asked
    assert asked["startTime"] == MOMENT_MS
    assert asked["execType"] == "Trade", "funding and the like are no trades"


async def test_what_is_set_aside_for_orders_is_held_all_the_same() -> None:
    balances = [{"asset": "BTC", "free": "1.5", "locked": "0.5"}]
    binance = Scripted(private_get_account={"balances": balances})
    assert await BinanceDialect().holdings(binance) == {"BTC": D(2)}
    coins = [{"coin": "BTC", "walletBalance": "2"}, {"coin": "NEW", "walletBalance": ""}]
    bybit = Scripted(private_get_v5_account_wallet_balance=listed({"coin": coins}))
    assert await BybitDialect().holdings(bybit) == {"BTC": D(2), "NEW": D(0)}


# --- how a client is made, and listens


@pytest.mark.parametrize("dialect", BOTH, ids=lambda dialect: dialect.name)
def test_a_client_goes_by_the_venues_clock_and_bounds_what_it_signs(dialect: Dialect) -> None:
    options = dialect.options(1500)
    assert options["recvWindow"] == 1500
    assert options["adjustForTimeDifference"] is True
    assert options["defaultType"] == "spot"


async def test_binance_is_listened_to_until_it_breaks() -> None:
    client = Scripted(
        ensure_user_data_stream_ws_subscribe_signature=None,
        watch_orders=[None, None, ConnectionError("gone")],
    )
    with pytest.raises(ConnectionError, match="gone"):
        await asyncio.wait_for(BinanceDialect().listen(client), 5)
    assert client.asked[0] == ("ensure_user_data_stream_ws_subscribe_signature", "spot")


async def test_bybits_login_is_signed_with_the_venues_time_before_anything_is_subscribed() -> None:
    client = Scripted(
        get_url_by_market_type="wss://nowhere",
        watch=None,
        watch_topics=[None, ConnectionError("gone")],
    )
    with pytest.raises(ConnectionError, match="gone"):
        await asyncio.wait_for(BybitDialect().listen(client), 5)
    (_, (_, _, _, login, _), *topics) = client.asked
    expires = str(MOMENT_MS + 10_000)
    signature = hmac.new(b"secret", f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()
    assert login == {"op": "auth", "args": ["key", expires, signature]}
    assert topics[0] == ("watch_topics", "wss://nowhere", ["goalkick"], ["order", "execution"])
