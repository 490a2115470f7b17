"""Where orders go: nowhere on paper; live, to the venue that the settings name."""

from goalkick.common.adapters.secrets.stores import Stores
from goalkick.common.core.errors import SettingsError
from goalkick.common.ports.budget import Budget
from goalkick.common.ports.venue import Venue
from goalkick.embedded.configuration import PlatformSettings
from goalkick.execution.venues import build


def build_venue(
    settings: PlatformSettings, stores: Stores, budget: Budget | None = None
) -> Venue | None:
    """The venue outside that orders go to; None on paper.

    Args:
        settings: of the platform.
        stores: where secrets are; tended by whoever owns them.
        budget: gives leave for requests, the market's as well; None: nobody does.

    Raises:
        SettingsError: prices are not live ones, or a secret cannot be had.
    """
    if not settings.trading.live:
        return None
    if settings.ingest.feed != "ccxt":
        raise SettingsError(
            f"ingest.feed: expected ccxt, live prices, where trading.mode is live, "
            f"found {settings.ingest.feed}"
        )
    execution = stores.resolve_now(settings.execution)
    return build.build_venue(execution, stores, budget=budget)
