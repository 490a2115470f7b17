"""The table: venues, their limits, and the weights of their calls.

The figures are those of the venues' documentation; a venue changes them now and then, and settings
can override an amount or a window without a new version.
"""

from collections.abc import Mapping
from types import MappingProxyType

from goalkick.common.core.budget.limits import Limit, VenueLimits
from goalkick.common.values.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND

BYBIT_TOO_MANY = 10006
"""Bybit's code in an answer with status 200: too many calls of a kind within a second."""
_SHORT_SETTLE_NS = 250 * NS_PER_MS
"""For windows of a second: a longer margin would cost half of them."""


def _weights(costs: Mapping[str, int]) -> dict[str, Mapping[str, int]]:
    return {call: {"weight": cost} for call, cost in costs.items()}


def _binance_order(weight: int, orders: int = 1) -> Mapping[str, int]:
    return {"weight": weight, "orders_10s": orders, "orders_1d": orders}


BINANCE = VenueLimits(
    limits=(
        Limit(name="weight", amount=6000, window_ns=NS_PER_MINUTE, scope="address", paced=True),
        Limit(name="orders_10s", amount=100, window_ns=10 * NS_PER_SECOND, scope="account"),
        Limit(name="orders_1d", amount=200_000, window_ns=NS_PER_DAY, scope="account"),
        Limit(name="connects", amount=300, window_ns=5 * NS_PER_MINUTE, scope="address"),
        Limit(
            name="messages",
            amount=5,
            window_ns=NS_PER_SECOND,
            scope="connection",
            settle_ns=_SHORT_SETTLE_NS,
        ),
    ),
    calls={
        **_weights(
            {
                "ping": 1,
                "time": 1,
                "exchange_info": 20,
                "depth_100": 5,
                "depth_500": 25,
                "depth_1000": 50,
                "depth_5000": 250,
                "klines": 2,
                "trades": 25,
                "historical_trades": 25,
                "aggregate_trades": 4,
                "ticker": 2,
                "tickers": 80,
                "account": 20,
                "fees": 20,
                "order_query": 4,
                "cancel": 1,
                "cancel_all": 1,
                "open_orders": 6,
                "open_orders_all": 80,
                "orders": 20,
                "fills": 20,
                "user_stream": 2,
            }
        ),
        "order": _binance_order(1),
        "order_test": {"weight": 1},
        "cancel_replace": _binance_order(1),
        "connect": {"connects": 1, "weight": 2},
        "message": {"messages": 1},
    },
    headers={
        "x-mbx-used-weight-1m": "weight",
        "x-mbx-order-count-10s": "orders_10s",
        "x-mbx-order-count-1d": "orders_1d",
    },
)
"""Spot, REST and WebSocket API alike: both count against the same limits."""


def _per_second(name: str, amount: int) -> Limit:
    return Limit(
        name=name,
        amount=amount,
        window_ns=NS_PER_SECOND,
        scope="account",
        settle_ns=_SHORT_SETTLE_NS,
    )


BYBIT = VenueLimits(
    limits=(
        Limit(
            name="requests",
            amount=600,
            window_ns=5 * NS_PER_SECOND,
            scope="address",
            paced=True,
        ),
        Limit(name="connects", amount=500, window_ns=5 * NS_PER_MINUTE, scope="address"),
        _per_second("orders", 20),
        _per_second("amends", 10),
        _per_second("cancels", 20),
        _per_second("reads", 50),
    ),
    calls={
        **{
            call: {"requests": 1}
            for call in ("time", "instruments", "depth", "klines", "trades", "ticker", "tickers")
        },
        **{
            call: {"requests": 1, "reads": 1}
            for call in ("account", "order_query", "open_orders", "orders", "fills")
        },
        "order": {"requests": 1, "orders": 1},
        "amend": {"requests": 1, "amends": 1},
        "cancel": {"requests": 1, "cancels": 1},
        "cancel_all": {"requests": 1, "cancels": 1},
        "connect": {"connects": 1},
    },
    pauses={
        403: 10 * NS_PER_MINUTE,
        429: 5 * NS_PER_SECOND,
        418: 10 * NS_PER_MINUTE,
        BYBIT_TOO_MANY: NS_PER_SECOND,
    },
)
"""v5, spot. Its 403 means `access too frequent` and lasts ten minutes. Bybit counts each kind of
query, and cancels of one and of all, apart: here they share a limit, which is less and never more.
"""

VENUES: Mapping[str, VenueLimits] = MappingProxyType({"binance": BINANCE, "bybit": BYBIT})
"""By the venue's name in ccxt."""
