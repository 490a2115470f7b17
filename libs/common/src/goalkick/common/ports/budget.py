"""Leave to call a venue: one budget for all copies that share an address or an account."""

from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Protocol

from goalkick.common.core.budget.limits import Priority
from goalkick.common.core.errors import TransientError

NOTHING: Mapping[str, str] = MappingProxyType({})
NO_USE: Mapping[str, int] = MappingProxyType({})


class BudgetTimeoutError(TransientError):
    """Leave to call did not come in time; nothing was charged."""


class Grant:
    """Leave for some calls, to be sent at once.

    A `with` block around the call says `done` at its end. Saying it is no duty: whatever is not
    said is over after some seconds. But until then it counts as on its way, and that leaves less
    to others.
    """

    def __init__(
        self,
        count: int,
        waited_ns: int,
        settle: Callable[[bool], None],
        *,
        alone: bool = False,
    ) -> None:
        """A budget makes these.

        Args:
            count: calls that may be made.
            waited_ns: how long it took to get it.
            settle: is told once what became of it: True, the calls were made; False, they were not.
            alone: whether it came out of this copy's own share, without the limiter.
        """
        self.count = count
        self.waited_ns = waited_ns
        self.alone = alone
        self._settle: Callable[[bool], None] | None = settle

    def done(self) -> None:
        """The venue has answered, or the connection is broken: the calls are behind us."""
        self._say(True)

    def give_back(self) -> None:
        """The calls were not made and will not be."""
        self._say(False)

    def __enter__(self) -> "Grant":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.done()

    def _say(self, made: bool) -> None:
        settle, self._settle = self._settle, None
        if settle is not None:
            settle(made)


class Budget(Protocol):
    """The limits of all venues, shared by everybody who uses them."""

    async def acquire(
        self,
        venue: str,
        call: str,
        *,
        priority: Priority,
        account: str = "",
        connection: str = "",
        count: int = 1,
        timeout_s: float | None = None,
    ) -> Grant:
        """Waits until `count` calls may be sent, which must then be done at once.

        Who waits is served by priority (cancel, reduce, open, query), then by age. A part of each
        limit is kept for the higher priorities, so that they need not wait for what the lower use.

        Args:
            venue: its name in the table.
            call: kind of call, in that venue's table.
            priority: why the call is made.
            account: name of the account or key, for calls that count against it.
            connection: name of the connection, for calls that count against it.
            count: calls that are granted together or not at all.
            timeout_s: longest wait; None: without end.

        Raises:
            BudgetTimeoutError: the time is over.
            InvalidDataError: the venue or call is not in the table, or `count` calls never fit.
        """
        ...

    def report(
        self,
        venue: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] = NOTHING,
        used: Mapping[str, int] = NO_USE,
        wait_ns: int | None = None,
        account: str = "",
    ) -> None:
        """Passes on what a reply said about limits; returns at once.

        A 429 or 418 stops everybody on the address until the venue's `Retry-After` is over. What
        the venue says is used, and we did not know of, is taken off what is left.

        Args:
            venue: its name in the table.
            status: HTTP status of the reply.
            headers: all headers of the reply.
            used: use by limit, where it came in another way than by headers.
            wait_ns: how long to stop, where it came in another way than by headers.
            account: as in `acquire`.

        Raises:
            InvalidDataError: the venue, or a limit in `used`, is not in the table.
        """
        ...

    def paused_ns(self, venue: str) -> int:
        """How long all calls to a venue are still stopped, as far as is known here; 0: not."""
        ...

    async def close(self) -> None:
        """Gives back what is not used; who still waits gets a `BudgetTimeoutError`."""
        ...
