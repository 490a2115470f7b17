"""What can be configured about features."""

from pydantic import Field

from goalkick.common.config.types import Duration, Settings
from goalkick.feature.definitions import AfterGap


class FeatureSettings(Settings):
    """The feature service."""

    features: tuple[str, ...] = Field(
        (), description="names of the features that are served; see `goalkick indicators`"
    )
    intervals: tuple[Duration, ...] = Field(
        (), description="lengths of the bars that they are computed from; empty: every length"
    )
    after_gap: AfterGap = Field(
        "continue",
        description="what missing bars do to indicators: `continue` as if they had not been, or "
        "`restart` from nothing",
    )
