"""ccxt's streaming client, tapped: what it hears goes to us before it can stumble over it.

ccxt keeps connections, subscriptions, pings and the reading of frames. One method is overridden,
nothing is patched: market data never reaches its handlers, which are slow, and everything else
does, but what they raise ends here instead of ending the reading of the socket for good.
"""

import asyncio
import contextlib
import importlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from goalkick.common.values.time import NS_PER_MS

CLOSE_S: Final = 1.0
"""How long the other side has to answer a close; a half-open one never does."""

Tap = Callable[[str, Any], bool]
"""Takes the address that a message came from, and the message, decoded; whether ccxt need not see
it."""
Stumble = Callable[[Exception, Any], None]
"""Hears what the tap or ccxt's handler raised, and over which message."""


async def load_library() -> Any:
    """Ccxt's streaming half; takes a second and 100 MB."""
    return await asyncio.to_thread(importlib.import_module, "ccxt.pro")


def tapped(
    library: Any,
    venue: str,
    tap: Tap,
    stumbled: Stumble,
    *,
    options: Mapping[str, Any],
    timeout_ns: int,
    keep_alive_ns: int,
) -> Any:
    """A client of a venue that is not connected yet.

    Args:
        library: see `load_library`.
        venue: ccxt's name of it.
        tap: sees each message first.
        stumbled: hears of errors in ccxt's handlers.
        options: ccxt's options for this venue.
        timeout_ns: time within which a request must be answered.
        keep_alive_ns: time between two pings; two that are missed end a connection.
    """
    base = getattr(library, venue)

    def handle_message(exchange: Any, client: Any, message: Any) -> None:
        try:
            if not tap(client.url, message):
                base.handle_message(exchange, client, message)
        except Exception as error:
            # Any would leave the socket unread for good.
            stumbled(error, message)

    kind = type(f"Tapped{venue.capitalize()}", (base,), {"handle_message": handle_message})
    return kind(
        {
            "timeout": timeout_ns // NS_PER_MS,
            "enableRateLimit": True,
            "newUpdates": True,
            "aiohttp_trust_env": False,
            "streaming": {"keepAlive": keep_alive_ns // NS_PER_MS},
            "options": {"fetchMargins": False, "fetchCurrencies": False, **options},
        }
    )


def dial_wait_s(client: Any) -> float:
    """How long a venue wants no further connection, in seconds, if a handshake said so."""
    backoff = getattr(client, "ws_dial_backoff", None) or {}
    waits_ms = [int(state["until"]) - int(client.milliseconds()) for state in backoff.values()]
    return max([0, *waits_ms]) / 1000


async def dispose(client: Any) -> None:
    """Closes a client's sockets, whatever state they are in; its watchers must have ended."""
    with contextlib.suppress(Exception):
        # The sockets first: ccxt would wait for the other side's word, which a half-open socket
        # never says, and turn in circles meanwhile.
        if client.session is not None:
            await client.session.close()
        async with asyncio.timeout(CLOSE_S):
            await client.close()
