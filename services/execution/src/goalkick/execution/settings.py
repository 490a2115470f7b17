"""What can be configured about execution."""

from typing import Literal

from pydantic import Field

from goalkick.common.config.secret import Secret
from goalkick.common.config.types import Duration, Exact, Settings
from goalkick.common.values.ids import AccountId
from goalkick.common.values.money import ONE, ZERO
from goalkick.common.values.time import NS_PER_SECOND

FillModel = Literal["next_open", "touch", "path"]
VenueName = Literal["binance", "bybit"]


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


class ExecutionSettings(Settings):
    """The execution service, its paper venue, and the venue that live orders go to."""

    account: AccountId = Field(AccountId("main"), description="whose orders these are")
    venue: VenueSettings = Field(default_factory=VenueSettings)
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


class TradingSettings(Settings):
    """Whether money is real."""

    mode: Literal["paper", "live"] = Field(
        "paper",
        description="`paper` trades against the paper venue; `live` sends orders to "
        "`execution.venue`, with real money, and needs `account` besides",
    )
    account: AccountId | None = Field(
        None,
        description="for mode live: the account's id once more, as in `execution.account`, so "
        "that one slip does not trade real money",
    )

    def check(self, execution: "ExecutionSettings") -> None:
        """Sees that trading with real money is meant, and can be done.

        Raises:
            ValueError: it is not.
        """
        if self.mode == "paper":
            return
        if self.account != execution.account:
            raise ValueError(
                f"mode live: expected trading.account to name the account that may trade, "
                f"{execution.account!r}, found {self.account!r}"
            )
        for name in ("key", "secret"):
            if getattr(execution.venue, name) is None:
                raise ValueError(
                    f"mode live: expected execution.venue.{name} to say where the venue's {name} "
                    f"is, such as env:VENUE_{name.upper()}, found none"
                )
