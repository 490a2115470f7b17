"""From settings to a venue. ccxt weighs 100 MB: paper trading does not load it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from goalkick.common.adapters.budget.metered import Metering
from goalkick.common.adapters.secrets.stores import Stores
from goalkick.common.adapters.secrets.venue_keys import Attempt, Tell, VenueKeys
from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.ports.budget import Budget
from goalkick.common.ports.venue import Venue
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.execution.settings import ExecutionSettings, VenueName, VenueSettings
from goalkick.execution.venues.binance import BinanceDialect
from goalkick.execution.venues.bybit import BybitDialect
from goalkick.execution.venues.dialect import Dialect
from goalkick.execution.venues.keys import MakeKeys

DIALECTS: Mapping[VenueName, Callable[[], Dialect]] = MappingProxyType(
    {"binance": BinanceDialect, "bybit": BybitDialect}
)
"""Every venue that live orders can go to."""


def build_venue(
    settings: ExecutionSettings,
    stores: Stores,
    may_place: Callable[[], bool] = lambda: True,
    budget: Budget | None = None,
) -> Venue:
    """The venue that live orders go to, or several as one; not started yet.

    Keys that Vault keeps are followed: a new version of their path is taken into use. No order is
    placed while secrets are not fresh; all else, such as to cancel, goes on.

    Args:
        settings: of the service; their secrets have values, except for keys that Vault keeps.
        stores: where secrets are; whoever owns them tends them.
        may_place: whether orders may be placed, asked when one is about to be signed.
        budget: gives leave for requests; None: they go at ccxt's own pace.

    Raises:
        SettingsError: the account's key and secret cannot turn together.
    """
    from goalkick.execution.venues.ccxt import CcxtVenue  # noqa: PLC0415
    from goalkick.execution.venues.depth import CcxtLook  # noqa: PLC0415
    from goalkick.execution.venues.routed import Leg, RoutingVenue  # noqa: PLC0415

    def fresh_and_may_place() -> bool:
        reason = stores.fresh()
        if reason is not None:
            raise InvalidDataError(
                f"account {settings.account}: expected fresh secrets before new risk, found "
                f"that {reason}; the order was not sent"
            )
        return may_place()

    def account_on(venue: VenueSettings) -> CcxtVenue:
        return CcxtVenue(
            venue,
            DIALECTS[venue.name](),
            settings.account,
            may_place=fresh_and_may_place,
            make_keys=_following(venue, stores),
            metering=(
                Metering(budget, settings.account, patience_s=venue.leave_within_s)
                if budget
                else None
            ),
        )

    if not settings.venues:
        return account_on(settings.venue)
    legs = []
    for name, each in settings.venues.items():
        account = account_on(each)
        legs.append(
            Leg(
                name=name,
                prefix=each.name,
                venue=account,
                look=CcxtLook(account.client, DIALECTS[each.name](), each.taker_fee),
                latency_bps=each.latency_bps,
                max_age_s=each.max_book_age / NS_PER_SECOND,
            )
        )
    return RoutingVenue(legs, settings.account)


def _following(settings: VenueSettings, stores: Stores) -> MakeKeys | None:
    """What makes the keys of an account that Vault keeps; None: they are kept elsewhere."""
    places = [
        secret.reference.removeprefix("vault:").rpartition("#")
        for secret in (settings.key, settings.secret)
        if secret is not None and secret.kept_in("vault")
    ]
    if not places or stores.vault is None:
        return None
    vault, (path, _, _) = stores.vault, places[0]
    if len(places) == 1 or places != [(path, "#", "key"), (path, "#", "secret")]:
        raise SettingsError(
            "execution.venue: expected key and secret in one path of Vault, which turns as a "
            f"whole, such as vault:{path}#key and vault:{path}#secret, found others"
        )

    def make(attempt: Attempt, tell: Tell) -> VenueKeys:
        overlap_ns = settings.recv_window + settings.engine_timeout
        return VenueKeys(vault, path, attempt, tell, overlap_ns=overlap_ns)

    return make
