"""What can be configured about features."""

from typing import Literal

from pydantic import Field

from goalkick.common.config.types import Duration, Settings


class FeatureSettings(Settings):
    """The feature service."""

    features: tuple[str, ...] = Field(
        (), description="names of the features that are served; see `goalkick indicators`"
    )
    intervals: tuple[Duration, ...] = Field(
        (), description="lengths of the bars that they are computed from; empty: every length"
    )
    after_gap: Literal["continue", "restart"] = Field(
        "continue",
        description="what missing bars do to indicators: `continue` as if they had not been, or "
        "`restart` from nothing",
    )
