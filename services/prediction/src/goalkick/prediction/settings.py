"""What can be configured about predictions."""

from pathlib import Path

from pydantic import Field

from goalkick.common.config.types import Settings


class PredictionSettings(Settings):
    """The prediction service."""

    models: tuple[Path, ...] = Field(
        (),
        description="folders with a model each, as `goalkick train --out` writes them; empty: no "
        "forecasts are made",
    )
    require_better_than_base_rate: bool = Field(
        False,
        description="refuse models that were no better than the base rate when they were tested; "
        "switch it on where money is at stake",
    )
