"""A running exchange in a box for each test, and unmodified clients that are pointed at it."""

from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest
from ccxt.pro import bybit

from goalkick.venue.server import VenueServer
from goalkick.venue.settings import (
    AccountSettings,
    FlowSettings,
    VenueSettings,
)

KEY, SECRET = "k" * 64, "s" * 64
NOWHERE = "http://127.0.0.1:9"
"""Nothing listens there: whatever a client was not told to do differently fails at once."""

ACCOUNT = AccountSettings(
    balances={
        "USDT": Decimal(1_000_000),
        "BTC": Decimal(10),
        "ETH": Decimal(100),
        "BNB": Decimal(100),
    },
    key=KEY,
    secret=SECRET,
)
OTHER = ACCOUNT.model_copy(update={"key": "o" * 64, "secret": "t" * 64})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here runs servers on loopback."""
    for item in items:
        if "conformance" in item.path.parts:
            item.add_marker(pytest.mark.slow)


def quiet_settings(**changes: Any) -> VenueSettings:
    """A venue whose book stands still unless a test moves it: nobody trades but the accounts."""
    values: dict[str, Any] = {
        "binance_port": 0,
        "bybit_port": 0,
        "control_port": 0,
        "accounts": {"main": ACCOUNT, "other": OTHER},
        "flow": FlowSettings(enabled=False, interval=10_000_000, history=100 * 60_000_000_000),
        **changes,
    }
    return VenueSettings(**values)


@pytest.fixture
async def venue() -> AsyncIterator[VenueServer]:
    """A venue with a still book on free ports of loopback, accounts `main` and `other`."""
    async with VenueServer(quiet_settings()) as server:
        yield server


@pytest.fixture
async def bybit_client(
    venue: VenueServer,
) -> AsyncIterator[Callable[..., bybit]]:
    """Makes ccxt's own Bybit clients that talk to the venue; they are closed at the end."""
    made: list[bybit] = []

    def make(**options: Any) -> bybit:
        client = ccxt_bybit(venue, **options)
        made.append(client)
        return client

    yield make
    for client in made:
        await client.close()


def ccxt_bybit(venue: VenueServer, **options: Any) -> bybit:
    """An unmodified ccxt client of the venue's Bybit; see `bybit_client`."""
    client = bybit(
        {
            "apiKey": KEY,
            "secret": SECRET,
            "timeout": 5_000,
            "enableRateLimit": False,
            "timeout_on_exit": 0,
            "streaming": {"keepAlive": 10_000},
            "options": {
                "defaultType": "spot",
                "fetchMarkets": {"types": ["spot"]},
                "enableUnifiedMargin": False,
                "enableUnifiedAccount": True,
                "unifiedMarginStatus": 6,
                "adjustForTimeDifference": False,
            },
            **options,
        }
    )
    rest, stream = venue.bybit_url, venue.bybit_url.replace("http", "ws", 1)
    client.urls["api"] = dict.fromkeys(client.urls["api"], NOWHERE)
    client.urls["api"].update(dict.fromkeys(("public", "private", "spot", "futures", "v2"), rest))
    client.urls["api"]["ws"] = {
        "public": {"spot": f"{stream}/v5/public/spot"},
        "private": {
            "spot": {"unified": f"{stream}/v5/private", "nonUnified": f"{stream}/v5/private"},
            "contract": f"{stream}/v5/private",
            "usdc": NOWHERE,
            "trade": f"{stream}/v5/trade",
        },
    }
    return client
