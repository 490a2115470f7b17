"""The prediction service as a process: the composition root."""

from collections.abc import Callable, Sequence

from goalkick.common.runtime.service import (
    ServiceSettings,
    Spec,
    Surroundings,
    core_service,
    run,
)
from goalkick.common.runtime.wiring import Service
from goalkick.common.runtime.worker import Worker
from goalkick.prediction.core import PredictionCore
from goalkick.prediction.settings import PredictionSettings


class PredictionServiceSettings(ServiceSettings):
    """The sections that the prediction service reads."""

    prediction: PredictionSettings = PredictionSettings()


def maker(settings: PredictionSettings) -> Callable[[], PredictionCore]:
    """What makes the service's cores; loads the models.

    Raises:
        InvalidDataError: a model's files are not what they should be.
    """
    models = []
    if settings.models:
        from goalkick.prediction.models.onnx import load  # noqa: PLC0415 -- 30 MB, 0.2 s

        models = [load(folder) for folder in settings.models]
    return lambda: PredictionCore(settings, models)


def build(settings: PredictionServiceSettings, around: Surroundings) -> Worker:
    """The service, not started yet.

    Raises:
        InvalidDataError: see `maker`.
    """
    service = Service("prediction", maker(settings.prediction), renews=True)
    return core_service(settings, around, service)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the service; returns the exit code."""
    return run(Spec("prediction", PredictionServiceSettings, build), argv)
