"""Acts on a model's forecast."""

from collections.abc import Iterable

from goalkick.common.strategy import Field, ForecastMade, Params, Signal, Strategy


class ForecastThresholdParams(Params):
    """Parameters of `ForecastThreshold`."""

    enter_above: float = Field(
        0.55, ge=0.5, le=1, description="go long at this probability of a rise"
    )
    exit_below: float = Field(0.5, ge=0, le=1, description="go flat below this probability")
    short: bool = Field(False, description="mirror it: short on a probable fall")


class ForecastThreshold(Strategy[ForecastThresholdParams]):
    """Long while the model gives a rise enough probability."""

    def on_forecast(self, forecast: ForecastMade) -> Iterable[Signal]:
        """Enters at one level and leaves at a lower one."""
        up = forecast.probability_up
        target = self.memory.get("target", 0.0)
        if up >= self.params.enter_above:
            target = 1.0
        elif self.params.short and 1 - up >= self.params.enter_above:
            target = -1.0
        elif (target > 0 and up < self.params.exit_below) or (
            target < 0 and 1 - up < self.params.exit_below
        ):
            target = 0.0
        self.memory["target"] = target
        return (
            self.target(
                forecast,
                target,
                confidence=forecast.confidence,
                horizon_ns=forecast.horizon_ns,
                reason=f"probability of a rise {up:.3f}",
            ),
        )
