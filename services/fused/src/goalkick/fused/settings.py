"""What can be configured about the fused form."""

from pydantic import Field

from goalkick.common.config.types import Settings


class FusedSettings(Settings):
    """Feature, prediction and strategy as one service; each has its own section besides."""

    publish: bool = Field(
        True,
        description="whether features and forecasts are said on their topics, too: strategy "
        "services beside this one, and whoever looks on, read them there",
    )
