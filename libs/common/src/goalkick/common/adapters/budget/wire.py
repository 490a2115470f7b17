"""What copies and the limiter say to each other: JSON over HTTP.

`POST /v1/leases` asks for a lease and is held open until there is one or `hold_ns` is over.
`POST /v1/news` tells what became of leases, what the venue said, and what was sent without asking.
`GET /v1/usage` shows people what is used.
"""

from collections.abc import Mapping

import msgspec

from goalkick.common.core.budget.asks import Caller
from goalkick.common.core.budget.limits import Priority

LEASES, NEWS, USAGE = "/v1/leases", "/v1/news", "/v1/usage"


class LeaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An ask for calls.

    Attributes:
        caller: whose use it is.
        call: as in the venue's table.
        priority: place in the queue.
        least: calls that the lease must hold.
        most: calls that it may hold.
        waited_ns: how long the caller has waited already, in earlier requests.
        hold_ns: how long the limiter may keep the request open.
    """

    caller: Caller
    call: str
    priority: Priority
    least: int
    most: int
    waited_ns: int
    hold_ns: int


class LeaseReply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to an ask.

    Attributes:
        lease: its id.
        count: calls that it holds; 0: there was no room in time, ask again.
        lasts_ns: how long the calls may wait in the copy before they are sent.
        paused_ns: how long the address is still stopped; 0: it is not.
    """

    lease: int = 0
    count: int = 0
    lasts_ns: int = 0
    paused_ns: int = 0


class Settlement(msgspec.Struct, frozen=True):
    """What became of a lease.

    Attributes:
        lease: its id.
        unused: calls that were not made.
        whole: all others have been answered.
    """

    lease: int
    unused: int
    whole: bool


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue said about limits.

    Attributes:
        caller: whose use it spoke of.
        status: HTTP status of the reply.
        used: use by limit.
        wait_ns: `Retry-After`; None: it did not say.
    """

    caller: Caller
    status: int = 200
    used: Mapping[str, int] = {}
    wait_ns: int | None = None


class Spent(msgspec.Struct, frozen=True):
    """Calls that were sent without asking.

    Attributes:
        caller: whose use it was.
        call: as in the venue's table.
        count: how many.
    """

    caller: Caller
    call: str
    count: int


class News(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy has to tell, in order.

    Attributes:
        address: whose pauses the reply tells.
        settled: what became of leases.
        reports: what venues said.
        spent: what was sent without asking.
    """

    address: str
    settled: tuple[Settlement, ...] = ()
    reports: tuple[Report, ...] = ()
    spent: tuple[Spent, ...] = ()


class NewsReply(msgspec.Struct, frozen=True):
    """What the limiter has to tell.

    Attributes:
        pauses: venue -> how long the address is still stopped there, where it is.
    """

    pauses: Mapping[str, int]


class Problem(msgspec.Struct, frozen=True):
    """Why a request was refused.

    Attributes:
        error: what was expected and what was found.
    """

    error: str
