"""Parameters that several algos share, each with its unit."""

from typing import Literal

from pydantic import Field

from goalkick.common.config.types import Duration, Exact, Settings
from goalkick.common.values.money import ONE, ZERO
from goalkick.common.values.time import NS_PER_SECOND

Finish = Literal["leave", "market"]


class AlgoParams(Settings):
    """What every algo has."""

    max_failures: int = Field(
        5,
        ge=1,
        le=1000,
        description="number of children in a row, ended by the venue without a trade, after which "
        "no more is tried",
    )
    retry_delay: Duration = Field(
        NS_PER_SECOND, ge=0, description="time before another child after one that failed so"
    )


class CappedParams(AlgoParams):
    """What algos have whose orders may wait for volume."""

    max_participation: Exact | None = Field(
        None,
        gt=ZERO,
        le=ONE,
        description="share of the volume seen since the start that fills and open children may "
        "come to; nothing is placed before volume is seen; none: any share",
    )
    finish: Finish = Field(
        "leave",
        description="what becomes of the rest when time is up: `leave` it, or trade it at once, "
        "as a `market` order, or, with a limit price, as far as the book reaches there",
    )
