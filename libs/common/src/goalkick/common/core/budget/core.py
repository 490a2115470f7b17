"""Who may call a venue now: leases on its limits, in order of priority.

A lease lets one caller make a number of calls until it ends. Asks wait in order of priority and
then of age. An ask that finds no room keeps the limits that it lacks from those after it, so that
many small calls cannot overtake a large one for ever; limits that it has room in stay open to
others. Times are UTC nanoseconds and never go back.
"""

from collections.abc import Mapping
from heapq import heappop, heappush

import msgspec

from goalkick.common.core.budget.asks import Address, Ask, Caller, Lease, WindowKey
from goalkick.common.core.budget.limits import (
    PRIORITIES,
    SHARES,
    Limit,
    Priority,
    VenueLimits,
)
from goalkick.common.core.budget.trial import TRIAL, Trials
from goalkick.common.core.budget.window import Window, WindowState
from goalkick.common.core.errors import InvalidDataError
from goalkick.common.core.snapshot import decode_snapshot, encode_snapshot
from goalkick.common.values.time import NS_PER_MS

LEASE_NS = 500 * NS_PER_MS
"""Longest lease, and no more than a quarter of the shortest window that it draws on: what is leased
and not used is lost to others for that long."""

LEASE_PART = 50
"""A lease is at most this part (a 50th) of a limit, or what the ask needs at least: ten callers
that hold one each have a fifth of the limit in their hands."""

_RANK = {priority: rank for rank, priority in enumerate(PRIORITIES)}
_NAME = "budget/1"


class _Granted(msgspec.Struct, frozen=True):
    """What a lease draws on."""

    address: Address
    charges: tuple[tuple[Window, int], ...]


class BudgetState(msgspec.Struct, frozen=True):
    """All that a successor must know."""

    windows: tuple[tuple[WindowKey, WindowState], ...]
    pauses: tuple[tuple[str, str, int], ...]


class BudgetCore:
    """The budget of all venues."""

    def __init__(
        self,
        venues: Mapping[str, VenueLimits],
        *,
        shares: Mapping[Priority, float] = SHARES,
        lease_ns: int = LEASE_NS,
        lease_part: int = LEASE_PART,
        trial: int = TRIAL,
        after_lease: int = 0,
    ) -> None:
        """Starts with nothing used.

        Args:
            venues: the table.
            shares: up to which part of a limit each priority may use it, 0 to 1.
            lease_ns: longest lease.
            lease_part: see `LEASE_PART`.
            trial: see `trial.TRIAL`.
            after_lease: ids of leases are greater; a start time in ns makes them unique over
                restarts.
        """
        self._venues = venues
        self._shares = shares
        self._lease_ns = lease_ns
        self._lease_part = lease_part
        self._windows: dict[WindowKey, Window] = {}
        self._waiting: dict[int, Ask] = {}
        self._trials = Trials(trial)
        self._leases: dict[int, _Granted] = {}
        self._ends: list[tuple[int, int]] = []
        self._pauses: dict[Address, int] = {}
        self._assumed: tuple[float, int] | None = None
        self._last_lease = after_lease
        self._next_ns: int | None = None

    def ask(self, ask: Ask) -> None:
        """Queues a wish; `grant` says when it is fulfilled.

        Raises:
            InvalidDataError: the venue or the call is not in the table, or the calls would not
                fit into an empty window.
        """
        venue = self._venue(ask.caller.venue)
        share = self._shares[ask.priority]
        if not 1 <= ask.least <= ask.most:
            raise InvalidDataError(
                f"budget: expected 1 <= least <= most, found {ask.least} and {ask.most}"
            )
        for limit, cost in venue.costs(ask.call):
            if cost * ask.least > limit.ceiling(share):
                raise InvalidDataError(
                    f"budget: expected at most {limit.ceiling(share) // cost} calls of {ask.call} "
                    f"at once ({limit.name} of {ask.caller.venue}), found {ask.least}"
                )
        self._waiting[ask.id] = ask

    def drop(self, ask_id: int) -> None:
        """Forgets a wish that still waits."""
        self._waiting.pop(ask_id, None)

    def grant(self, now_ns: int) -> list[Lease]:
        """Fulfils every wish that fits now, first served first."""
        if not self._waiting:
            self._next_ns = None
            return []
        self._advance(now_ns)
        self._next_ns = None
        granted: list[Lease] = []
        blocked: set[WindowKey] = set()
        order = sorted(
            self._waiting.values(), key=lambda ask: (_RANK[ask.priority], ask.asked_ns, ask.id)
        )
        for ask in order:
            lease = self._try(ask, blocked, now_ns)
            if lease is not None:
                del self._waiting[ask.id]
                granted.append(lease)
        return granted

    @property
    def next_ns(self) -> int | None:
        """When to call `grant` again though nothing happens; None: nobody waits for time."""
        return self._next_ns

    @property
    def waiting(self) -> int:
        """How many wishes wait."""
        return len(self._waiting)

    def settle(self, lease_id: int, unused: int, now_ns: int, *, whole: bool = True) -> None:
        """Says what became of a lease; an unknown or ended one is passed over.

        Args:
            lease_id: which.
            unused: calls that were not and will not be made.
            now_ns: now.
            whole: all other calls have been answered, or at least have reached the venue.
        """
        self._advance(now_ns)
        granted = self._leases.get(lease_id)
        if granted is None:
            return
        for window, cost in granted.charges:
            window.close(lease_id, unused * cost, now_ns, whole=whole)
        if whole:
            del self._leases[lease_id]
            self._trials.passed(granted.address, lease_id)

    def spend(self, caller: Caller, call: str, count: int, now_ns: int) -> None:
        """Charges calls that were made without asking.

        Raises:
            InvalidDataError: the venue or the call is not in the table.
        """
        self._advance(now_ns)
        for limit, cost in self._venue(caller.venue).costs(call):
            self._window(caller, limit, now_ns).add(cost * count, now_ns)

    def observe(self, caller: Caller, used: Mapping[str, int], now_ns: int) -> int:
        """Takes the venue's word for what is used of its limits.

        Returns:
            How much of it was not known here: others share the address or the account.

        Raises:
            InvalidDataError: the venue or a limit is not in the table.
        """
        self._advance(now_ns)
        venue = self._venue(caller.venue)
        if used and now_ns >= self.paused_until_ns(caller):
            self._trials.passed(caller.at, self._last_lease)
        return sum(
            self._window(caller, venue.limit(name), now_ns).observe(amount, now_ns)
            for name, amount in used.items()
        )

    def pause(self, caller: Caller, status: int, wait_ns: int | None, now_ns: int) -> int:
        """Stops all calls of an address, if the status is one that asks for it.

        Args:
            caller: its venue and address count.
            status: HTTP status of the reply.
            wait_ns: what `Retry-After` said; None: what the table says for the status.
            now_ns: now.

        Returns:
            Until when the address is paused; a time that is past: it is not.
        """
        key = caller.at
        table_ns = self._venue(caller.venue).pauses.get(status)
        if table_ns is not None:
            until_ns = now_ns + (table_ns if wait_ns is None else wait_ns)
            self._pauses[key] = max(self._pauses.get(key, 0), until_ns)
            self._trials.begin(key, self._last_lease)
        return self._pauses.get(key, 0)

    def paused_until_ns(self, caller: Caller) -> int:
        """Until when nothing is granted to the address; a time that is past: it may."""
        return self._pauses.get(caller.at, 0)

    def assume(self, share: float, now_ns: int) -> None:
        """Takes all limits as used up to a share (of long ones half of that): nothing is known."""
        self._assumed = (share, now_ns)
        self._advance(now_ns)
        for window in self._windows.values():
            window.assume(share, now_ns)

    def usage(self, now_ns: int) -> dict[WindowKey, tuple[int, int]]:
        """(used, amount) of each window, for people."""
        self._advance(now_ns)
        return {key: (one.used, one.limit.amount) for key, one in sorted(self._windows.items())}

    def snapshot(self) -> bytes:
        """What is used and paused; those who wait ask again."""
        windows = tuple((key, window.state()) for key, window in self._windows.items())
        pauses = tuple((*key, until_ns) for key, until_ns in self._pauses.items())
        return encode_snapshot(_NAME, "", BudgetState(windows, pauses))

    def restore(self, data: bytes, now_ns: int) -> None:
        """Takes over a snapshot; windows of limits that are not in the table any more are left out.

        Raises:
            InvalidDataError: it was made by another version.
        """
        state = decode_snapshot(data, _NAME, "", BudgetState)
        for key, saved in state.windows:
            venue = self._venues.get(key[0])
            limits = {limit.name: limit for limit in venue.limits} if venue else {}
            if key[1] in limits:
                window = self._windows[key] = Window(limits[key[1]])
                window.restore(saved, now_ns)
        self._pauses = {(venue, address): until_ns for venue, address, until_ns in state.pauses}

    def _try(self, ask: Ask, blocked: set[WindowKey], now_ns: int) -> Lease | None:
        paused_ns = self.paused_until_ns(ask.caller)
        if now_ns < paused_ns:
            self._look_at(paused_ns)
            return None
        trial = self._trials.room(ask.caller.at, ask.least)
        if trial < ask.least:
            self._look_at(self._ends[0][0] if self._ends else None)
            return None
        costs = [
            (self._window(ask.caller, limit, now_ns), cost)
            for limit, cost in self._venue(ask.caller.venue).costs(ask.call)
        ]
        share = self._shares[ask.priority]
        fits = [window.fits(cost, ask.least, share, ask.priority, now_ns) for window, cost in costs]
        lacking = [one for one, fit in zip(costs, fits, strict=True) if fit < ask.least]
        for window, cost in lacking:
            blocked.add(ask.caller.key(window.limit))
            needed = cost * ask.least
            self._look_at(window.fits_next_ns(needed, share, ask.priority, now_ns))
        if lacking or any(ask.caller.key(window.limit) in blocked for window, _ in costs):
            return None
        part = [window.limit.amount // self._lease_part // cost for window, cost in costs]
        most = min((ask.most, trial, *fits, *part))
        lease = self._lease(ask, costs, max(ask.least, most), now_ns)
        self._trials.use(ask.caller.at, lease.count)
        return lease

    def _lease(self, ask: Ask, costs: list[tuple[Window, int]], count: int, now_ns: int) -> Lease:
        shortest_ns = min((window.limit.window_ns for window, _ in costs), default=self._lease_ns)
        ends_ns = now_ns + min(self._lease_ns, shortest_ns // 4)
        self._last_lease += 1
        latest_ns = ends_ns
        for window, cost in costs:
            window_latest_ns = ends_ns + window.limit.settle_ns
            window.open(self._last_lease, cost * count, window_latest_ns, now_ns)
            latest_ns = max(latest_ns, window_latest_ns)
        address = ask.caller.at
        self._leases[self._last_lease] = _Granted(address, tuple(costs))
        heappush(self._ends, (latest_ns, self._last_lease))
        return Lease(id=self._last_lease, ask=ask, count=count, ends_ns=ends_ns)

    def _advance(self, now_ns: int) -> None:
        for key, window in list(self._windows.items()):
            window.advance(now_ns)
            if window.empty:
                del self._windows[key]
        while self._ends and self._ends[0][0] <= now_ns:
            lease_id = heappop(self._ends)[1]
            granted = self._leases.pop(lease_id, None)
            if granted is not None:  # nobody complained
                self._trials.passed(granted.address, lease_id)

    def _window(self, caller: Caller, limit: Limit, now_ns: int) -> Window:
        key = caller.key(limit)
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = Window(limit)
            if self._assumed is not None:
                window.assume(*self._assumed)
                window.advance(now_ns)
        return window

    def _venue(self, name: str) -> VenueLimits:
        if name not in self._venues:
            raise InvalidDataError(
                f"budget: expected a venue among {', '.join(sorted(self._venues))}, found {name!r}"
            )
        return self._venues[name]

    def _look_at(self, time_ns: int | None) -> None:
        if time_ns is not None and (self._next_ns is None or time_ns < self._next_ns):
            self._next_ns = time_ns
