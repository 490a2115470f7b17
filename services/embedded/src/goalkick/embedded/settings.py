"""What can be configured: one section for each service, and what they must agree on."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import Field, ValidationError, model_validator

from goalkick.common.config.trading import TradingSettings
from goalkick.common.config.types import Settings
from goalkick.common.core.errors import SettingsError
from goalkick.common.ports.model import Model
from goalkick.execution.settings import ExecutionSettings, FillModel, check_trading
from goalkick.feature.definitions import parse
from goalkick.feature.settings import FeatureSettings
from goalkick.prediction.settings import PredictionSettings
from goalkick.risk.settings import RiskSettings
from goalkick.strategy.core import StrategyCore
from goalkick.strategy.discovery import StrategyType, discover
from goalkick.strategy.settings import StrategyRun, StrategySettings

S = TypeVar("S", bound=Settings)

_STOPS = ("stop_loss", "take_profit", "trailing_stop", "max_daily_loss", "max_drawdown")
"""What risk does of itself, by the names of its settings."""


class GoalkickSettings(Settings):
    """The whole configuration."""

    trading: TradingSettings = Field(default_factory=TradingSettings)
    feature: FeatureSettings = Field(default_factory=FeatureSettings)
    prediction: PredictionSettings = Field(default_factory=PredictionSettings)
    strategy: StrategySettings = Field(default_factory=StrategySettings)
    risk: RiskSettings = Field(default_factory=RiskSettings)
    execution: ExecutionSettings = Field(default_factory=ExecutionSettings)

    @model_validator(mode="after")
    def _one_account(self) -> "GoalkickSettings":
        for name in ("account", "currency"):
            risk, execution = getattr(self.risk, name), getattr(self.execution, name)
            if risk != execution:
                raise ValueError(
                    f"expected risk.{name} and execution.{name} to be the same, "
                    f"found {risk!r} and {execution!r}"
                )
        return self

    @model_validator(mode="after")
    def _live_is_said_twice(self) -> "GoalkickSettings":
        check_trading(self.trading, self.execution)
        return self


def resolved(settings: GoalkickSettings, *, models: Sequence[Model] = ()) -> GoalkickSettings:
    """The same settings with every feature served that a strategy or a model needs.

    Args:
        settings: as configured.
        models: what will be served.

    Raises:
        SettingsError: a strategy or a parameter is unknown, or what it needs is no feature.
    """
    names = set(settings.feature.features)
    for model in models:
        names.update(model.manifest.served_features)
    catalogue = discover(settings.strategy.folder)
    for name, run in settings.strategy.strategies.items():
        names.update(_needs(name, run, catalogue))
    for feature in sorted(names):
        parse(feature)
    served = settings.feature.model_copy(update={"features": tuple(sorted(names))})
    return settings.model_copy(update={"feature": served})


def _needs(name: str, run: StrategyRun, catalogue: Mapping[str, StrategyType]) -> Sequence[str]:
    needs = StrategyCore(StrategySettings(strategies={name: run}), catalogue).needs
    for need in needs:
        try:
            parse(need)
        except SettingsError as error:
            raise SettingsError(f"strategy {name} needs {error}") from None
    return needs


def backtest_settings(
    base: GoalkickSettings,
    *,
    strategy: str | None = None,
    params: Mapping[str, Any] | None = None,
    quantity: Decimal | None = None,
    cash: Decimal | None = None,
    fee_bps: Decimal | None = None,
    slippage_bps: Decimal | None = None,
    fill: FillModel | None = None,
    stops: bool = True,
    warmup: int | None = None,
    currency: str | None = None,
) -> GoalkickSettings:
    """The settings of a backtest: `base` with what the command line says; None changes nothing.

    Args:
        base: as configured.
        strategy: the one strategy that runs, instead of those configured.
        params: its parameters.
        quantity: fixed size of a full target, base currency.
        cash: opening balance.
        fee_bps: fee of every fill, in basis points of notional, whatever the instrument says.
        slippage_bps: see `ExecutionSettings`.
        fill: see `ExecutionSettings`.
        stops: False turns off everything that ends or halts trading besides the strategy:
            stop-loss, take-profit, trailing stop, daily loss and drawdown limits.
        warmup: bars to see before the first signal.
        currency: of the account.

    Raises:
        SettingsError: a value is out of range, or nothing would run.
    """
    risk: dict[str, Any] = {}
    execution: dict[str, Any] = {}
    if quantity is not None:
        risk |= {"sizing": "fixed_quantity", "quantity": quantity}
    if not stops:
        risk |= dict.fromkeys(_STOPS)
    if currency is not None:
        risk["currency"] = execution["currency"] = currency
    for name, value in (
        ("initial_cash", cash),
        ("fee_bps", fee_bps),
        ("slippage_bps", slippage_bps),
        ("fill", fill),
    ):
        if value is not None:
            execution[name] = value
    return _changed(
        base,
        risk=_changed(base.risk, **risk),
        execution=_changed(base.execution, **execution),
        strategy=_strategies(base.strategy, strategy, params, warmup),
    )


def _strategies(
    base: StrategySettings,
    strategy: str | None,
    params: Mapping[str, Any] | None,
    warmup: int | None,
) -> StrategySettings:
    """One strategy alone, or all that are configured."""
    if strategy is not None:
        alone = StrategyRun(strategy=strategy, params=dict(params or {}))
        runs = {strategy: alone}
    elif params:
        raise SettingsError("expected --strategy along with parameters, found none")
    else:
        runs = base.strategies
    if not runs:
        raise SettingsError("expected a strategy to test, found none; see `goalkick strategies`")
    if warmup is not None:
        runs = {name: _changed(run, warmup=warmup) for name, run in runs.items()}
    return _changed(base, strategies=runs)


def _changed(settings: S, **changes: Any) -> S:
    """A copy with some values changed, checked like a new one.

    Raises:
        SettingsError: a value is out of its range.
    """
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    try:
        return type(settings)(**(values | changes))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        found = f", found {first['input']}" if place else ""
        raise SettingsError(f"{place or 'settings'}: {message}{found}") from None
