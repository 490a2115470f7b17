"""What can be configured about risk: how large, how much in all, and when to stop."""

from typing import Literal, Self

from pydantic import Field, model_validator

from goalkick.common.config.types import Duration, Exact, Settings
from goalkick.common.values.ids import AccountId, StrategyId
from goalkick.common.values.money import ONE, ZERO
from goalkick.risk.order_rules import OrderRule, collisions

Sizing = Literal["fixed_quantity", "fixed_fraction", "volatility_target"]


Stage = Literal["shadow", "paper", "canary", "live"]


class StrategyLimits(Settings):
    """How far one strategy has come, and what it may hold at most."""

    stage: Stage = Field(
        "live",
        description="`shadow`: its signals are answered and never traded; `paper`: traded on paper "
        "only; `canary`: with `canary_share` of the size; `live`: with all of it",
    )
    canary_share: Exact = Field(
        Exact("0.1"), gt=ZERO, le=ONE, description="of the size, for stage canary"
    )
    max_exposure: Exact | None = Field(
        None,
        gt=ZERO,
        description="sum of what it wants of all instruments, over equity; none: the account's "
        "limits only",
    )


class RiskSettings(Settings):
    """The risk service. Fractions are of the account's equity: 0.1 is a tenth."""

    account: AccountId = Field(AccountId("main"), description="whose risk this is")
    currency: str = Field("USDT", description="the account's cash; all limits are in it")

    sizing: Sizing = Field(
        "fixed_fraction",
        description="size of a full target: `fixed_quantity` of the base currency, "
        "`fixed_fraction` of equity, or `volatility_target` of equity",
    )
    quantity: Exact = Field(ONE, gt=ZERO, description="base currency; for fixed_quantity")
    fraction: Exact = Field(
        Exact("0.1"), gt=ZERO, le=Exact(10), description="of equity; for fixed_fraction"
    )
    volatility: Exact = Field(
        Exact("0.2"),
        gt=ZERO,
        le=Exact(10),
        description="annualised volatility that one position may add; for volatility_target",
    )

    max_instrument_exposure: Exact = Field(
        ONE, gt=ZERO, description="worst-case notional of one instrument over equity"
    )
    max_gross_exposure: Exact = Field(
        ONE, gt=ZERO, description="sum of all worst-case notionals over equity"
    )
    max_net_exposure: Exact = Field(
        ONE, gt=ZERO, description="longs less shorts, in absolute value, over equity"
    )
    max_positions: int = Field(10, ge=1, description="instruments held or being bought at once")
    allow_short: bool = Field(False, description="whether a position may be negative")
    allow_borrowing: bool = Field(False, description="whether cash may become negative")

    stage: Stage = Field(
        "live", description="of strategies that `strategies` does not name; the same words"
    )
    strategies: dict[StrategyId, StrategyLimits] = Field(
        default_factory=dict,
        description="strategies with limits of their own: a strategy's configured name -> `stage`, "
        "`canary_share`, `max_exposure`",
    )

    orders: dict[str, OrderRule] = Field(
        default_factory=dict,
        description="how orders are worked: any name -> which orders, and by which algo; all "
        "others are market orders",
    )

    stop_loss: Exact | None = Field(
        Exact("0.05"), gt=ZERO, lt=ONE, description="loss from the average price that ends it"
    )
    take_profit: Exact | None = Field(
        None, gt=ZERO, description="gain from the average price that ends it"
    )
    trailing_stop: Exact | None = Field(
        None, gt=ZERO, lt=ONE, description="fall from the best price since entry that ends it"
    )

    max_daily_loss: Exact | None = Field(
        Exact("0.05"),
        gt=ZERO,
        lt=ONE,
        description="loss since 00:00 UTC that stops new risk until the next day",
    )
    max_drawdown: Exact | None = Field(
        Exact("0.2"),
        gt=ZERO,
        lt=ONE,
        description="fall from the highest equity that stops new risk until somebody resumes it",
    )
    max_data_age: Duration | None = Field(
        None,
        description="no new risk on a price older than this; none: two bars' length",
    )

    @model_validator(mode="after")
    def _one_rule_for_an_order(self) -> Self:
        for one, other in collisions(self.orders):
            raise ValueError(
                f"orders: expected rules for different orders, found {one} and {other} for the "
                "same strategy and instrument"
            )
        return self
