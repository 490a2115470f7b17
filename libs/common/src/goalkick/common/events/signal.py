"""Signal events. Key: instrument."""

from goalkick.common.events.market import MarketEvent
from goalkick.common.values.ids import StrategyId


class Signal(MarketEvent, frozen=True, kw_only=True):
    """What a strategy wants its position to be: a level, said again with each look at the market.

    Attributes:
        cause: natural key of the event that it answers: a feature vector, a forecast, or a
            command. Not its id: nearly every signal says what the last one said and leads to
            nothing, and hashing would cost more than all the rest of it.
        strategy: the strategy's configured name.
        target: wanted position in [-1, 1], as a share of the size that risk grants.
        confidence: in [0, 1].
        horizon_ns: for how long the strategy expects to hold; 0 if it does not say.
        expires_at_ns: must not be acted upon from this time on; one bar later unless said else.
        reason: for people; short.
    """

    cause: str
    strategy: StrategyId
    target: float
    confidence: float = 1.0
    horizon_ns: int = 0
    expires_at_ns: int
    reason: str = ""

    def natural_key(self) -> str:
        """Strategy and cause: one signal for each look at the market."""
        return f"{self.strategy}|{self.instrument}|{self.cause}"
