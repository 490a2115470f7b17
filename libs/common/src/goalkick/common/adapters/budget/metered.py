"""ccxt's clients under a budget: no request leaves without leave, and each answer is told.

One place for all that call a venue: a subclass of ccxt's own class asks for leave before a request
is signed, and tells the budget what the answer says about limits. Calls that are not in the venue's
table (other products, for example) go at ccxt's own pace.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Final

import msgspec

from goalkick.common.core.budget.limits import Priority
from goalkick.common.core.budget.venues import BYBIT_TOO_MANY, VENUES
from goalkick.common.ports.budget import Budget

_PRIORITY: ContextVar[Priority | None] = ContextVar("priority", default=None)
_GRANTED: ContextVar[bool] = ContextVar("granted", default=False)

_DEPTHS: Final = (100, 500, 1000, 5000)
"""Levels up to which a look at Binance's book has one weight."""

_BINANCE: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("GET", "ping"): "ping",
        ("GET", "time"): "time",
        ("GET", "exchangeInfo"): "exchange_info",
        ("GET", "depth"): "depth",
        ("GET", "klines"): "klines",
        ("GET", "trades"): "trades",
        ("GET", "historicalTrades"): "historical_trades",
        ("GET", "aggTrades"): "aggregate_trades",
        ("GET", "account"): "account",
        ("GET", "order"): "order_query",
        ("GET", "openOrders"): "open_orders",
        ("GET", "allOrders"): "orders",
        ("GET", "myTrades"): "fills",
        ("POST", "order"): "order",
        ("POST", "order/test"): "order_test",
        ("POST", "order/cancelReplace"): "cancel_replace",
        ("DELETE", "order"): "cancel",
        ("DELETE", "openOrders"): "cancel_all",
    }
)

_BYBIT: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("GET", "v5/market/time"): "time",
        ("GET", "v5/market/instruments-info"): "instruments",
        ("GET", "v5/market/orderbook"): "depth",
        ("GET", "v5/market/kline"): "klines",
        ("GET", "v5/market/recent-trade"): "trades",
        ("GET", "v5/market/tickers"): "tickers",
        ("GET", "v5/account/wallet-balance"): "account",
        ("GET", "v5/order/realtime"): "open_orders",
        ("GET", "v5/order/history"): "orders",
        ("GET", "v5/execution/list"): "fills",
        ("POST", "v5/order/create"): "order",
        ("POST", "v5/order/amend"): "amend",
        ("POST", "v5/order/cancel"): "cancel",
        ("POST", "v5/order/cancel-all"): "cancel_all",
    }
)

_CALLS: Mapping[str, tuple[frozenset[str], Mapping[tuple[str, str], str]]] = MappingProxyType(
    {
        "binance": (frozenset({"public", "private"}), _BINANCE),
        "bybit": (frozenset({"public", "private"}), _BYBIT),
    }
)
"""ccxt's name of a venue -> its interfaces that the table is about, and (method, path) -> call."""

_TOO_MANY: Final = f'"retCode":{BYBIT_TOO_MANY},'
_HEAD: Final = 64
"""Characters of an answer in which its code is looked for: it comes first."""

_PRIORITIES: dict[str, Priority] = {
    "order": "open",
    "cancel_replace": "open",
    "amend": "open",
    "cancel": "cancel",
    "cancel_all": "cancel",
}
_PRIORITY_OF: Mapping[str, Priority] = MappingProxyType(_PRIORITIES)


class Metering(msgspec.Struct, frozen=True):
    """Whose calls these are.

    Attributes:
        budget: gives leave.
        account: name of the account, for calls that count against it; "" for none.
        patience_s: how long a call that places an order waits for leave; then it is not sent.
    """

    budget: Budget
    account: str = ""
    patience_s: float = 1.0


@contextmanager
def prioritised(priority: Priority) -> Iterator[None]:
    """Calls within the block are made for this reason, whatever they usually are."""
    token = _PRIORITY.set(priority)
    try:
        yield
    finally:
        _PRIORITY.reset(token)


def call_of(venue: str, api: str, method: str, path: str, params: Mapping[str, Any]) -> str | None:
    """The kind of a request in the venue's table; None: it is not in it.

    Args:
        venue: ccxt's name.
        api: which of the venue's interfaces, by ccxt's name.
        method: of HTTP.
        path: as in ccxt's description of the venue.
        params: of the request.
    """
    apis, calls = _CALLS.get(venue, (frozenset[str](), {}))
    call = calls.get((method, path)) if api in apis else None
    if venue != "binance":
        return call
    if call == "depth":
        levels = int(params.get("limit") or _DEPTHS[0])
        return f"depth_{next((most for most in _DEPTHS if levels <= most), _DEPTHS[-1])}"
    if call == "open_orders" and not params.get("symbol"):
        return "open_orders_all"
    return call


def metered(kind: Any, metering: Metering | None) -> Any:
    """A class of ccxt whose requests need leave; the class itself where there is no budget.

    Args:
        kind: the class of a venue, asynchronous.
        metering: whose calls these are.
    """
    if metering is None or kind.__name__ not in VENUES:
        return kind
    budget, account, venue = metering.budget, metering.account, kind.__name__
    patience_s = metering.patience_s

    class Metered(kind):  # type: ignore[misc]
        async def throttle(self, cost: Any = None) -> None:
            if not _GRANTED.get():
                await super().throttle(cost)

        async def fetch2(
            self,
            path: str,
            api: Any = "public",
            method: str = "GET",
            params: Any = None,
            *rest: Any,
        ) -> Any:
            params = params if params is not None else {}
            first = api[0] if isinstance(api, list) else api
            call = call_of(venue, first, method, path, params)
            if call is None:
                return await super().fetch2(path, api, method, params, *rest)
            usual = _PRIORITY_OF.get(call, "query")
            grant = await budget.acquire(
                venue,
                call,
                priority=_PRIORITY.get() or usual,
                account=account,
                timeout_s=patience_s if usual == "open" else None,
            )
            token = _GRANTED.set(True)
            try:
                with grant:
                    return await super().fetch2(path, api, method, params, *rest)
            finally:
                _GRANTED.reset(token)

        def on_rest_response(
            self, code: int, reason: str, url: str, method: str, headers: Any, *rest: Any
        ) -> Any:
            budget.report(
                venue,
                status=_status(venue, code, rest),
                headers={str(name).lower(): str(value) for name, value in headers.items()},
                account=account,
            )
            return super().on_rest_response(code, reason, url, method, headers, *rest)

    Metered.__name__ = kind.__name__
    return Metered


def _status(venue: str, status: int, rest: Sequence[Any]) -> int:
    """What an answer says of limits: Bybit says in a good answer that it was asked too often."""
    body = rest[0] if rest else ""
    told = venue == "bybit" and isinstance(body, str) and _TOO_MANY in body[:_HEAD]
    return BYBIT_TOO_MANY if told else status
