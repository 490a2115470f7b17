"""Bybit v5 spot (unified account): orders over REST, news of them over the private stream.

An order's acknowledgement has its ids and says nothing more: what became of it comes with the
stream, or is asked for. Almost all errors come with HTTP 200 and a code in the body.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.common.events.venue import (
    PlaceOrder,
    VenueAccepted,
    VenueExternalOrder,
    VenueExternalTrade,
    VenueOrderEvent,
    VenueRejected,
    VenueTraded,
)
from goalkick.common.values.ids import ClientOrderId, InstrumentId
from goalkick.common.values.money import ZERO, parse_decimal, plain
from goalkick.execution.venues.dialect import (
    Confirmed,
    Ended,
    Foreign,
    Found,
    Lost,
    News,
    Rows,
    Told,
    Trade,
    is_ours,
    nanoseconds,
    pinned,
)

_OPEN: Final = frozenset({"New", "PartiallyFilled", "Untriggered", "Triggered"})
_TIME_IN_FORCE: Final[Mapping[TimeInForce, str]] = {
    TimeInForce.UNTIL_CANCELLED: "GTC",
    TimeInForce.IMMEDIATE: "IOC",
    TimeInForce.ALL_OR_NOTHING: "FOK",
    TimeInForce.POST_ONLY: "PostOnly",
}
_REFUSALS: Final = (
    range(10001, 10011),  # parameters, time window, key, signature, permission, rate, ban
    range(10017, 10019),  # no such call; an address asks too often
    range(10024, 10030),  # regulation, account, symbol
    range(110_003, 110_100),  # account and order
    range(170_002, 170_400),  # spot
)
_DOUBTFUL: Final = frozenset(
    {
        110_072,  # an order with this id is there: ours
        170_007,  # time-out of the venue's own
        170_032,  # network error of the venue's own
        170_035,  # handed on
        170_141,  # an order with this id is there: ours
        170_146,  # creation timed out
        170_147,  # cancellation timed out
        170_149,  # creation failed, it does not say how
        170_234,  # system error
    }
)
"""Among the codes of refusal, those that do not say that the order is not there."""

_LOGIN_MS: Final = 10_000
"""For how long a login's signature is good."""
_PAGE: Final = 100
"""Trades in an answer."""


class BybitDialect:
    """See `dialect.Dialect`."""

    name = "bybit"
    window_ms = 1_000
    placement = "v5/order/create"

    def options(self, recv_window_ms: int) -> Mapping[str, Any]:
        """See the protocol."""
        return {
            "defaultType": "spot",
            "fetchMarkets": {"types": ["spot"]},
            "fetchCurrencies": False,
            # What ccxt would ask for otherwise: the kind of account. Only unified ones trade here.
            "enableUnifiedMargin": False,
            "enableUnifiedAccount": True,
            "unifiedMarginStatus": 6,
            "adjustForTimeDifference": True,
            "recvWindow": recv_window_ms,
        }

    def move(self, api: Any, endpoint: str) -> Any:
        """See the protocol."""
        moved = pinned(api)
        moved.update(public=endpoint, private=endpoint)
        socket = endpoint.replace("http", "ws", 1)
        moved["ws"]["private"]["contract"] = f"{socket}/v5/private"
        return moved

    async def guard(self, client: Any, window_s: int) -> None:
        """See the protocol."""
        await client.private_post_v5_order_disconnected_cancel_all(
            {"product": "SPOT", "timeWindow": window_s}
        )
        answer = await client.private_get_v5_account_query_dcp_info()
        timers = {each["product"]: each["dcpStatus"] for each in answer["result"]["dcpInfos"]}
        if timers.get("SPOT") != "ON":
            raise SettingsError(
                "execution.venue.dead_man: expected an account for which Bybit has turned on its "
                f"disconnection protection of spot, found {timers or 'none'}; ask Bybit, or leave "
                "the setting out"
            )

    async def listen(self, client: Any, *, guarded: bool = False) -> None:
        """See the protocol."""
        url = await client.get_url_by_market_type(None, True)
        # ccxt's own login goes by our clock, which the venue's may differ from for good.
        expires = str(client.nonce() + _LOGIN_MS)
        text, secret = f"GET/realtime{expires}".encode(), client.secret.encode()
        signature = client.hmac(text, secret, hashlib.sha256, "hex")
        login = {"op": "auth", "args": [client.apiKey, expires, signature]}
        await client.watch(url, "authenticated", login, "authenticated")
        topics = ["order", "execution", *(["dcp.spot"] if guarded else [])]
        while True:
            await client.watch_topics(url, ["goalkick"], topics)

    def hear(self, message: Any) -> Sequence[News]:
        """See the protocol."""
        if not isinstance(message, dict):
            return ()
        if message.get("op") == "subscribe":
            if message.get("success"):
                return (Confirmed(),)
            return (Lost(f"subscription refused: {message.get('ret_msg')}"),)
        read = _TOPICS.get(str(message.get("topic", "")).partition(".")[0])
        rows = message.get("data") if read else None
        if read is None or not isinstance(rows, list):
            return ()
        return [piece for row in rows for piece in read(row)]

    def lacks(self, order: PlaceOrder) -> str:
        """See the protocol."""
        if order.kind.waits and order.time_in_force is TimeInForce.POST_ONLY:
            return "a post-only order that waits for a stop price is not sent to Bybit"
        return ""

    async def place(self, client: Any, order: PlaceOrder, symbol: str) -> Sequence[VenueOrderEvent]:
        """See the protocol."""
        if order.stop_price is not None:
            await _see_that_it_waits(client, order, symbol, order.stop_price)
        answer = await client.private_post_v5_order_create(_request(order, symbol))
        return (
            VenueAccepted(
                time_ns=nanoseconds(answer["time"]),
                client_order_id=order.client_order_id,
                instrument=InstrumentId(symbol),
                venue_order_id=str(answer["result"]["orderId"]),
            ),
        )

    def is_refusal(self, code: int, message: str) -> bool:
        """See the protocol."""
        return code not in _DOUBTFUL and any(code in codes for codes in _REFUSALS)

    async def cancel(self, client: Any, handle: str, symbol: str) -> None:
        """See the protocol."""
        named = {"category": "spot", "symbol": symbol, "orderLinkId": handle}
        order = await _look_up(client, named)
        if order is not None and order.get("triggerPrice") and order["orderStatus"] in _OPEN:
            # One that waits is among others, unless it is already in the book.
            named["orderFilter"] = "StopOrder" if _is_waiting(order) else "Order"
        answer = await client.private_post_v5_order_cancel(named)
        # ccxt lets a 200 pass that is no JSON: an answer without an order says nothing.
        str(answer["result"]["orderId"])

    async def find(self, client: Any, handle: str, symbol: str) -> Found | None:
        """See the protocol."""
        order = await _look_up(
            client, {"category": "spot", "symbol": symbol, "orderLinkId": handle}
        )
        if order is None:
            return None
        number = str(order["orderId"])
        trades = await _executions(
            client, {"category": "spot", "symbol": symbol, "orderId": number}
        )
        return Found(
            venue_order_id=number,
            status=_status(order),
            filled=parse_decimal(order["cumExecQty"] or "0"),
            trades=[_of_order(each.trade, handle) for each in trades],
            reason=_reason(order),
        )

    async def owner(self, client: Any, venue_order_id: str, symbol: str) -> str:
        """See the protocol."""
        order = await _look_up(
            client, {"category": "spot", "symbol": symbol, "orderId": venue_order_id}
        )
        return "" if order is None else str(order["orderLinkId"])

    async def open_orders(self, client: Any) -> Sequence[VenueExternalOrder]:
        """See the protocol."""
        rows: list[Any] = []
        asked: dict[str, Any] = {"category": "spot", "limit": 50}
        while True:
            result = (await client.private_get_v5_order_realtime(asked))["result"]
            rows += result["list"]
            if not result.get("nextPageCursor") or not result["list"]:
                return [_external(row) for row in rows if row["orderStatus"] in _OPEN]
            asked["cursor"] = result["nextPageCursor"]

    async def trades(self, client: Any, symbols: Sequence[str], since_ms: int) -> Sequence[Trade]:
        """See the protocol."""
        return await _executions(client, {"category": "spot", "startTime": since_ms})

    async def holdings(self, client: Any) -> Mapping[str, Decimal]:
        """See the protocol."""
        answer = await client.private_get_v5_account_wallet_balance({"accountType": "UNIFIED"})
        return {
            coin["coin"]: parse_decimal(coin["walletBalance"] or "0")
            for account in answer["result"]["list"]
            for coin in account["coin"]
        }

    async def book(self, client: Any, symbol: str, levels: int) -> tuple[Rows, Rows]:
        """See the protocol."""
        request = {"category": "spot", "symbol": symbol, "limit": levels}
        answer = await client.public_get_v5_market_orderbook(request)
        return answer["result"]["b"], answer["result"]["a"]


def _request(order: PlaceOrder, symbol: str) -> Mapping[str, Any]:
    request: dict[str, Any] = {
        "category": "spot",
        "symbol": symbol,
        "side": order.side.value.capitalize(),
        "orderType": "Limit" if order.kind.has_limit else "Market",
        "qty": plain(order.quantity),
        "orderLinkId": order.client_order_id,
    }
    if order.kind.has_limit:
        assert order.limit_price is not None  # noqa: S101 - the core sees to it
        request["price"] = plain(order.limit_price)
        request["timeInForce"] = _TIME_IN_FORCE[order.time_in_force]
    else:
        # Else the quantity of a buy would be taken for an amount of quote currency.
        request["marketUnit"] = "baseCoin"
    if order.stop_price is not None:
        request |= {"triggerPrice": plain(order.stop_price), "orderFilter": "StopOrder"}
    return request


async def _see_that_it_waits(
    client: Any, order: PlaceOrder, symbol: str, stop_price: Decimal
) -> None:
    """Bybit tells a stop from a take-profit by the side of the last price that it is on.

    One on the wrong side would become the other, so it is not sent.

    Raises:
        InvalidDataError: it is.
    """
    answer = await client.public_get_v5_market_tickers({"category": "spot", "symbol": symbol})
    last = parse_decimal(answer["result"]["list"][0]["lastPrice"])
    is_stop = order.kind in (OrderKind.STOP, OrderKind.STOP_LIMIT)
    above = (order.side is Side.BUY) == is_stop
    if stop_price == last or (stop_price > last) != above:
        raise InvalidDataError(
            f"expected a stop price {'above' if above else 'below'} the last price "
            f"{plain(last)} for a {order.side} {order.kind}, found {plain(stop_price)}"
        )


async def _look_up(client: Any, named: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """An order among those of late, else among those that ended before; None: not there."""
    for ask in (client.private_get_v5_order_realtime, client.private_get_v5_order_history):
        rows = (await ask(named))["result"]["list"]
        if rows:
            found: Mapping[str, Any] = rows[0]
            return found
    return None


async def _executions(client: Any, asked: Mapping[str, Any]) -> Sequence[Trade]:
    """All pages, oldest first."""
    found: list[Trade] = []
    page: dict[str, Any] = {**asked, "limit": _PAGE, "execType": "Trade"}
    while True:
        result = (await client.private_get_v5_execution_list(page))["result"]
        found += (Trade(str(row["orderLinkId"]), _trade(row)) for row in result["list"])
        if not result.get("nextPageCursor") or not result["list"]:
            return found[::-1]
        page["cursor"] = result["nextPageCursor"]


def _trade(row: Mapping[str, Any]) -> VenueExternalTrade:
    return VenueExternalTrade(
        time_ns=nanoseconds(row["execTime"]),
        instrument=InstrumentId(row["symbol"]),
        venue_order_id=str(row["orderId"]),
        trade_id=str(row["execId"]),
        venue_time_ns=nanoseconds(row["execTime"]),
        side=Side(row["side"].lower()),
        quantity=parse_decimal(row["execQty"]),
        price=parse_decimal(row["execPrice"]),
        fee=parse_decimal(row["execFee"] or "0"),
        fee_currency=row["feeCurrency"],
    )


def _of_order(trade: VenueExternalTrade, handle: str) -> VenueTraded:
    """The same as a trade of one of our orders."""
    return VenueTraded(
        client_order_id=ClientOrderId(handle),
        slippage=ZERO,
        **{name: getattr(trade, name) for name in trade.__struct_fields__},
    )


def _external(row: Mapping[str, Any]) -> VenueExternalOrder:
    by_quote = row.get("marketUnit") == "quoteCoin"
    return VenueExternalOrder(
        time_ns=nanoseconds(row["createdTime"]),
        instrument=InstrumentId(row["symbol"]),
        venue_order_id=str(row["orderId"]),
        client_order_id=str(row["orderLinkId"]),
        side=Side(row["side"].lower()),
        quantity=ZERO if by_quote else parse_decimal(row["qty"]),
        filled=parse_decimal(row["cumExecQty"] or "0"),
        limit_price=parse_decimal(row["price"] or "0") or None,
        kind=f"{row['orderType']} {row.get('stopOrderType', '')}".strip(),
    )


def _execution(row: Mapping[str, Any]) -> Sequence[News]:
    if row.get("execType") != "Trade" or row.get("category") != "spot":
        return ()
    trade, handle = _trade(row), str(row["orderLinkId"])
    return (Told(_of_order(trade, handle)),) if is_ours(handle) else (Foreign(trade),)


def _order(row: Mapping[str, Any]) -> Sequence[News]:
    if row.get("category") != "spot":
        return ()
    handle, status = ClientOrderId(str(row["orderLinkId"])), _status(row)
    if not is_ours(handle):
        return (Foreign(_external(row)),) if status == "open" else ()
    about: dict[str, Any] = {
        "time_ns": nanoseconds(row["updatedTime"]),
        "client_order_id": handle,
        "instrument": InstrumentId(row["symbol"]),
    }
    match status:
        case "open":
            return (Told(VenueAccepted(**about, venue_order_id=str(row["orderId"]))),)
        case "rejected":
            return (Told(VenueRejected(**about, reason=_reason(row))),)
        case _:
            return (Ended(handle, row["symbol"], filled=status == "filled"),)


_TOPICS: Final[Mapping[str, Callable[[Mapping[str, Any]], Sequence[News]]]] = {
    "execution": _execution,
    "order": _order,
}
"""What is read of each row of a topic."""


def _status(order: Mapping[str, Any]) -> str:
    status = order["orderStatus"]
    if status in _OPEN:
        return "open"
    if status in ("Filled", "Rejected"):
        return str(status).lower()
    ours = order.get("cancelType") == "CancelByUser"
    return "cancelled" if ours or _reason(order) == "EC_PerCancelRequest" else "expired"


def _reason(order: Mapping[str, Any]) -> str:
    return str(order.get("rejectReason") or order["orderStatus"])


def _is_waiting(order: Mapping[str, Any]) -> bool:
    return bool(order["orderStatus"] == "Untriggered")
