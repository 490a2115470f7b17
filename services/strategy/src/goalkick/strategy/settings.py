"""What can be configured about strategies."""

from pathlib import Path
from typing import Any

from pydantic import Field

from goalkick.common.config.types import Duration, Settings


class StrategyRun(Settings):
    """One strategy that runs, under the name that is its key in the configuration."""

    strategy: str = Field(description="which strategy; see `goalkick strategies`")
    params: dict[str, Any] = Field(default_factory=dict, description="its parameters")
    instruments: tuple[str, ...] = Field(
        (), description="instrument ids (`venue:name`) that it runs on; empty: all"
    )
    interval: Duration | None = Field(
        None, description="length of the bars that it looks at; none: every length there is"
    )
    warmup: int = Field(
        0, ge=0, description="bars to see before the first signal, besides what its features need"
    )
    active: bool = Field(True, description="whether it starts active")


class StrategySettings(Settings):
    """The strategy service."""

    strategies: dict[str, StrategyRun] = Field(
        default_factory=dict, description="what runs: a name of your choice -> strategy"
    )
    deployment: str = Field(
        "",
        pattern=r"^([a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?)?$",
        description="name of this strategy service where there are several: each has a consumer "
        "group, state and signals of its own; empty: the only one",
    )
    folder: Path | None = Field(
        None, description="folder with strategies of your own, one Python file each"
    )
