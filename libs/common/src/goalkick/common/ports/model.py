"""What answers with a probability: trained elsewhere, served here."""

from collections.abc import Sequence
from typing import Protocol

from goalkick.common.values.ids import ModelId


class ModelManifest(Protocol):
    """What must be known about a model to serve it."""

    @property
    def id(self) -> ModelId:
        """Name and content hash: another content is another id."""
        ...

    @property
    def features(self) -> tuple[str, ...]:
        """What it looks at, in its order; a subset of `served_features`."""
        ...

    @property
    def served_features(self) -> tuple[str, ...]:
        """All features of the set that `definition_hash` stands for."""
        ...

    @property
    def definition_hash(self) -> str:
        """The `FeatureVector.definition_hash` that it was trained on, and the only one it takes."""
        ...

    @property
    def interval_ns(self) -> int:
        """Length of the bars behind its features."""
        ...

    @property
    def horizon_ns(self) -> int:
        """How far ahead it looks; positive."""
        ...

    @property
    def mean_up(self) -> float:
        """Mean simple return over the horizon, as a fraction, where it was positive."""
        ...

    @property
    def mean_down(self) -> float:
        """Mean simple return over the horizon, as a fraction, where it was not."""
        ...

    @property
    def better_than_base_rate(self) -> bool:
        """Whether it convinced where it had never looked."""
        ...


class Model(Protocol):
    """A model in memory. It has no memory of its own: the same values, the same answer."""

    @property
    def manifest(self) -> ModelManifest:
        """What it is."""
        ...

    def predict(self, values: Sequence[float]) -> float:
        """The calibrated probability of a positive return over the horizon, in [0, 1].

        Args:
            values: finite, one for each of `manifest.features`, in that order.

        Raises:
            InvariantError: the number of values is wrong, or the answer is no probability.
        """
        ...
