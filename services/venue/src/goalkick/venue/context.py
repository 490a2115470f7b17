"""What the front ends and the control API share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from goalkick.venue.accounts import Accounts
from goalkick.venue.clock import VenueClock
from goalkick.venue.faults import Faults
from goalkick.venue.request_log import RequestLog
from goalkick.venue.settings import VenueSettings

if TYPE_CHECKING:
    from goalkick.venue.engine.exchange import Exchange


@dataclass(frozen=True, kw_only=True)
class Context:
    """One exchange and all that surrounds it.

    Attributes:
        exchange: the deterministic core; its time is advanced by `advance`.
        faults: what goes wrong on purpose.
        clock: the venue's clock.
        accounts: API keys.
        requests: log of requests.
        settings: as configured.
        shown: what front ends have for the control API to show, by name.
    """

    exchange: "Exchange"
    faults: Faults
    clock: VenueClock
    accounts: Accounts
    requests: RequestLog
    settings: VenueSettings
    shown: dict[str, Callable[[], Any]] = field(default_factory=dict)

    def advance(self) -> int:
        """Brings the exchange's time up to the clock, never back; front ends call it first.

        Returns:
            The exchange's time, UTC nanoseconds.
        """
        now = self.clock.now_ns()
        if now > self.exchange.now_ns:
            self.exchange.advance(now)
        return self.exchange.now_ns
