"""What a venue limits, and what each kind of call costs: the words of the budget."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_SECOND

Priority = Literal["cancel", "reduce", "open", "query"]
"""Who goes first: what takes orders away, what takes risk away, what adds risk, what only asks."""

PRIORITIES: tuple[Priority, ...] = get_args(Priority)
"""First served first."""

Scope = Literal["address", "account", "connection"]
"""Whose use counts together: one network address, one account, or one connection."""

SHARES: Mapping[Priority, float] = MappingProxyType(
    {"cancel": 0.98, "reduce": 0.975, "open": 0.97, "query": 0.96}
)
"""Up to which part of a limit each priority may use it. What lies above a priority's share is kept
for those before it; the last 2 % are for copies that cannot reach the limiter."""

PACE = 0.94
"""Of a paced limit, this part is granted evenly over the window. A limit that is used up in bursts
leaves nothing until the window is over, and cancels would wait as long. Together with a burst, and
with what is still on its way, it stays below a priority's share, so a flood never fills the window:
there is always room for more cancels than the shares keep for them."""

BURSTS: Mapping[Priority, float] = MappingProxyType({"open": 0.025, "query": 0.015})
"""Which part of a paced limit may be granted at once after a pause; cancels and what reduces risk
do not keep the pace, but what they use, others do not."""

LONG_NS = NS_PER_MINUTE
"""Windows up to this length are assumed to be used up when nothing is known of them: that can be
waited for. Of longer ones half is assumed, since nobody can wait for a day."""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """No more than `amount` in any window.

    Attributes:
        name: unique within the venue.
        amount: how much a window takes, at least 1.
        window_ns: its length. Venues begin windows where they like; the budget holds for all.
        scope: whose use counts together.
        settle_ns: how long after its lease a call may still reach the venue.
        paced: whether it is granted evenly: cancels draw on it together with much else.
    """

    name: str
    amount: int
    window_ns: int
    scope: Scope
    settle_ns: int = NS_PER_SECOND
    paced: bool = False

    def ceiling(self, share: float) -> int:
        """Up to where a share of the limit reaches; of a small limit nothing is held back."""
        return self.amount - int(self.amount * (1.0 - share) + 1e-9)


class VenueLimits(msgspec.Struct, frozen=True, kw_only=True):
    """One venue's row of the table.

    Attributes:
        limits: by their names.
        calls: kind of call -> limit's name -> what one call uses of it.
        headers: reply header in lower case -> the limit whose use it tells.
        pauses: HTTP status, or a venue's own code -> how long all calls stop, in ns, where the
            venue does not say.
    """

    limits: tuple[Limit, ...]
    calls: Mapping[str, Mapping[str, int]]
    headers: Mapping[str, str] = MappingProxyType({})
    pauses: Mapping[int, int] = MappingProxyType({429: 10 * NS_PER_SECOND, 418: 2 * NS_PER_MINUTE})

    def limit(self, name: str) -> Limit:
        """The limit of that name.

        Raises:
            InvalidDataError: there is none.
        """
        for limit in self.limits:
            if limit.name == name:
                return limit
        names = ", ".join(limit.name for limit in self.limits)
        raise InvalidDataError(f"budget: expected a limit among {names}, found {name!r}")

    def costs(self, call: str) -> list[tuple[Limit, int]]:
        """What one call uses of each limit.

        Raises:
            InvalidDataError: the call is not in the table.
        """
        if call not in self.calls:
            raise InvalidDataError(
                f"budget: expected a call among {', '.join(sorted(self.calls))}, found {call!r}"
            )
        return [(self.limit(name), cost) for name, cost in self.calls[call].items()]

    def read(self, headers: Mapping[str, str]) -> tuple[dict[str, int], int | None]:
        """What a reply's headers say: use by limit, and `Retry-After` in ns or None.

        What is no whole number is passed over: a proxy may have written it.
        """
        lower = {name.lower(): value.strip() for name, value in headers.items()}
        used = {
            limit: int(lower[header])
            for header, limit in self.headers.items()
            if lower.get(header, "").isdecimal()
        }
        wait = lower.get("retry-after", "")
        return used, int(wait) * NS_PER_SECOND if wait.isdecimal() else None


def scaled(venue: VenueLimits, share: float) -> VenueLimits:
    """The same venue for a copy that may use `share` of it alone, at least one call a window.

    A connection belongs to one copy anyway, so its limits stay.
    """
    limits = tuple(
        limit
        if limit.scope == "connection"
        else msgspec.structs.replace(limit, amount=max(1, int(limit.amount * share)))
        for limit in venue.limits
    )
    return msgspec.structs.replace(venue, limits=limits)
