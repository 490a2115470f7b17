"""Trend following on two exponential moving averages."""

from collections.abc import Iterable

from pydantic import model_validator

from goalkick.common.strategy import FeatureVector, Field, Params, Signal, Strategy


class EmaCrossParams(Params):
    """Parameters of `EmaCross`."""

    fast: int = Field(10, ge=1, le=10_000, description="length of the fast EMA, in bars")
    slow: int = Field(20, ge=2, le=10_000, description="length of the slow EMA, in bars")
    short: bool = Field(False, description="go short below instead of flat")

    @model_validator(mode="after")
    def _fast_is_faster(self) -> "EmaCrossParams":
        if self.fast >= self.slow:
            raise ValueError(f"expected fast < slow, found fast={self.fast}, slow={self.slow}")
        return self


class EmaCross(Strategy[EmaCrossParams]):
    """Long while the fast EMA is above the slow one, else flat (or short)."""

    def needs(self) -> tuple[str, ...]:
        """The two averages."""
        return f"ema_{self.params.fast}", f"ema_{self.params.slow}"

    def on_features(self, features: FeatureVector) -> Iterable[Signal]:
        """Follows the sign of fast minus slow."""
        fast, slow = self.needed(features)
        if fast > slow:
            return (self.target(features, 1.0, reason="fast above slow"),)
        below = -1.0 if self.params.short else 0.0
        return (self.target(features, below, reason="fast not above slow"),)
