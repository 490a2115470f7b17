"""What can be configured about the limiter."""

from pathlib import Path

from pydantic import Field

from goalkick.common.adapters.budget.settings import LimitSettings
from goalkick.common.config.types import Duration, Settings
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND


class LimiterSettings(Settings):
    """The limiter."""

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 in a container")
    port: int = Field(8095, ge=0, le=65535, description="port; 0: any free one, see the log")
    state: Path | None = Field(
        None,
        description="SQLite file that outlives restarts; none: after each start all windows are "
        "taken for used up",
    )
    lease: Duration = Field(
        500 * NS_PER_MS,
        ge=10 * NS_PER_MS,
        le=10 * NS_PER_SECOND,
        description="longest time between a grant and its call",
    )
    limits: dict[str, dict[str, LimitSettings]] = Field(
        {}, description="venue -> limit -> what differs from the built-in table"
    )
