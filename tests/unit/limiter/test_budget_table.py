"""The table of limits agrees with the exchange in a box, which is strict as the venues are."""

import pytest

from goalkick.common.adapters.budget.metered import call_of
from goalkick.common.core.budget.limits import Limit
from goalkick.common.core.budget.venues import VENUES
from goalkick.common.values.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND
from goalkick.venue.binance.routes import ROUTES, Route
from goalkick.venue.binance.settings import BinanceSettings
from goalkick.venue.bybit.rest import CALLS, SignedCall
from goalkick.venue.bybit.settings import BybitSettings

BINANCE, BYBIT = BinanceSettings(), BybitSettings()
UNUSED = {
    "GET /api/v3/avgPrice",
    "GET /api/v3/ticker/bookTicker",
    "GET /api/v3/ticker/price",
    "GET /api/v3/ticker",
    "GET /api/v3/ticker/24hr",
    "GET /api/v3/ticker/tradingDay",
    "GET /api/v3/uiKlines",
    "GET /api/v3/account/commission",
    "GET /api/v3/rateLimit/order",
}
"""Of Binance's calls, those that nothing here makes: they would go at ccxt's own pace."""

RARE = {
    "/v5/account/fee-rate",
    "/v5/account/query-dcp-info",
    "/v5/asset/coin/query-info",
    "/v5/order/disconnected-cancel-all",
}
"""Of Bybit's calls, those that are made once in a while, at ccxt's own pace."""


def weights(venue: str, call: str) -> dict[str, int]:
    return {limit.name: cost for limit, cost in VENUES[venue].costs(call)}


def limit(venue: str, name: str) -> Limit:
    return VENUES[venue].limit(name)


@pytest.mark.parametrize(
    ("venue", "name", "amount", "window_ns"),
    [
        ("binance", "weight", BINANCE.weight_limit, NS_PER_MINUTE),
        ("binance", "orders_10s", BINANCE.orders_per_10s, 10 * NS_PER_SECOND),
        ("binance", "orders_1d", BINANCE.orders_per_day, NS_PER_DAY),
        ("binance", "connects", BINANCE.connects_per_5m, 5 * NS_PER_MINUTE),
        ("binance", "messages", BINANCE.messages_per_second, NS_PER_SECOND),
        ("bybit", "requests", BYBIT.requests_per_5s, 5 * NS_PER_SECOND),
        ("bybit", "connects", BYBIT.connects_per_5m, 5 * NS_PER_MINUTE),
        ("bybit", "orders", BYBIT.orders_per_second, NS_PER_SECOND),
        ("bybit", "amends", BYBIT.amends_per_second, NS_PER_SECOND),
        ("bybit", "cancels", BYBIT.orders_per_second, NS_PER_SECOND),
        ("bybit", "reads", BYBIT.queries_per_second, NS_PER_SECOND),
    ],
)
def test_a_limit_is_the_venues(venue: str, name: str, amount: int, window_ns: int) -> None:
    found = limit(venue, name)
    assert (found.amount, found.window_ns) == (amount, window_ns)


def binance_calls() -> list[Route]:
    return [
        route
        for route in ROUTES
        if route.rest.partition(" ")[2].startswith("/api/v3/") and route.rest not in UNUSED
    ]


@pytest.mark.parametrize("route", binance_calls(), ids=lambda route: route.rest)
@pytest.mark.parametrize(
    "sent", [{}, {"symbol": "BTCUSDT"}, {"limit": "20"}, {"limit": "1000"}, {"limit": "5000"}]
)
def test_a_request_to_binance_is_charged_at_least_its_weight(
    route: Route, sent: dict[str, str]
) -> None:
    method, _, path = route.rest.partition(" ")
    call = call_of("binance", "private", method, path.removeprefix("/api/v3/"), sent)
    assert call is not None, "not in the table"
    charged = weights("binance", call)
    assert charged["weight"] >= route.weight(sent)
    # What replaces an order counts where it is made, inside the call.
    counts = route.counts_order or route.ws == "order.cancelReplace"
    assert ("orders_10s" in charged) == counts


@pytest.mark.parametrize(
    "row", [row for row in CALLS if row[1] not in RARE], ids="{0[0]} {0[1]}".format
)
def test_a_request_to_bybit_is_charged_to_the_limit_that_it_counts_against(
    row: tuple[str, str],
) -> None:
    method, path = row
    call = call_of("bybit", "private", method, path.removeprefix("/"), {})
    assert call is not None, "not in the table"
    charged = weights("bybit", call)
    assert charged["requests"] == 1
    served = CALLS[row]
    own = next((limit("bybit", name) for name in charged if name != "requests"), None)
    assert (own is not None) == isinstance(served, SignedCall)
    if own is not None and isinstance(served, SignedCall):
        assert own.amount <= served.limit(BYBIT)
