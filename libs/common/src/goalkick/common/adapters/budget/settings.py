"""What can be configured about leave to call a venue, by whoever calls one."""

from collections.abc import Mapping

import msgspec
from pydantic import Field

from goalkick.common.adapters.budget.http import HttpBudget
from goalkick.common.adapters.budget.memory import MemoryBudget
from goalkick.common.config.types import Duration, Settings
from goalkick.common.core.budget.limits import VenueLimits
from goalkick.common.core.budget.venues import VENUES
from goalkick.common.core.errors import SettingsError
from goalkick.common.ports.budget import Budget
from goalkick.common.ports.clock import Clock
from goalkick.common.telemetry.metrics import Metrics


class LimitSettings(Settings):
    """What differs from the table in one limit."""

    amount: int | None = Field(None, ge=1, description="how much a window takes; none: the table's")
    window: Duration | None = Field(
        None, gt=0, description="length of the window; none: the table's"
    )


class BudgetSettings(Settings):
    """How a process gets leave to call venues."""

    limiter: str | None = Field(
        None,
        description="URL of the limiter, without a final slash; none: this process is alone on its "
        "address and keeps its own budget",
    )
    address: str = Field(
        "", description="name of the network address that venues see; the same for all behind it"
    )
    copies: int = Field(
        10, ge=1, le=1000, description="copies that may be cut off from the limiter at once"
    )
    share: float = Field(
        0.5,
        gt=0.0,
        le=1.0,
        description="fraction of each limit that all copies may use together while cut off",
    )
    limits: dict[str, dict[str, LimitSettings]] = Field(
        {},
        description="venue -> limit -> what differs from the built-in table; as the limiter's",
    )


def open_budget(
    settings: BudgetSettings,
    clock: Clock,
    metrics: Metrics | None = None,
    venues: Mapping[str, VenueLimits] = VENUES,
) -> Budget:
    """The budget that is configured; to be closed by the caller.

    Args:
        settings: as configured.
        clock: for what is counted here.
        metrics: where it is told that the limiter is out of reach; None: only in the log.
        venues: the table that the settings change.

    Raises:
        SettingsError: a venue or limit is not in the table.
    """
    table = adjusted(venues, settings.limits)
    if settings.limiter is None:
        return MemoryBudget(clock, table)
    return HttpBudget(
        settings.limiter,
        clock,
        table,
        address=settings.address,
        copies=settings.copies,
        share=settings.share,
        metrics=metrics,
    )


def adjusted(
    venues: Mapping[str, VenueLimits], changes: Mapping[str, Mapping[str, LimitSettings]]
) -> dict[str, VenueLimits]:
    """The table with the settings' changes.

    Raises:
        SettingsError: a venue or limit is not in the table.
    """
    result = dict(venues)
    for name, limits in changes.items():
        if name not in venues:
            raise SettingsError(
                f"limits: expected a venue among {', '.join(venues)}, found {name!r}"
            )
        result[name] = _adjusted(name, venues[name], limits)
    return result


def _adjusted(name: str, venue: VenueLimits, changes: Mapping[str, LimitSettings]) -> VenueLimits:
    known = {limit.name: limit for limit in venue.limits}
    for limit, change in changes.items():
        if limit not in known:
            raise SettingsError(
                f"limits.{name}: expected a limit among {', '.join(known)}, found {limit!r}"
            )
        known[limit] = msgspec.structs.replace(
            known[limit],
            amount=change.amount or known[limit].amount,
            window_ns=change.window or known[limit].window_ns,
        )
    return msgspec.structs.replace(venue, limits=tuple(known.values()))
