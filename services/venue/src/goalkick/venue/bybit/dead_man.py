"""The account's dead-man timer: who is gone for too long has no orders any more.

Bybit calls it disconnection protection. It watches the private connections that listen to the
topic `dcp.spot`: when the last of them is gone for the window that was set, all open orders of the
account end. An account that never listened is not missed.
"""

from typing import Any

from goalkick.venue.context import Context
from goalkick.venue.rounds import Rounds

PRODUCTS = ("OPTIONS", "DERIVATIVES", "SPOT")
"""Each has a window of its own; only spot is served."""
SPOT = "SPOT"

_TICK_S = 0.02
"""Between two looks at the clock, seconds."""


class DeadMan(Rounds):
    """The timers of all accounts, by the venue's clock."""

    def __init__(self, context: Context, heartbeat_ns: int) -> None:
        """Nobody is watched.

        Args:
            context: the exchange and its clock.
            heartbeat_ns: a connection that says nothing for so long counts as gone.
        """
        super().__init__(_TICK_S)
        self._context = context
        self._heartbeat_ns = heartbeat_ns
        self._windows: dict[str, int] = {}
        self._heard: dict[str, dict[object, int]] = {}
        self._accounts: dict[object, str] = {}
        self._closed: dict[str, int] = {}
        self._struck: set[str] = set()

    def set(self, account: str, window_ns: int) -> None:
        """From now on the account's orders end when it is gone for so long."""
        self._windows[account] = window_ns

    def window_ns(self, account: str) -> int | None:
        """What was set; None: nothing."""
        return self._windows.get(account)

    def joined(self, connection: object, account: str) -> None:
        """A connection of the account wants to be missed when it is gone."""
        self._accounts[connection] = account
        self._heard.setdefault(account, {})[connection] = self._context.clock.now_ns()
        self._closed.pop(account, None)

    def heard(self, connection: object) -> None:
        """A connection has said something."""
        account = self._accounts.get(connection)
        if account is not None:
            self._heard[account][connection] = self._context.clock.now_ns()

    def left(self, connection: object) -> None:
        """A connection is closed, or does not want to be missed any more."""
        account = self._accounts.pop(connection, None)
        if account is not None:
            del self._heard[account][connection]
            self._closed[account] = self._context.clock.now_ns()

    def gone_ns(self, account: str) -> int | None:
        """Since when nothing of the account is alive; None: something is, or never was."""
        ends = [heard + self._heartbeat_ns for heard in self._heard.get(account, {}).values()]
        if account in self._closed:
            ends.append(self._closed[account])
        last = max(ends, default=None)
        return last if last is not None and last <= self._context.clock.now_ns() else None

    def state(self) -> dict[str, dict[str, Any]]:
        """Account -> its window, how many connections are watched, since when it is gone; ns."""
        return {
            account: {
                "window_ns": window_ns,
                "connections": len(self._heard.get(account, {})),
                "gone_ns": self.gone_ns(account),
            }
            for account, window_ns in self._windows.items()
        }

    def round(self) -> None:
        """Looks at all accounts."""
        for account, window_ns in self._windows.items():
            self._look(account, window_ns)

    def _look(self, account: str, window_ns: int) -> None:
        """Ends the account's orders, once for each time that it is gone."""
        gone_ns = self.gone_ns(account)
        if gone_ns is None:
            self._struck.discard(account)
        elif account not in self._struck and self._context.clock.now_ns() - gone_ns >= window_ns:
            self._struck.add(account)
            self._context.advance()
            self._context.exchange.withdraw(account)
