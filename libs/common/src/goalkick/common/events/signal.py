"""Signal events. Key: instrument."""

from goalkick.common.events.market import MarketEvent
from goalkick.common.values.ids import StrategyId


class Signal(MarketEvent, frozen=True, kw_only=True):
    """What a strategy wants its position to be: a level, said again with each look at the market.

    Attributes:
        cause: whose word it answers: the definition hash of a feature vector, the model of a
            forecast, who gave a command. With the instrument and both times it tells the event.
            Not the event's id: nearly every signal says what the last one said and leads to
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
        """Strategy, instrument, times and cause: one signal for each look at the market.

        Looks at bars of several lengths at one moment differ in when they expire.
        """
        return f"{self.strategy}|{self.instrument}|{self.time_ns}|{self.expires_at_ns}|{self.cause}"
