"""Who asks for calls, what for, and what is granted."""

import msgspec

from goalkick.common.core.budget.limits import Limit, Priority


class Caller(msgspec.Struct, frozen=True):
    """Whose use it is.

    Attributes:
        venue: as in the table.
        address: name of the network address that the venue sees.
        account: name of the account or key; "" for calls without one.
        connection: name of the connection, for limits by connection.
    """

    venue: str
    address: str = ""
    account: str = ""
    connection: str = ""

    @property
    def at(self) -> "Address":
        """Venue and address: what a pause is of."""
        return self.venue, self.address

    def key(self, limit: Limit) -> "WindowKey":
        """Under which name this caller's use of a limit is counted."""
        whose = {
            "address": self.address,
            "account": self.account,
            "connection": f"{self.address}/{self.connection}",
        }
        return self.venue, limit.name, whose[limit.scope]


Address = tuple[str, str]
"""Venue, and name of the address."""

WindowKey = tuple[str, str, str]
"""Venue, limit, and the address, account or connection."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A wish for calls.

    Attributes:
        id: unique while it waits.
        caller: whose use it is.
        call: as in the venue's table.
        priority: its place in the queue, and up to where it may use limits.
        least: no fewer calls are granted, at least 1.
        most: no more either; at least `least`.
        asked_ns: when the wish arose; the earlier goes first.
    """

    id: int
    caller: Caller
    call: str
    priority: Priority
    least: int = 1
    most: int = 1
    asked_ns: int = 0


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A granted wish.

    Attributes:
        id: of the lease, unique for the life of the core.
        ask: the wish.
        count: calls that may be made.
        ends_ns: they must be sent before.
    """

    id: int
    ask: Ask
    count: int
    ends_ns: int
