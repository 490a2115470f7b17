"""Prediction events. Key: instrument."""

from goalkick.common.events.market import MarketEvent
from goalkick.common.values.ids import ModelId


class ForecastMade(MarketEvent, frozen=True, kw_only=True):
    """A model's view of the return from now to `horizon_ns` ahead.

    Attributes:
        interval_ns: length of the bars behind the features.
        model: the model's id (name and content hash).
        horizon_ns: how far ahead it looks; positive.
        probability_up: calibrated probability of a positive return, in [0, 1].
        expected_return: expected simple return over the horizon, as a fraction.
        confidence: |2 x probability_up - 1|, in [0, 1].
        expires_at_ns: the forecast says nothing from this time on.
        definition_hash: of the features it was made from.
    """

    interval_ns: int
    model: ModelId
    horizon_ns: int
    probability_up: float
    expected_return: float
    confidence: float
    expires_at_ns: int
    definition_hash: str

    def natural_key(self) -> str:
        """Model, instrument, interval and time."""
        return f"{self.model}|{self.instrument}|{self.interval_ns}|{self.time_ns}"
