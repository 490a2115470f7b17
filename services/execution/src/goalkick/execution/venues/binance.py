"""Binance spot: orders over REST, news of them over the WebSocket API."""

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from goalkick.common.core.errors import SettingsError
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.common.events.venue import (
    PlaceOrder,
    VenueAccepted,
    VenueClosed,
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

_STATUS: Final[Mapping[str, str]] = {
    "NEW": "open",
    "PENDING_NEW": "open",
    "PARTIALLY_FILLED": "open",
    "PENDING_CANCEL": "open",
    "FILLED": "filled",
    "CANCELED": "cancelled",
    "EXPIRED": "expired",
    "EXPIRED_IN_MATCH": "expired",
    "REJECTED": "rejected",
}
_KIND: Final[Mapping[OrderKind, str]] = {
    OrderKind.MARKET: "MARKET",
    OrderKind.LIMIT: "LIMIT",
    OrderKind.STOP: "STOP_LOSS",
    OrderKind.STOP_LIMIT: "STOP_LOSS_LIMIT",
    OrderKind.TAKE_PROFIT: "TAKE_PROFIT",
    OrderKind.TAKE_PROFIT_LIMIT: "TAKE_PROFIT_LIMIT",
}
_TIME_IN_FORCE: Final[Mapping[TimeInForce, str]] = {
    TimeInForce.UNTIL_CANCELLED: "GTC",
    TimeInForce.IMMEDIATE: "IOC",
    TimeInForce.ALL_OR_NOTHING: "FOK",
}
_REFUSALS: Final = frozenset(
    {
        -1002,  # unauthorised
        -1003,  # too many requests
        -1013,  # a filter's failure
        -1014,  # unknown combination of an order
        -1015,  # too many orders
        -1020,  # operation not supported
        -1021,  # outside of the time window
        -1022,  # bad signature
        -2010,  # new order rejected
        -2014,  # bad format of an API key
        -2015,  # bad API key, address or permission
        *range(-1199, -1099),  # what is wrong with a request's parameters
    }
)
"""Error codes of orders that never reached the book. Not among them, as Binance says of them that
the order's fate is not known or says nothing: -1000, -1001, -1006, -1007, -1008, -1016."""


class BinanceDialect:
    """See `dialect.Dialect`."""

    name = "binance"
    window_ms = 60_000
    placement = "order"

    def options(self, recv_window_ms: int) -> Mapping[str, Any]:
        """See the protocol."""
        return {
            "defaultType": "spot",
            "fetchMarkets": {"types": ["spot"]},
            "fetchMargins": False,
            "fetchCurrencies": False,
            "adjustForTimeDifference": True,
            "recvWindow": recv_window_ms,
            "warnOnFetchOpenOrdersWithoutSymbol": False,
        }

    def move(self, api: Any, endpoint: str) -> Any:
        """See the protocol."""
        moved = pinned(api)
        socket = endpoint.replace("http", "ws", 1)
        moved.update(public=f"{endpoint}/api/v3", private=f"{endpoint}/api/v3")
        moved["ws"]["ws-api"]["spot"] = f"{socket}/ws-api/v3"
        return moved

    async def guard(self, client: Any, window_s: int) -> None:
        """See the protocol."""
        raise SettingsError(
            "execution.venue.dead_man: expected none, Binance's spot market has no such timer"
        )

    async def listen(self, client: Any, *, guarded: bool = False) -> None:
        """See the protocol."""
        await client.ensure_user_data_stream_ws_subscribe_signature("spot")
        while True:
            await client.watch_orders()
            # Nothing of ours reaches ccxt, so this is news that nobody waits for.
            await asyncio.sleep(0)

    def hear(self, message: Any) -> Sequence[News]:
        """See the protocol."""
        if not isinstance(message, dict):
            return ()
        if "subscriptionId" in (message.get("result") or {}):
            return (Confirmed(),)
        event = message.get("event")
        if not isinstance(event, dict):
            return ()
        kind = event.get("e")
        if kind == "executionReport":
            return _report(event)
        if kind in ("eventStreamTerminated", "serverShutdown"):
            return (Lost(f"the venue says {kind}"),)
        return ()

    def lacks(self, order: PlaceOrder) -> str:
        """See the protocol."""
        if order.kind.waits and order.time_in_force is TimeInForce.POST_ONLY:
            return "Binance spot has no post-only order that waits for a stop price"
        return ""

    async def place(self, client: Any, order: PlaceOrder, symbol: str) -> Sequence[VenueOrderEvent]:
        """See the protocol."""
        answer = await client.private_post_order(_request(order, symbol))
        handle, number = order.client_order_id, str(answer["orderId"])
        instrument, moment_ns = InstrumentId(symbol), nanoseconds(answer["transactTime"])
        about: dict[str, Any] = {
            "time_ns": moment_ns,
            "client_order_id": handle,
            "instrument": instrument,
        }
        events: list[VenueOrderEvent] = [VenueAccepted(**about, venue_order_id=number)]
        filled = ZERO
        for fill in answer.get("fills") or ():
            quantity = parse_decimal(fill["qty"])
            filled += quantity
            events.append(
                VenueTraded(
                    **about,
                    trade_id=str(fill["tradeId"]),
                    venue_time_ns=moment_ns,
                    side=order.side,
                    quantity=quantity,
                    price=parse_decimal(fill["price"]),
                    fee=parse_decimal(fill["commission"]),
                    fee_currency=fill["commissionAsset"],
                    slippage=ZERO,
                    venue_order_id=number,
                )
            )
        status = _STATUS.get(answer["status"], "open")
        if status in ("cancelled", "expired") and filled == parse_decimal(answer["executedQty"]):
            cancelled = status == "cancelled"
            reason = answer.get("expiryReason") or answer["status"]
            events.append(VenueClosed(**about, cancelled=cancelled, reason=reason))
        return events

    def is_refusal(self, code: int, message: str) -> bool:
        """See the protocol."""
        # An order with this id is there: ours.
        return code in _REFUSALS and "uplicate" not in message

    async def cancel(self, client: Any, handle: str, symbol: str) -> None:
        """See the protocol."""
        request = {"symbol": symbol, "origClientOrderId": handle}
        answer = await client.private_delete_order(request)
        # ccxt lets a 200 pass that is no JSON: an answer without an order says nothing.
        str(answer["orderId"])

    async def find(self, client: Any, handle: str, symbol: str) -> Found | None:
        """See the protocol."""
        order = await client.private_get_order({"symbol": symbol, "origClientOrderId": handle})
        number = str(order["orderId"])
        rows = await client.private_get_mytrades({"symbol": symbol, "orderId": number})
        return Found(
            venue_order_id=number,
            status=_STATUS.get(order["status"], "open"),
            filled=parse_decimal(order["executedQty"]),
            trades=[_of_order(_trade(row, symbol), handle) for row in rows],
            reason=order.get("expiryReason") or order["status"],
        )

    async def owner(self, client: Any, venue_order_id: str, symbol: str) -> str:
        """See the protocol."""
        order = await client.private_get_order({"symbol": symbol, "orderId": venue_order_id})
        return str(order["clientOrderId"])

    async def open_orders(self, client: Any) -> Sequence[VenueExternalOrder]:
        """See the protocol."""
        return [
            VenueExternalOrder(
                time_ns=nanoseconds(row["time"]),
                instrument=InstrumentId(row["symbol"]),
                venue_order_id=str(row["orderId"]),
                client_order_id=row["clientOrderId"],
                side=Side(row["side"].lower()),
                quantity=parse_decimal(row["origQty"]),
                filled=parse_decimal(row["executedQty"]),
                limit_price=parse_decimal(row["price"]) or None,
                kind=row["type"],
            )
            for row in await client.private_get_openorders()
        ]

    async def trades(self, client: Any, symbols: Sequence[str], since_ms: int) -> Sequence[Trade]:
        """See the protocol."""
        found: list[Trade] = []
        for symbol in symbols:
            rows = await client.private_get_mytrades(
                {"symbol": symbol, "startTime": since_ms, "limit": 1000}
            )
            found += (Trade("", _trade(row, symbol)) for row in rows)
        return sorted(found, key=lambda each: each.trade.venue_time_ns)

    async def holdings(self, client: Any) -> Mapping[str, Decimal]:
        """See the protocol."""
        account = await client.private_get_account()
        return {
            row["asset"]: parse_decimal(row["free"]) + parse_decimal(row["locked"])
            for row in account["balances"]
        }

    async def book(self, client: Any, symbol: str, levels: int) -> tuple[Rows, Rows]:
        """See the protocol."""
        answer = await client.public_get_depth({"symbol": symbol, "limit": levels})
        return answer["bids"], answer["asks"]


def _request(order: PlaceOrder, symbol: str) -> Mapping[str, Any]:
    post_only = order.time_in_force is TimeInForce.POST_ONLY
    request = {
        "symbol": symbol,
        "side": order.side.value.upper(),
        "type": "LIMIT_MAKER" if post_only else _KIND[order.kind],
        "quantity": plain(order.quantity),
        "newClientOrderId": order.client_order_id,
        "newOrderRespType": "FULL",
    }
    if order.limit_price is not None:
        request["price"] = plain(order.limit_price)
        if not post_only:
            request["timeInForce"] = _TIME_IN_FORCE[order.time_in_force]
    if order.stop_price is not None:
        request["stopPrice"] = plain(order.stop_price)
    return request


def _trade(row: Mapping[str, Any], symbol: str) -> VenueExternalTrade:
    return VenueExternalTrade(
        time_ns=nanoseconds(row["time"]),
        instrument=InstrumentId(symbol),
        venue_order_id=str(row["orderId"]),
        trade_id=str(row["id"]),
        venue_time_ns=nanoseconds(row["time"]),
        side=Side.BUY if row["isBuyer"] in (True, "true") else Side.SELL,
        quantity=parse_decimal(row["qty"]),
        price=parse_decimal(row["price"]),
        fee=parse_decimal(row["commission"]),
        fee_currency=row["commissionAsset"],
    )


def _of_order(trade: VenueExternalTrade, handle: str) -> VenueTraded:
    """The same as a trade of one of our orders."""
    return VenueTraded(
        client_order_id=ClientOrderId(handle),
        slippage=ZERO,
        **{name: getattr(trade, name) for name in trade.__struct_fields__},
    )


def _report(event: Mapping[str, Any]) -> Sequence[News]:
    what, symbol = event["x"], event["s"]
    # A cancel has an id of its own in `c`; the order's is in `C` then.
    handle = ClientOrderId(event["C"] if what == "CANCELED" and event.get("C") else event["c"])
    if what == "TRADE":
        trade = VenueExternalTrade(
            time_ns=nanoseconds(event["T"]),
            instrument=InstrumentId(symbol),
            venue_order_id=str(event["i"]),
            trade_id=str(event["t"]),
            venue_time_ns=nanoseconds(event["T"]),
            side=Side(event["S"].lower()),
            quantity=parse_decimal(event["l"]),
            price=parse_decimal(event["L"]),
            fee=parse_decimal(event["n"] or "0"),
            fee_currency=event["N"] or "",
        )
        if not is_ours(handle):
            return (Foreign(trade),)
        told = Told(_of_order(trade, handle))
        return (told, Ended(handle, symbol, filled=True)) if event["X"] == "FILLED" else (told,)
    if not is_ours(handle):
        return (Foreign(_reported_order(event, handle)),) if what == "NEW" else ()
    about: dict[str, Any] = {
        "time_ns": nanoseconds(event["T"]),
        "client_order_id": handle,
        "instrument": InstrumentId(symbol),
    }
    if what == "NEW":
        return (Told(VenueAccepted(**about, venue_order_id=str(event["i"]))),)
    if what == "REJECTED":
        return (Told(VenueRejected(**about, reason=str(event.get("r", what)))),)
    return (Ended(handle, symbol),)


def _reported_order(event: Mapping[str, Any], handle: str) -> VenueExternalOrder:
    return VenueExternalOrder(
        time_ns=nanoseconds(event["T"]),
        instrument=InstrumentId(event["s"]),
        venue_order_id=str(event["i"]),
        client_order_id=handle,
        side=Side(event["S"].lower()),
        quantity=parse_decimal(event["q"]),
        filled=parse_decimal(event["z"]),
        limit_price=parse_decimal(event["p"]) or None,
        kind=event["o"],
    )
