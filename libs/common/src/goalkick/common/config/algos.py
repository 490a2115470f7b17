"""Parameters of the algos that work orders, each with its unit: what a configuration says of one.

The algos themselves are execution's; risk chooses them, and refuses what they would not take.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from pydantic import Field, field_validator, model_validator

from goalkick.common.config.types import Duration, Exact, Settings
from goalkick.common.values.money import ONE, ZERO
from goalkick.common.values.time import NS_PER_SECOND

Finish = Literal["leave", "market"]
AlgoName = Literal["twap", "vwap", "pov", "iceberg", "post_only", "oco", "bracket"]


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


class ScheduleParams(CappedParams):
    """Parameters of algos that follow a schedule."""

    slices: int = Field(10, ge=1, le=10_000, description="number of slices over the whole time")
    jitter: Exact = Field(
        Exact("0.5"),
        ge=ZERO,
        le=ONE,
        description="how late in its span a slice may come, as a share of the span",
    )
    size_jitter: Exact = Field(
        ZERO,
        ge=ZERO,
        le=ONE,
        description="how far the quantity that is due after a slice may lie off the schedule, up "
        "or down together, as a share of an even slice",
    )
    catch_up: Literal["at_once", "spread", "never"] = Field(
        "at_once",
        description="what becomes of what earlier slices did not trade: it is placed `at_once`, "
        "`spread` over the slices to come in their proportions, or `never`",
    )


class TwapParams(ScheduleParams):
    """Parameters of `Twap`."""


class VwapParams(ScheduleParams):
    """Parameters of `Vwap`."""

    profile: tuple[Exact, ...] = Field(
        (ONE,),
        min_length=1,
        max_length=10_000,
        description="volume expected in each of so many equal parts of the parent's time, oldest "
        "first, in any unit; one number: even",
    )

    @field_validator("profile")
    @classmethod
    def _some_volume(cls, profile: tuple[Exact, ...]) -> tuple[Exact, ...]:
        if any(part < 0 for part in profile) or not any(profile):
            raise ValueError("expected parts that are not negative, and one that is positive")
        return profile


class PovParams(CappedParams):
    """Parameters of `Pov`. Without a `max_participation` the rate itself is the cap."""

    rate: Exact = Field(
        Exact("0.1"),
        gt=ZERO,
        le=ONE,
        description="share of the volume seen to trade, ours included",
    )
    min_child: Exact = Field(
        ZERO, ge=ZERO, description="smallest child, in base currency; the last one may be smaller"
    )
    max_child: Exact | None = Field(
        None, gt=ZERO, description="largest child, in base currency; none: any"
    )

    @model_validator(mode="after")
    def _bounds_fit(self) -> "PovParams":
        cap = self.max_participation
        if cap is not None and cap < self.rate:
            raise ValueError(
                f"expected max_participation not below the rate {self.rate}, found {cap}"
            )
        if self.max_child is not None and self.max_child < self.min_child:
            raise ValueError(
                f"expected max_child not below min_child {self.min_child}, found {self.max_child}"
            )
        return self


class IcebergParams(CappedParams):
    """Parameters of `Iceberg`; the parent must have a limit price."""

    visible: Exact = Field(gt=ZERO, description="quantity that is seen at a time, in base currency")
    jitter: Exact = Field(
        ZERO,
        ge=ZERO,
        lt=ONE,
        description="how much smaller a part may be than `visible`, as a share of it, so that "
        "equal parts do not give it away",
    )
    post_only: bool = Field(False, description="whether a part may not trade when it is placed")


class PostOnlyParams(CappedParams):
    """Parameters of `PostOnly`."""

    max_failures: int = Field(
        20,
        ge=1,
        le=1000,
        description="number of children in a row, ended by the venue without a trade, after which "
        "no more is tried; in a fast market several in a row would trade at once and are refused",
    )
    requote_every: Duration = Field(
        NS_PER_SECOND, gt=0, description="shortest time between two placings"
    )
    min_move: int = Field(
        1,
        ge=1,
        description="how far the best price must have moved before it is followed, in ticks",
    )
    behind: int = Field(0, ge=0, description="distance from the best price, in ticks")


class ExitParams(AlgoParams):
    """Where a position is left."""

    stop_price: Exact = Field(
        gt=ZERO, description="where a loss is taken, in quote currency; a multiple of the tick"
    )
    take_profit: Exact = Field(
        gt=ZERO, description="where a profit is taken, in quote currency; a multiple of the tick"
    )
    max_orders: int = Field(
        3,
        ge=1,
        le=100,
        description="number of protective orders at a time; more parts are joined, for venues "
        "bound how many stop orders may wait",
    )


class OcoParams(ExitParams):
    """Parameters of `Oco`. A protective order is not held back by a participation cap."""


class BracketParams(ExitParams):
    """Parameters of `Bracket`; with the parent's limit price the entry is a limit order."""

    max_participation: Exact | None = Field(
        None,
        gt=ZERO,
        le=ONE,
        description="share of the volume seen since the start that the entry may come to; exits "
        "are not held back; none: any share",
    )


PARAMS: Mapping[AlgoName, type[AlgoParams]] = MappingProxyType(
    {
        "twap": TwapParams,
        "vwap": VwapParams,
        "pov": PovParams,
        "iceberg": IcebergParams,
        "post_only": PostOnlyParams,
        "oco": OcoParams,
        "bracket": BracketParams,
    }
)
"""By the algo's name."""
