"""Feeling the way: few calls until a venue has answered, at the start and after a pause."""

from goalkick.common.core.budget.asks import Address

TRIAL = 3
"""Calls of one address that may be on their way before the venue has answered any: at the start,
and after a pause. A venue that still refuses then refuses three, not all who have waited; Binance
bans who goes on after some refusals."""

_OVER = 2**62


class Trials:
    """How many calls each address may still make before it is answered."""

    def __init__(self, calls: int = TRIAL) -> None:
        """Tries every address.

        Args:
            calls: see `TRIAL`.
        """
        self._calls = calls
        self._left: dict[Address, int] = {}
        self._after: dict[Address, int] = {}

    def begin(self, address: Address, after_lease: int) -> None:
        """Tries an address again; leases up to `after_lease` are older, and prove nothing."""
        self._left[address] = self._calls
        self._after[address] = after_lease

    def room(self, address: Address, least: int) -> int:
        """How many calls may be made; a large ask goes alone."""
        left = self._left.get(address, self._calls)
        return max(least, left) if left == self._calls else max(0, left)

    def use(self, address: Address, calls: int) -> None:
        """Counts granted calls."""
        self._left[address] = self._left.get(address, self._calls) - calls

    def passed(self, address: Address, lease: int) -> None:
        """A call of a lease was answered, or nobody complained of it: the trial is over."""
        if lease > self._after.get(address, 0):
            self._left[address] = _OVER
