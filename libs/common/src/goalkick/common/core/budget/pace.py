"""Grants evenly: a leaky bucket (the generic cell rate algorithm of ITU-T I.371) in whole ns."""

from goalkick.common.core.budget.limits import BURSTS, PACE, Limit, Priority


class Pace:
    """How far ahead of an even flow the grants of one limit are."""

    def __init__(self, limit: Limit) -> None:
        self._unit_ns = int(limit.window_ns / (limit.amount * PACE))
        """What one unit of use takes of the flow."""
        self._ahead_ns = {
            priority: int(limit.window_ns * burst / PACE) for priority, burst in BURSTS.items()
        }
        """Priority -> how far ahead of the flow its grants may be; others may be at any time."""
        self._due_ns = 0

    def room(self, priority: Priority, cost: int, least: int, now_ns: int) -> int | None:
        """How many calls keep the pace, for their cost each; None: any number.

        The least that is asked for, if it is larger than a burst, goes when nothing is ahead.
        """
        limit_ns = self._ahead_ns.get(priority)
        if limit_ns is None:
            return None
        ahead_ns = max(0, self._due_ns - now_ns)
        room = max(0, limit_ns - ahead_ns) // (self._unit_ns * cost)
        return max(least, room) if ahead_ns == 0 else room

    def next_ns(self, priority: Priority, cost: int) -> int:
        """When a call has room."""
        ahead_ns = max(0, self._ahead_ns[priority] - self._unit_ns * cost)
        return self._due_ns - ahead_ns

    def use(self, amount: int, now_ns: int) -> None:
        """Counts what was granted, or given back (negative)."""
        self._due_ns = max(self._due_ns, now_ns) + amount * self._unit_ns
