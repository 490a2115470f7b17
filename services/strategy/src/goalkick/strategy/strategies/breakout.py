"""Volatility breakout on Bollinger bands."""

from collections.abc import Iterable

from goalkick.common.strategy import FeatureVector, Field, Params, Signal, Strategy


class BreakoutParams(Params):
    """Parameters of `Breakout`."""

    length: int = Field(20, ge=2, le=10_000, description="length of the bands, in bars")
    width: int = Field(2, ge=1, le=10, description="half width, in standard deviations")
    short: bool = Field(False, description="also go short below the lower band")


class Breakout(Strategy[BreakoutParams]):
    """Goes with a close outside of the bands and leaves when the middle is crossed again."""

    def needs(self) -> tuple[str, ...]:
        """The three bands."""
        name = f"bollinger_{self.params.length}_{self.params.width}"
        return f"{name}_upper", f"{name}_middle", f"{name}_lower"

    def on_features(self, features: FeatureVector) -> Iterable[Signal]:
        """Compares the close with the bands that include it."""
        upper, middle, lower = self.needed(features)
        close = float(features.close)
        target = self.memory.get("target", 0.0)
        if close > upper:
            target = 1.0
        elif close < lower:
            target = -1.0 if self.params.short else 0.0
        elif target * (close - middle) < 0:
            target = 0.0
        self.memory["target"] = target
        return (self.target(features, target, reason="breakout" if target else "inside"),)
