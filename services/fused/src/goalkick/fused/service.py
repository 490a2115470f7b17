"""Feature, prediction and strategy as one process: the composition root."""

from collections.abc import Callable, Sequence

from pydantic import model_validator

from goalkick.common.core.fused import FusedCore
from goalkick.common.core.machine import Core
from goalkick.common.events.prediction import ForecastMade
from goalkick.common.runtime.service import (
    ServiceSettings,
    Spec,
    Surroundings,
    core_service,
    run,
)
from goalkick.common.runtime.wiring import Service
from goalkick.common.runtime.worker import Worker
from goalkick.common.topics import TOPIC_OF, inner_of
from goalkick.feature import service as feature
from goalkick.feature.settings import FeatureSettings
from goalkick.fused.settings import FusedSettings
from goalkick.prediction import service as prediction
from goalkick.prediction.settings import PredictionSettings
from goalkick.strategy import service as strategy
from goalkick.strategy.settings import StrategySettings

NAME = "fused"


class FusedServiceSettings(ServiceSettings):
    """The sections that the fused service reads."""

    fused: FusedSettings = FusedSettings()
    feature: FeatureSettings = FeatureSettings()
    prediction: PredictionSettings = PredictionSettings()
    strategy: StrategySettings = StrategySettings()

    @model_validator(mode="after")
    def _is_the_first(self) -> "FusedServiceSettings":
        if self.strategy.deployment:
            raise ValueError(
                "strategy.deployment: expected none in the fused form, which is the first strategy "
                f"service, found {self.strategy.deployment!r}; run it beside as a service of its "
                "own"
            )
        return self


def fused_service(settings: FusedServiceSettings) -> Service:
    """What the runtime has to know of it: prediction is a part where forecasts are waited for.

    Raises:
        SettingsError: no features are named, or a feature, a strategy or a parameter is unknown.
        InvalidDataError: a model's files are not what they should be.
    """
    forecasts = settings.runtime.forecasts
    makers: dict[str, Callable[[], Core]] = {"feature": feature.maker(settings.feature)}
    if forecasts:
        makers["prediction"] = prediction.maker(settings.prediction)
    makers["strategy"] = strategy.maker(settings.strategy)
    unsaid = set() if forecasts else {TOPIC_OF[ForecastMade].name}
    if not settings.fused.publish:
        unsaid |= {topic.name for topic in inner_of(NAME)}
    return Service(
        NAME,
        lambda: FusedCore({name: make() for name, make in makers.items()}),
        renews=True,
        unsaid=frozenset(unsaid),
    )


def build(settings: FusedServiceSettings, around: Surroundings) -> Worker:
    """The service, not started yet.

    Raises:
        SettingsError, InvalidDataError: see `fused_service`.
    """
    return core_service(settings, around, fused_service(settings))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the service; returns the exit code."""
    return run(Spec(NAME, FusedServiceSettings, build), argv)
