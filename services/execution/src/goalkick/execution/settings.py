"""What can be configured about execution."""

from typing import Literal

from pydantic import Field

from goalkick.common.config.types import Exact, Settings
from goalkick.common.values.ids import AccountId
from goalkick.common.values.money import ONE, ZERO

FillModel = Literal["next_open", "touch", "path"]


class ExecutionSettings(Settings):
    """The execution service and its paper venue."""

    account: AccountId = Field(AccountId("main"), description="whose orders these are")
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
