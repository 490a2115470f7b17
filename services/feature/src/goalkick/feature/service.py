"""The feature service as a process: the composition root."""

from collections.abc import Callable, Sequence

from goalkick.common.core.errors import SettingsError
from goalkick.common.runtime.service import (
    ServiceSettings,
    Spec,
    Surroundings,
    core_service,
    run,
)
from goalkick.common.runtime.wiring import Service
from goalkick.common.runtime.worker import Worker
from goalkick.feature.core import FeatureCore
from goalkick.feature.settings import FeatureSettings


class FeatureServiceSettings(ServiceSettings):
    """The sections that the feature service reads."""

    feature: FeatureSettings = FeatureSettings()


def maker(settings: FeatureSettings) -> Callable[[], FeatureCore]:
    """What makes the service's cores.

    Raises:
        SettingsError: no features are named, or a name is not a feature's.
    """
    if not settings.features:
        raise SettingsError(
            "feature.features: expected the names of the features to serve, found none; "
            "`goalkick config features` prints what your strategies and models need"
        )
    FeatureCore(settings)
    return lambda: FeatureCore(settings)


def build(settings: FeatureServiceSettings, around: Surroundings) -> Worker:
    """The service, not started yet.

    Raises:
        SettingsError: see `maker`.
    """
    service = Service("feature", maker(settings.feature), renews=True)
    return core_service(settings, around, service)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the service; returns the exit code."""
    return run(Spec("feature", FeatureServiceSettings, build), argv)
