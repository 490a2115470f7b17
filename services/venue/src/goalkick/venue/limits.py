"""How much a venue takes from one caller: weights, orders, connections, messages.

Pure: the time comes from outside, so a test lets a minute pass by saying so. Counts are kept in
windows that begin at whole multiples of their length since the epoch, as venues do it, except
the pace of messages, which slides.
"""

from collections import deque
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

import msgspec

from goalkick.common.values.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND

TOO_MANY, BANNED = 429, 418
"""HTTP statuses of a refusal: slow down; and for a while, go away."""

Key = TypeVar("Key", bound=Hashable)


class Rate(msgspec.Struct, frozen=True):
    """So many in so long.

    Attributes:
        limit: how many a window takes; positive.
        interval_ns: length of the window; positive.
    """

    limit: int
    interval_ns: int


class BanRule(msgspec.Struct, frozen=True, kw_only=True):
    """When who does not stop is shut out, and for how long.

    Attributes:
        patience: refused requests that are answered with 429 before one is answered with 418.
        first_ns: length of the first ban; each further one is twice as long as the last.
        longest_ns: no ban is longer.
    """

    patience: int = 10
    first_ns: int = 2 * NS_PER_MINUTE
    longest_ns: int = 3 * NS_PER_DAY


class Refusal(msgspec.Struct, frozen=True):
    """A request that is not served.

    Attributes:
        status: 429, or 418 while a ban lasts.
        until_ns: when to come back.
    """

    status: int
    until_ns: int

    def wait_s(self, now_ns: int) -> int:
        """Whole seconds until then, at least 1: what `Retry-After` says."""
        return max(1, -((now_ns - self.until_ns) // NS_PER_SECOND))


class Usage(Generic[Key]):
    """What each key has used of its present window."""

    def __init__(self, interval_ns: int) -> None:
        self._interval_ns = interval_ns
        self._window = -1
        self._used: dict[Key, int] = {}

    def add(self, key: Key, amount: int, now_ns: int) -> int:
        """Uses `amount`, which may be negative; returns what is used now, never below 0."""
        self._turn(now_ns)
        used = self._used[key] = max(0, self._used.get(key, 0) + amount)
        return used

    def used(self, key: Key, now_ns: int) -> int:
        """What is used of the present window."""
        self._turn(now_ns)
        return self._used.get(key, 0)

    def start_ns(self, now_ns: int) -> int:
        """When the present window began."""
        return now_ns - now_ns % self._interval_ns

    def end_ns(self, now_ns: int) -> int:
        """When the next window begins."""
        return self.start_ns(now_ns) + self._interval_ns

    def _turn(self, now_ns: int) -> None:
        window = now_ns // self._interval_ns
        if window != self._window:
            self._window = window
            self._used.clear()


class AddressLimit:
    """Request weight by address; who goes on after 429 gets 418 for longer and longer."""

    def __init__(self, rate: Rate, bans: BanRule) -> None:
        self.rate = rate
        self._bans = bans
        self._usage: Usage[str] = Usage(rate.interval_ns)
        self._refused: dict[str, int] = {}
        self._banned: dict[str, tuple[int, int]] = {}
        """Address -> (end, length) of its last ban; the length is remembered for the next."""

    def spend(self, address: str, weight: int, now_ns: int) -> Refusal | None:
        """Counts a request, or says why it is not served; a refused one uses nothing."""
        until_ns = self.banned_until_ns(address)
        if now_ns < until_ns:
            return Refusal(BANNED, until_ns)
        if self._usage.used(address, now_ns) + weight > self.rate.limit:
            return self._refuse(address, now_ns)
        self._refused.pop(address, None)
        self._usage.add(address, weight, now_ns)
        return None

    def used(self, address: str, now_ns: int) -> int:
        """Weight that the address has used of the present window."""
        return self._usage.used(address, now_ns)

    def banned_until_ns(self, address: str) -> int:
        """End of the address's last ban; 0: it never had one."""
        return self._banned.get(address, (0, 0))[0]

    def ban(self, address: str, length_ns: int, now_ns: int) -> Refusal:
        """Shuts an address out."""
        self._banned[address] = (now_ns + length_ns, length_ns)
        return Refusal(BANNED, now_ns + length_ns)

    def _refuse(self, address: str, now_ns: int) -> Refusal:
        refused = self._refused.get(address, 0) + 1
        if refused <= self._bans.patience:
            self._refused[address] = refused
            return Refusal(TOO_MANY, self._usage.end_ns(now_ns))
        self._refused.pop(address, None)
        _, last_ns = self._banned.get(address, (0, 0))
        length_ns = min(2 * last_ns or self._bans.first_ns, self._bans.longest_ns)
        return self.ban(address, length_ns, now_ns)


class OrderLimit:
    """New orders by account that nothing was filled of, in several windows at once."""

    def __init__(self, rates: Sequence[Rate]) -> None:
        self.rates = tuple(rates)
        self._usages: tuple[Usage[str], ...] = tuple(Usage(rate.interval_ns) for rate in rates)

    def exceeded(self, account: str, now_ns: int) -> tuple[Rate, Refusal] | None:
        """The first rate that takes no further order now, and until when; None: all take one."""
        for rate, usage in zip(self.rates, self._usages, strict=True):
            if usage.used(account, now_ns) >= rate.limit:
                return rate, Refusal(TOO_MANY, usage.end_ns(now_ns))
        return None

    def place(self, account: str, now_ns: int) -> None:
        """Counts an order."""
        for usage in self._usages:
            usage.add(account, 1, now_ns)

    def filled(self, account: str, placed_ns: int, now_ns: int) -> None:
        """Gives an order back that got its first fill, where it was placed in this window."""
        for usage in self._usages:
            if placed_ns >= usage.start_ns(now_ns):
                usage.add(account, -1, now_ns)

    def counts(self, account: str, now_ns: int) -> list[tuple[Rate, int]]:
        """How many orders count in each window now."""
        return [
            (rate, usage.used(account, now_ns))
            for rate, usage in zip(self.rates, self._usages, strict=True)
        ]


class ConnectionLimit:
    """Connects by address."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._usage: Usage[str] = Usage(rate.interval_ns)

    def connect(self, address: str, now_ns: int) -> Refusal | None:
        """Counts an attempt, or says until when none is taken."""
        if self._usage.add(address, 1, now_ns) > self.rate.limit:
            return Refusal(TOO_MANY, self._usage.end_ns(now_ns))
        return None


class Pace:
    """Messages of one connection: no more than `rate.limit` within any `rate.interval_ns`."""

    def __init__(self, rate: Rate) -> None:
        self._interval_ns = rate.interval_ns
        self._recent: deque[int] = deque(maxlen=rate.limit)

    def takes(self, now_ns: int) -> bool:
        """Counts a message; False: it is one too many. `now_ns` is monotonic, of any epoch."""
        full = len(self._recent) == self._recent.maxlen
        within = not full or now_ns - self._recent[0] >= self._interval_ns
        self._recent.append(now_ns)
        return within
