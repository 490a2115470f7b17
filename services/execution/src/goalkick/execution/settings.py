"""What can be configured about execution."""

from collections.abc import Iterable
from typing import Literal, Self

from pydantic import Field, model_validator

from goalkick.common.config.secret import Secret
from goalkick.common.config.trading import TradingSettings
from goalkick.common.config.types import Duration, Exact, Settings
from goalkick.common.values.ids import AccountId
from goalkick.common.values.money import ONE, ZERO
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND

FillModel = Literal["next_open", "touch", "path"]
VenueName = Literal["binance", "bybit"]
Which = Literal["none", "opening", "all"]


class VenueSettings(Settings):
    """The venue that live orders go to; read only with `trading.mode: live`."""

    name: VenueName = Field("binance", description="the venue, by ccxt's name of it")
    endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/]+$",
        description="scheme, host and port that replace all of the venue's own; for an exchange "
        "in a box",
    )
    key: Secret | None = Field(
        None, description="the API key, as a reference: env:NAME, file:/path"
    )
    secret: Secret | None = Field(None, description="what it signs with, as a reference")
    timeout: Duration = Field(
        5 * NS_PER_SECOND, gt=0, description="time within which the venue must answer"
    )
    leave_within: Duration = Field(
        NS_PER_SECOND,
        gt=0,
        description="an order that gets no leave from the budget of requests within so long is not "
        "sent, and rejected; never later than after `timeout`, so that it is never in doubt",
    )
    recv_window: Duration = Field(
        5 * NS_PER_SECOND,
        gt=0,
        le=60 * NS_PER_SECOND,
        description="time after its signing at which a request is void; short bounds doubt",
    )
    engine_timeout: Duration = Field(
        10 * NS_PER_SECOND,
        ge=0,
        description="how long the venue's engine may sit on a request that it has taken",
    )
    margin: Duration = Field(
        NS_PER_SECOND,
        ge=0,
        description="time added to both before an order that is not found counts as never sent",
    )
    query_every: Duration = Field(
        NS_PER_SECOND, gt=0, description="wait between two questions about an order not found"
    )
    compare_every: Duration = Field(
        30 * NS_PER_SECOND,
        gt=0,
        description="how often every order under way is asked about and holdings are compared, "
        "whatever the stream said",
    )
    dead_man: Duration | None = Field(
        None,
        ge=3 * NS_PER_SECOND,
        le=300 * NS_PER_SECOND,
        multiple_of=NS_PER_SECOND,
        description="time after which the venue itself cancels all orders of the account, those "
        "of others too, when our private stream is gone; whole seconds, only bybit; none: off",
    )
    keep_alive: Duration = Field(
        5 * NS_PER_SECOND,
        gt=0,
        description="time between two pings of the private stream; it counts as dead after three "
        "without an answer",
    )
    retry_delay: Duration = Field(
        NS_PER_SECOND // 4, gt=0, description="wait after a first failure; doubles with each more"
    )
    max_retry_delay: Duration = Field(30 * NS_PER_SECOND, gt=0, description="longest such wait")

    @model_validator(mode="after")
    def _has_such_a_timer(self) -> Self:
        if self.dead_man is not None and self.name == "binance":
            raise ValueError(
                "dead_man: expected none for binance, whose spot market has no such timer, found "
                f"{self.dead_man} ns"
            )
        return self

    @property
    def leave_within_s(self) -> float:
        """How long an order waits for leave, seconds: less than its answer is waited for."""
        return min(self.leave_within, self.timeout) / NS_PER_SECOND


class RoutedVenueSettings(VenueSettings):
    """One of several venues that an account's orders are split over."""

    latency_bps: Exact = Field(
        ZERO,
        ge=ZERO,
        description="how far the price is thought to move against an order on its way there, in "
        "basis points; venues are compared with it",
    )
    max_book_age: Duration = Field(
        NS_PER_SECOND,
        gt=0,
        description="time after it was asked for at which the venue's book counts as stale, and "
        "nothing is sent there",
    )
    taker_fee: Exact | None = Field(
        None,
        gt=-ONE,
        lt=ONE,
        description="the account's fee there, as a fraction of notional; none: what the venue "
        "lists for everybody",
    )


class CancelAllSettings(Settings):
    """When orders of ours are taken out of the venue's book without anybody having asked.

    `opening` are those that may add risk: all that are not reduce-only. What only takes risk away,
    such as a stop that protects a position, works on while nobody is here.
    """

    on_stop: Which = Field(
        "opening",
        description="at a stop that was asked for: an order that nobody attends to is a risk that "
        "nobody answers for; `none`, `opening` or `all`",
    )
    on_halt: Which = Field(
        "opening",
        description="when trading is halted, by a person or a limit: what works is to add no more "
        "risk; the same words",
    )
    on_lost_contact: Which = Field(
        "opening",
        description="when contact is lost for longer than `lost_after`, and until it is back "
        "nothing of the kind is placed; the same words",
    )
    lost_after: Duration = Field(
        60 * NS_PER_SECOND,
        gt=0,
        description="how long the private stream may be down, the venue not answer, or an "
        "instrument's bars be stale, before contact counts as lost; a reconnect takes seconds",
    )
    grace: Duration = Field(
        2_500 * NS_PER_MS,
        gt=0,
        le=3 * NS_PER_SECOND,
        description="how long a stop waits for the venue to say that they are gone; the process "
        "itself may take 3.5 s to stop",
    )


class ExecutionSettings(Settings):
    """The execution service, its paper venue, and the venue that live orders go to."""

    account: AccountId = Field(AccountId("main"), description="whose orders these are")
    venue: VenueSettings = Field(default_factory=VenueSettings)
    venues: dict[str, RoutedVenueSettings] = Field(
        default_factory=dict,
        description="several venues that orders are split over in place of `venue`: any name -> "
        "one's settings; instruments are named as on the first; none: `venue` alone",
    )
    cancel_all: CancelAllSettings = Field(default_factory=CancelAllSettings)
    currency: str = Field("USDT", description="the account's cash; instruments are quoted in it")
    initial_cash: Exact = Field(
        Exact(100_000), gt=ZERO, description="opening balance of the paper account"
    )
    fill: FillModel = Field(
        "next_open",
        description="when a market order trades: `next_open` at the open of the next bar, `touch` "
        "at once at the best quote (the last close where there is none), `path` like next_open, "
        "with resting orders met along the bar's declared path",
    )
    fee_bps: Exact | None = Field(
        None, ge=ZERO, description="fee in basis points of notional; none: the instrument's own"
    )
    slippage_bps: Exact = Field(
        ZERO, ge=ZERO, description="how much worse market and stop orders trade, in basis points"
    )
    max_volume_share: Exact | None = Field(
        None,
        gt=ZERO,
        le=ONE,
        description="share of a bar's volume that our orders may take; none: any quantity trades",
    )


def honoured_for_ns(settings: ExecutionSettings) -> int:
    """For how long the venue, or any of several, honours what is signed now."""
    venues: Iterable[VenueSettings] = settings.venues.values() or (settings.venue,)
    return max(venue.recv_window + venue.margin for venue in venues)


def check_trading(trading: TradingSettings, execution: ExecutionSettings) -> None:
    """Sees that trading with real money is meant, and can be done.

    Raises:
        ValueError: it is not.
    """
    if not trading.live:
        return
    if trading.account != execution.account:
        raise ValueError(
            f"mode live: expected trading.account to name the account that may trade, "
            f"{execution.account!r}, found {trading.account!r}"
        )
    places: dict[str, VenueSettings] = {
        f"venues.{name}": venue for name, venue in execution.venues.items()
    }
    for place, venue in (places or {"venue": execution.venue}).items():
        for name in ("key", "secret"):
            if getattr(venue, name) is None:
                raise ValueError(
                    f"mode live: expected execution.{place}.{name} to say where the venue's "
                    f"{name} is, such as env:VENUE_{name.upper()}, found none"
                )
