"""Feature events. Key: instrument."""

from decimal import Decimal

from goalkick.common.events.market import MarketEvent


class FeatureVector(MarketEvent, frozen=True, kw_only=True):
    """The features of one instrument at the close of one bar.

    A feature that is not ready is absent: neither its name nor a value stands here.

    Attributes:
        time_ns: close of the bar that completed it.
        interval_ns: length of the bars that it was computed from.
        available_at_ns: earliest time at which anybody may have known the values; >= `time_ns`.
        definition_hash: identifies names, parameters and code version of all features.
        names: the features that are ready, in definition order.
        values: float64, finite, one for each name.
        close: the bar's close, exact, in quote currency.
    """

    interval_ns: int
    available_at_ns: int
    definition_hash: str
    names: tuple[str, ...]
    values: tuple[float, ...]
    close: Decimal

    def __getitem__(self, name: str) -> float:
        """The value of a ready feature.

        Raises:
            KeyError: the feature is not ready, or not served at all.
        """
        try:
            return self.values[self.names.index(name)]
        except ValueError:
            raise KeyError(name) from None

    def __contains__(self, name: object) -> bool:
        """Whether the feature is ready."""
        return name in self.names

    def natural_key(self) -> str:
        """Instrument, interval, time and definition."""
        return f"{self.instrument}|{self.interval_ns}|{self.time_ns}|{self.definition_hash}"
