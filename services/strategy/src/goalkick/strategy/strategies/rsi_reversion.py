"""Mean reversion on the relative strength index."""

from collections.abc import Iterable

from pydantic import model_validator

from goalkick.common.strategy import FeatureVector, Field, Params, Signal, Strategy


class RsiReversionParams(Params):
    """Parameters of `RsiReversion`."""

    length: int = Field(14, ge=2, le=10_000, description="length of the RSI, in bars")
    enter_below: float = Field(30.0, ge=0, le=100, description="buy when the RSI is below it")
    exit_above: float = Field(55.0, ge=0, le=100, description="go flat when the RSI is above it")

    @model_validator(mode="after")
    def _levels_in_order(self) -> "RsiReversionParams":
        if self.enter_below >= self.exit_above:
            raise ValueError(
                "expected enter_below < exit_above, found "
                f"enter_below={self.enter_below}, exit_above={self.exit_above}"
            )
        return self


class RsiReversion(Strategy[RsiReversionParams]):
    """Buys what is oversold and holds it until the RSI has recovered."""

    def needs(self) -> tuple[str, ...]:
        """The RSI."""
        return (f"rsi_{self.params.length}",)

    def on_features(self, features: FeatureVector) -> Iterable[Signal]:
        """Enters and leaves at two levels; between them it keeps what it has."""
        (rsi,) = self.needed(features)
        if rsi < self.params.enter_below:
            self.memory["target"] = 1.0
        elif rsi > self.params.exit_above:
            self.memory["target"] = 0.0
        target = self.memory.get("target", 0.0)
        return (self.target(features, target, reason="oversold" if target else "recovered"),)
