"""The prediction core: a vector of features in, a forecast of each model out."""

import hashlib
from collections.abc import Mapping, Sequence

from goalkick.common.core.errors import SettingsError
from goalkick.common.core.machine import Handler
from goalkick.common.core.snapshot import decode_snapshot, encode_snapshot
from goalkick.common.events.base import Event
from goalkick.common.events.feature import FeatureVector
from goalkick.common.events.prediction import ForecastMade
from goalkick.common.ports.model import Model
from goalkick.prediction.settings import PredictionSettings

_CORE = "prediction/1"


class _Slot:
    """A model, and where its features stand in the vectors of late."""

    __slots__ = ("manifest", "model", "names", "places")

    def __init__(self, model: Model) -> None:
        self.model = model
        self.manifest = model.manifest
        self.names: tuple[str, ...] | None = None
        self.places: tuple[int, ...] | None = None

    def check(self, definition_hash: str) -> None:
        """Raises SettingsError where other features are served than the model knows."""
        known = self.manifest.definition_hash
        if definition_hash != known:
            raise SettingsError(
                f"model {self.manifest.id}: expected features of definition {known}, found "
                f"{definition_hash}; serve exactly {', '.join(self.manifest.served_features)} "
                "with the version that it was trained with, or train it again"
            )

    def forecast(self, features: FeatureVector) -> ForecastMade | None:
        """What the model expects; None while one of its features is not ready."""
        if features.names is not self.names:
            self._look_up(features.names)
        if self.places is None:
            return None
        manifest, values = self.manifest, features.values
        up = self.model.predict([values[place] for place in self.places])
        return ForecastMade(
            time_ns=features.time_ns,
            instrument=features.instrument,
            interval_ns=features.interval_ns,
            model=manifest.id,
            horizon_ns=manifest.horizon_ns,
            probability_up=up,
            expected_return=up * manifest.mean_up + (1 - up) * manifest.mean_down,
            confidence=abs(2 * up - 1),
            # The next bar brings the next forecast, or something is wrong.
            expires_at_ns=features.time_ns + features.interval_ns,
            definition_hash=features.definition_hash,
        )

    def _look_up(self, names: tuple[str, ...]) -> None:
        self.names = names
        try:
            self.places = tuple(names.index(name) for name in self.manifest.features)
        except ValueError:
            self.places = None


class PredictionCore:
    """Asks every model about every vector of its bar length. It remembers nothing.

    A model is never asked about features of another definition than it was trained on.
    """

    def __init__(
        self,
        settings: PredictionSettings,
        models: Sequence[Model],
        *,
        definition_hash: str | None = None,
    ) -> None:
        """Checks that the models can be told apart, and fit what is served.

        Args:
            settings: the service's.
            models: what `settings.models` names, in memory.
            definition_hash: of the features that are served, where it is known beforehand;
                otherwise the first vector shows it.

        Raises:
            SettingsError: a model is given twice, was trained on other features, or is no better
                than the base rate where the settings require it.
        """
        ids = [model.manifest.id for model in models]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise SettingsError(f"models: expected each once, found {', '.join(twice)} repeated")
        for model in models:
            manifest = model.manifest
            if settings.require_better_than_base_rate and not manifest.better_than_base_rate:
                raise SettingsError(
                    f"model {manifest.id}: expected one that was better than the base rate "
                    "(require_better_than_base_rate), found one that was not"
                )
        self._slots = tuple(_Slot(model) for model in models)
        self._fingerprint = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]
        if definition_hash is not None:
            self._check(definition_hash)
        self.handlers: Mapping[type[Event], Handler] = {FeatureVector: self._on_features}

    @property
    def needs(self) -> tuple[str, ...]:
        """All features that must be served for the models, sorted."""
        return tuple(
            sorted({name for slot in self._slots for name in slot.manifest.served_features})
        )

    def snapshot(self) -> bytes:
        """Nothing but which models were asked."""
        return encode_snapshot(_CORE, self._fingerprint, None)

    def restore(self, data: bytes) -> None:
        """Takes over a snapshot.

        Raises:
            InvalidDataError: it was made with other models.
        """
        decode_snapshot(data, _CORE, self._fingerprint, type(None))

    def _check(self, definition_hash: str) -> None:
        for slot in self._slots:
            slot.check(definition_hash)

    def _on_features(self, features: FeatureVector) -> Sequence[Event]:
        """Raises SettingsError at the first vector of a definition that a model does not know."""
        self._check(features.definition_hash)
        forecasts = [
            slot.forecast(features)
            for slot in self._slots
            if slot.manifest.interval_ns == features.interval_ns
        ]
        return [forecast for forecast in forecasts if forecast is not None]
