"""From settings to a venue. ccxt weighs 100 MB: paper trading does not load it."""

from collections.abc import Mapping

from goalkick.common.adapters.secrets.env import EnvSecrets
from goalkick.common.adapters.secrets.file import FileSecrets
from goalkick.common.config.secret import resolve_secrets
from goalkick.common.ports.secrets import Secrets
from goalkick.common.ports.venue import Venue
from goalkick.execution.settings import ExecutionSettings


def build_venue(settings: ExecutionSettings, environ: Mapping[str, str]) -> Venue:
    """The venue that live orders go to, not started yet.

    Args:
        settings: of the service.
        environ: where secrets `env:NAME` are.

    Raises:
        SettingsError: a secret cannot be had.
    """
    from goalkick.execution.venues.binance import BinanceDialect  # noqa: PLC0415
    from goalkick.execution.venues.ccxt import CcxtVenue  # noqa: PLC0415

    stores: dict[str, Secrets] = {"env": EnvSecrets(environ), "file": FileSecrets()}
    return CcxtVenue(resolve_secrets(settings.venue, stores), BinanceDialect(), settings.account)
