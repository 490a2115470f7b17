"""The one thing that a strategy author imports.

A strategy looks at features (and forecasts, if it wants) and says which position it would like to
have: a target in [-1, 1]. It never sees an account, an order or a key; risk decides what becomes of
a target. One instance exists for each instrument that the strategy runs on.

    class EmaCrossParams(Params):
        fast: int = Field(10, ge=1, description="bars of the fast EMA")
        slow: int = Field(20, ge=2, description="bars of the slow EMA")

    class EmaCross(Strategy[EmaCrossParams]):
        '''Long while the fast EMA is above the slow one, else flat.'''

        def needs(self) -> tuple[str, ...]:
            return f"ema_{self.params.fast}", f"ema_{self.params.slow}"

        def on_features(self, features: FeatureVector) -> Iterable[Signal]:
            fast, slow = self.needed(features)
            yield self.target(features, 1.0 if fast > slow else 0.0)
"""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, ClassVar, Generic, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field

from goalkick.common.events.feature import FeatureVector
from goalkick.common.events.prediction import ForecastMade
from goalkick.common.events.signal import Signal
from goalkick.common.values.ids import InstrumentId, StrategyId

__all__ = ["FeatureVector", "Field", "ForecastMade", "Params", "Signal", "Strategy"]


class Params(BaseModel):
    """A strategy's parameters: typed, bounded, with a description and a unit each."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


P = TypeVar("P", bound=Params)


class Strategy(Generic[P]):
    """Turns features and forecasts of one instrument into targets.

    Must be deterministic: no clock, no randomness, no I/O. What it wants to remember between
    calls stands in `memory`, which survives a restart; other attributes do not.

    Attributes:
        name: configured name, unique among the strategies that run.
        instrument: whose features it sees.
        params: validated parameters.
        memory: JSON-like values to remember; starts empty.
    """

    params_type: ClassVar[type[Params]]

    def __init__(self, name: StrategyId, instrument: InstrumentId, params: P) -> None:
        """Called by the strategy service; override `start` instead."""
        self.name = name
        self.instrument = instrument
        self.params = params
        self.memory: dict[str, Any] = {}
        self._names: tuple[str, ...] = ()
        self._pick: Callable[[tuple[float, ...]], tuple[float, ...]] = tuple
        self.start()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Reads the parameters' type out of `Strategy[...]`."""
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            for argument in get_args(base):
                if isinstance(argument, type) and issubclass(argument, Params):
                    cls.params_type = argument

    def start(self) -> None:
        """Called once, after the parameters are set and before anything is looked at."""

    def needs(self) -> tuple[str, ...]:
        """Names of the features that must be ready before `on_features` is called.

        Checked against the feature catalogue at start-up. A strategy that looks only at forecasts
        needs none.
        """
        return ()

    def needed(self, features: FeatureVector) -> tuple[float, ...]:
        """The values of `needs()`, in its order.

        Raises:
            ValueError: one of them is not ready; cannot happen inside `on_features`.
        """
        if features.names is not self._names:
            self._pick = _picker([features.names.index(name) for name in self.needs()])
            self._names = features.names
        return self._pick(features.values)

    def on_features(self, features: FeatureVector) -> Iterable[Signal]:
        """A bar closed, and all that the strategy needs is ready."""
        return ()

    def on_forecast(self, forecast: ForecastMade) -> Iterable[Signal]:
        """A model has spoken."""
        return ()

    def target(
        self,
        cause: FeatureVector | ForecastMade,
        target: float,
        *,
        confidence: float = 1.0,
        horizon_ns: int = 0,
        reason: str = "",
    ) -> Signal:
        """The position that the strategy wants now, as an answer to `cause`.

        Args:
            cause: what was looked at.
            target: in [-1, 1], a share of the size that risk grants; 0 is flat.
            confidence: in [0, 1].
            horizon_ns: how long the position is expected to be held; 0 if unknown.
            reason: for people; short.
        """
        return Signal(
            time_ns=cause.time_ns,
            instrument=cause.instrument,
            cause=cause.model if type(cause) is ForecastMade else cause.definition_hash,
            strategy=self.name,
            # An int would be another byte in the hash of a run than what comes over the wire.
            target=target if type(target) is float else float(target),
            confidence=confidence if type(confidence) is float else float(confidence),
            horizon_ns=horizon_ns,
            expires_at_ns=cause.time_ns + cause.interval_ns,
            reason=reason,
        )


def _picker(positions: Sequence[int]) -> Callable[[tuple[float, ...]], tuple[float, ...]]:
    """Takes the values at `positions` out of a tuple."""
    if len(positions) > 1:
        return itemgetter(*positions)
    # `itemgetter` of one position gives no tuple.
    return lambda values: tuple(values[position] for position in positions)
