"""What one caller has used of one limit.

A call may reach the venue at any moment between its grant and the end of its lease (and the way
there). Until that is over its charge is *open*; then it is *closed*, at the latest time at which
the venue may have counted it, and leaves one window's length later. So however the venue's windows
lie, whatever may fall into one of them is counted together here: a grant that would be one too
many in any of them does not fit.
"""

from collections import deque
from heapq import heapify, heappop, heappush

import msgspec

from goalkick.common.core.budget.limits import LONG_NS, Limit, Priority
from goalkick.common.core.budget.pace import Pace
from goalkick.common.values.time import NS_PER_SECOND

SLOTS = 128
"""Closed charges are kept to a window's 128th, rounded up: less than a percent of a limit is lost,
and a window of any size takes a few kilobytes."""

LATE_NS = 5 * NS_PER_SECOND
"""How old a venue's word about our use may be, and no more than a tenth of the window: what left
the window that recently may still be what the venue counted."""


class WindowState(msgspec.Struct, frozen=True):
    """A window as it is saved.

    Attributes:
        open: (latest time, amount) of open charges.
        closed: (time, amount) of closed ones, oldest first.
    """

    open: tuple[tuple[int, int], ...]
    closed: tuple[tuple[int, int], ...]


class Window:
    """A sliding window over the charges of one limit and one caller."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._slot_ns = max(1, limit.window_ns // SLOTS)
        self._late_ns = min(LATE_NS, limit.window_ns // 10)
        self._open: dict[int, int] = {}
        self._ends: list[tuple[int, int]] = []
        """Heap of (latest time, charge); a charge that was closed early stays until its time."""
        self._closed: deque[tuple[int, int]] = deque()
        self._left: deque[tuple[int, int]] = deque()
        self._anonymous = 0
        self._pace = Pace(limit) if limit.paced else None
        self.used = 0
        self._recent = 0

    def advance(self, now_ns: int) -> None:
        """Lets time pass: open charges close, closed ones leave."""
        while self._ends and self._ends[0][0] <= now_ns:
            at_ns, charge = heappop(self._ends)
            if charge in self._open:
                self._append(self._open.pop(charge), at_ns)
        window_ns = self.limit.window_ns
        while self._closed and self._closed[0][0] + window_ns <= now_ns:
            slot = self._closed.popleft()
            self.used -= slot[1]
            self._left.append(slot)
            self._recent += slot[1]
        while self._left and self._left[0][0] + window_ns + self._late_ns <= now_ns:
            self._recent -= self._left.popleft()[1]

    @property
    def empty(self) -> bool:
        """Whether it says no more than a new one would."""
        return not (self._ends or self._closed or self._left)

    def fits(self, cost: int, least: int, share: float, priority: Priority, now_ns: int) -> int:
        """How many calls fit, for their cost each: below a share of the limit, and at its pace."""
        room = max(0, self.limit.ceiling(share) - self.used) // cost
        paced = self._pace.room(priority, cost, least, now_ns) if self._pace else None
        return room if paced is None else min(room, paced)

    def fits_next_ns(self, cost: int, share: float, priority: Priority, now_ns: int) -> int | None:
        """When calls that do not fit have to look again; None: not before something is closed."""
        if self._pace and cost <= self.limit.ceiling(share) - self.used:
            return max(now_ns + 1, self._pace.next_ns(priority, cost))
        times = [queue[0][0] for queue in (self._closed, self._ends) if queue]
        return min(times) + self.limit.window_ns if times else None

    def open(self, charge: int, amount: int, latest_ns: int, now_ns: int) -> None:
        """Charges calls that may reach the venue up to `latest_ns`; `charge` is not negative."""
        self._open[charge] = amount
        heappush(self._ends, (latest_ns, charge))
        self.used += amount
        self._keep_pace(amount, now_ns)

    def close(self, charge: int, unused: int, now_ns: int, *, whole: bool) -> None:
        """Takes back what was not used; `whole`: the rest has reached the venue by now."""
        amount = self._open.get(charge)
        if amount is None:
            return
        back = min(unused, amount)
        self.used -= back
        self._keep_pace(-back, now_ns)
        self._open[charge] = amount - back
        if whole:
            self._append(self._open.pop(charge), now_ns)

    def add(self, amount: int, at_ns: int) -> None:
        """Charges what reached the venue without asking; times must not go back."""
        if amount > 0:
            self.used += amount
            self._append(amount, at_ns)

    def observe(self, used: int, now_ns: int) -> int:
        """Takes the venue's word for what is used; returns how much of it was not ours.

        It only ever makes the window fuller: the venue may count a part of what we count.
        """
        foreign = max(0, used - self.used - self._recent)
        self.add(foreign, now_ns)
        self._keep_pace(foreign, now_ns)
        return foreign

    def assume(self, share: float, at_ns: int) -> None:
        """Fills the window up to a share of it, since nothing is known of it."""
        full = self.limit.ceiling(share)
        if self.limit.window_ns > LONG_NS:
            full //= 2
        self.add(full - self.used, at_ns)

    def state(self) -> WindowState:
        """What has to be saved."""
        latest = {charge: at_ns for at_ns, charge in self._ends}
        return WindowState(
            tuple((latest[charge], amount) for charge, amount in self._open.items()),
            tuple(self._closed),
        )

    def restore(self, state: WindowState, now_ns: int) -> None:
        """Takes over what was saved; nobody can close those charges early any more.

        Times that lie further ahead than can be (a clock was set back) count as now.
        """
        furthest_ns = now_ns + self.limit.window_ns
        for at_ns, amount in state.open:
            self._anonymous -= 1
            self._open[self._anonymous] = amount
            self._ends.append((min(at_ns, furthest_ns), self._anonymous))
            self.used += amount
        heapify(self._ends)
        for at_ns, amount in state.closed:
            self.add(amount, min(at_ns, now_ns))

    def _keep_pace(self, amount: int, now_ns: int) -> None:
        if self._pace is not None:
            self._pace.use(amount, now_ns)

    def _append(self, amount: int, at_ns: int) -> None:
        """Adds an amount that is in `used` already to the closed charges."""
        if not amount:
            return
        end_ns = -(-at_ns // self._slot_ns) * self._slot_ns
        if self._closed and self._closed[-1][0] >= end_ns:
            end_ns, before = self._closed.pop()
            amount += before
        self._closed.append((end_ns, amount))
