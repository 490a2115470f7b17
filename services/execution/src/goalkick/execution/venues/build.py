"""From settings to a venue. ccxt weighs 100 MB: paper trading does not load it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from goalkick.common.adapters.secrets.env import EnvSecrets
from goalkick.common.adapters.secrets.file import FileSecrets
from goalkick.common.config.secret import resolve_secrets
from goalkick.common.ports.secrets import Secrets
from goalkick.common.ports.venue import Venue
from goalkick.execution.settings import ExecutionSettings, VenueName
from goalkick.execution.venues.binance import BinanceDialect
from goalkick.execution.venues.bybit import BybitDialect
from goalkick.execution.venues.dialect import Dialect

DIALECTS: Mapping[VenueName, Callable[[], Dialect]] = MappingProxyType(
    {"binance": BinanceDialect, "bybit": BybitDialect}
)
"""Every venue that live orders can go to."""


def build_venue(
    settings: ExecutionSettings,
    environ: Mapping[str, str],
    may_place: Callable[[], bool] = lambda: True,
) -> Venue:
    """The venue that live orders go to, not started yet.

    Args:
        settings: of the service.
        environ: where secrets `env:NAME` are.
        may_place: whether orders may be placed, asked when one is about to be signed.

    Raises:
        SettingsError: a secret cannot be had.
    """
    from goalkick.execution.venues.ccxt import CcxtVenue  # noqa: PLC0415

    stores: dict[str, Secrets] = {"env": EnvSecrets(environ), "file": FileSecrets()}
    venue = resolve_secrets(settings.venue, stores)
    return CcxtVenue(venue, DIALECTS[venue.name](), settings.account, may_place=may_place)
