"""Binance spot: orders over REST, news of them over the WebSocket API."""

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind
from goalkick.common.events.venue import (
    PlaceOrder,
    VenueAccepted,
    VenueClosed,
    VenueEvent,
    VenueRejected,
    VenueTraded,
)
from goalkick.common.values.ids import ClientOrderId, InstrumentId
from goalkick.common.values.money import ZERO, parse_decimal, plain
from goalkick.common.values.time import NS_PER_MS
from goalkick.execution.venues.dialect import Ended, Found, Lost, News, Told, pinned

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
}


class BinanceDialect:
    """See `dialect.Dialect`."""

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

    async def subscribe(self, client: Any) -> None:
        """See the protocol."""
        await client.ensure_user_data_stream_ws_subscribe_signature("spot")

    async def wait(self, client: Any) -> None:
        """See the protocol."""
        while True:
            await client.watch_orders()
            # Nothing of ours reaches ccxt, so this is news that nobody waits for.
            await asyncio.sleep(0)

    def hear(self, message: Any) -> Sequence[News]:
        """See the protocol."""
        event = message.get("event") if isinstance(message, dict) else None
        if not isinstance(event, dict):
            return ()
        kind = event.get("e")
        if kind == "executionReport":
            return self._report(event)
        if kind in ("eventStreamTerminated", "serverShutdown"):
            return (Lost(f"the venue says {kind}"),)
        return ()

    async def place(self, client: Any, order: PlaceOrder, symbol: str) -> Sequence[VenueEvent]:
        """See the protocol."""
        request = {
            "symbol": symbol,
            "side": order.side.value.upper(),
            "type": _KIND[order.kind],
            "quantity": plain(order.quantity),
            "newClientOrderId": order.client_order_id,
            "newOrderRespType": "FULL",
        }
        if order.limit_price is not None:
            request |= {"price": plain(order.limit_price), "timeInForce": "GTC"}
        if order.stop_price is not None:
            request |= {"stopPrice": plain(order.stop_price)}
        answer = await client.private_post_order(request)
        handle, number = order.client_order_id, str(answer["orderId"])
        instrument, moment_ns = InstrumentId(symbol), _ns(answer["transactTime"])
        events: list[VenueEvent] = [
            VenueAccepted(
                time_ns=moment_ns,
                client_order_id=handle,
                instrument=instrument,
                venue_order_id=number,
            )
        ]
        filled = ZERO
        for fill in answer.get("fills") or ():
            quantity = parse_decimal(fill["qty"])
            filled += quantity
            events.append(
                VenueTraded(
                    time_ns=moment_ns,
                    client_order_id=handle,
                    instrument=instrument,
                    trade_id=str(fill["tradeId"]),
                    venue_time_ns=moment_ns,
                    side=order.side,
                    quantity=quantity,
                    price=parse_decimal(fill["price"]),
                    fee=parse_decimal(fill["commission"]),
                    fee_currency=fill["commissionAsset"],
                    slippage=ZERO,
                )
            )
        status = _STATUS.get(answer["status"], "open")
        if status in ("cancelled", "expired") and filled == parse_decimal(answer["executedQty"]):
            events.append(
                VenueClosed(
                    time_ns=moment_ns,
                    client_order_id=handle,
                    instrument=instrument,
                    cancelled=status == "cancelled",
                    reason=answer["status"],
                )
            )
        return events

    async def cancel(self, client: Any, handle: str, symbol: str) -> None:
        """See the protocol."""
        await client.private_delete_order({"symbol": symbol, "origClientOrderId": handle})

    async def find(self, client: Any, handle: str, symbol: str) -> Found | None:
        """See the protocol."""
        order = await client.private_get_order({"symbol": symbol, "origClientOrderId": handle})
        number = str(order["orderId"])
        rows = await client.private_get_mytrades({"symbol": symbol, "orderId": number})
        trades = [
            VenueTraded(
                time_ns=_ns(row["time"]),
                client_order_id=ClientOrderId(handle),
                instrument=InstrumentId(symbol),
                trade_id=str(row["id"]),
                venue_time_ns=_ns(row["time"]),
                side=Side.BUY if row["isBuyer"] in (True, "true") else Side.SELL,
                quantity=parse_decimal(row["qty"]),
                price=parse_decimal(row["price"]),
                fee=parse_decimal(row["commission"]),
                fee_currency=row["commissionAsset"],
                slippage=ZERO,
            )
            for row in rows
        ]
        return Found(
            venue_order_id=number,
            status=_STATUS.get(order["status"], "open"),
            filled=parse_decimal(order["executedQty"]),
            trades=trades,
        )

    async def holdings(self, client: Any) -> Mapping[str, Decimal]:
        """See the protocol."""
        account = await client.private_get_account()
        return {
            row["asset"]: parse_decimal(row["free"]) + parse_decimal(row["locked"])
            for row in account["balances"]
        }

    def _report(self, event: Mapping[str, Any]) -> Sequence[News]:
        what = event["x"]
        # A cancel has an id of its own in `c`; the order's is in `C` then.
        handle = event["C"] if what == "CANCELED" and event.get("C") else event["c"]
        common: dict[str, Any] = {
            "time_ns": _ns(event["T"]),
            "client_order_id": ClientOrderId(handle),
            "instrument": InstrumentId(event["s"]),
        }
        if what == "NEW":
            return (Told(handle, VenueAccepted(**common, venue_order_id=str(event["i"]))),)
        if what == "TRADE":
            trade = VenueTraded(
                **common,
                trade_id=str(event["t"]),
                venue_time_ns=_ns(event["T"]),
                side=Side(event["S"].lower()),
                quantity=parse_decimal(event["l"]),
                price=parse_decimal(event["L"]),
                fee=parse_decimal(event["n"] or "0"),
                fee_currency=event["N"] or "",
                slippage=ZERO,
            )
            return (Told(handle, trade),)
        if what == "REJECTED":
            return (Told(handle, VenueRejected(**common, reason=str(event.get("r", what)))),)
        return (Ended(ClientOrderId(handle), event["s"]),)


def _ns(milliseconds: object) -> int:
    return int(str(milliseconds)) * NS_PER_MS
