"""Where orders go: nowhere on paper; live, to the venue that the settings name."""

import os
from collections.abc import Mapping

from goalkick.common.core.errors import SettingsError
from goalkick.common.ports.venue import Venue
from goalkick.embedded.configuration import PlatformSettings
from goalkick.execution.venues import build


def build_venue(
    settings: PlatformSettings, environ: Mapping[str, str] = os.environ
) -> Venue | None:
    """The venue outside that orders go to; None on paper.

    Args:
        settings: of the platform.
        environ: where secrets `env:NAME` are.

    Raises:
        SettingsError: prices are not live ones, or a secret cannot be had.
    """
    if settings.trading.mode == "paper":
        return None
    if settings.ingest.feed != "ccxt":
        raise SettingsError(
            f"ingest.feed: expected ccxt, live prices, where trading.mode is live, "
            f"found {settings.ingest.feed}"
        )
    return build.build_venue(settings.execution, environ)
