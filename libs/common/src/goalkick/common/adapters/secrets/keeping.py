"""What is held of Vault's secrets, and until when; pure: times come in as arguments.

A secret is held for its lease after Vault last confirmed it. After that it is held no longer,
whatever the reason for Vault's silence.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class Held:
    """One path of Vault.

    Attributes:
        values: key -> value; never shown.
        version: of the path, counted by Vault from 1; 0 where it counts none.
        confirmed_s: when Vault last said so.
        ends_s: when it may be used no longer.
    """

    values: Mapping[str, str] = field(repr=False)
    version: int
    confirmed_s: float
    ends_s: float


class Keeping:
    """All that is held, by path."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}

    def keep(
        self, path: str, values: Mapping[str, str], version: int, now_s: float, lease_s: float
    ) -> bool:
        """Holds what Vault has just said; whether it is news, in place of another version."""
        before = self._held.get(path)
        values = MappingProxyType(dict(values))
        self._held[path] = Held(values, version, now_s, now_s + lease_s)
        return before is not None and before.version != version

    def get(self, path: str, now_s: float) -> Held | None:
        """What may be used of a path now."""
        held = self._held.get(path)
        return held if held is not None and now_s < held.ends_s else None

    def knows(self, path: str) -> bool:
        """Whether the path was ever held."""
        return path in self._held

    def ended(self, now_s: float) -> dict[str, float]:
        """Path -> for how many seconds it has been over."""
        held = tuple(self._held.items())
        return {path: now_s - one.ends_s for path, one in held if now_s >= one.ends_s}

    def due(self, now_s: float, refresh_s: float) -> list[str]:
        """Paths that Vault has not confirmed for so long."""
        held = tuple(self._held.items())
        return [path for path, one in held if now_s - one.confirmed_s >= refresh_s]

    def wait_s(self, now_s: float, refresh_s: float) -> float:
        """Seconds until a path is due; infinite where nothing is held."""
        held = tuple(self._held.values())
        ends = (one.confirmed_s + refresh_s - now_s for one in held)
        return max(0.0, min(ends, default=math.inf))

    def left_s(self, now_s: float) -> float:
        """Seconds until the first lease ends, 0 if one has; infinite where nothing is held."""
        held = tuple(self._held.values())
        return max(0.0, min((one.ends_s - now_s for one in held), default=math.inf))

    def forget_values(self, now_s: float) -> None:
        """Drops the values whose lease is over; the paths stay known, and due."""
        for path, one in tuple(self._held.items()):
            if now_s >= one.ends_s and one.values:
                self._held[path] = Held({}, one.version, one.confirmed_s, one.ends_s)

    def clear(self) -> None:
        """Forgets everything."""
        self._held.clear()
