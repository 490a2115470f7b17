"""What the services must agree on, and which features get served."""

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from goalkick.common.core.errors import SettingsError
from goalkick.embedded.settings import GoalkickSettings, backtest_settings, resolved


def configured(**sections: object) -> GoalkickSettings:
    return GoalkickSettings.model_validate(sections)


def running(**params: object) -> dict[str, object]:
    return {"strategies": {"mine": {"strategy": "ema_cross", "params": params}}}


def test_serves_what_is_listed_and_what_strategies_need() -> None:
    settings = configured(
        feature={"features": ["rsi_14", "ema_10"]}, strategy=running(fast=10, slow=30)
    )
    assert resolved(settings).feature.features == ("ema_10", "ema_30", "rsi_14")


def test_resolving_twice_changes_nothing_more() -> None:
    once = resolved(configured(strategy=running()))
    assert resolved(once) == once


def test_refuses_a_feature_that_does_not_exist_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"feature 'emaa_10'.*did you mean ema_<length>\?"):
        resolved(configured(feature={"features": ["emaa_10"]}))


def test_says_which_strategy_needs_a_feature_that_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "hopeful.py").write_text(
        "from goalkick.common.strategy import Params, Strategy\n"
        "class Hopeful(Strategy[Params]):\n"
        "    def needs(self): return ('rsj_14',)\n"
    )
    settings = configured(
        strategy={"folder": tmp_path, "strategies": {"mine": {"strategy": "hopeful"}}}
    )
    with pytest.raises(SettingsError, match=r"strategy mine needs feature 'rsj_14'.*rsi_<length>"):
        resolved(settings)


def test_refuses_an_unknown_strategy_with_the_nearest() -> None:
    settings = configured(strategy={"strategies": {"mine": {"strategy": "ema_cros"}}})
    with pytest.raises(SettingsError, match="did you mean ema_cross"):
        resolved(settings)


@pytest.mark.parametrize("name", ["account", "currency"])
def test_risk_and_execution_must_speak_of_the_same_money(name: str) -> None:
    with pytest.raises(ValidationError, match=f"expected risk.{name} and execution.{name}"):
        configured(risk={name: "OTHER"})
    assert configured(risk={name: "OTHER"}, execution={name: "OTHER"})


KEYS = {"venue": {"key": "env:KEY", "secret": "env:SECRET"}}


@pytest.mark.parametrize(
    ("trading", "execution", "missing"),
    [
        ({}, KEYS, r"expected trading\.account to name .* 'main', found None"),
        ({"account": "other"}, KEYS, "'main', found 'other'"),
        ({"account": "main"}, {}, r"expected execution\.venue\.key"),
        ({"account": "main"}, {"venue": {"key": "env:KEY"}}, r"expected execution\.venue\.secret"),
    ],
)
def test_live_trading_must_be_said_twice_and_with_keys(
    trading: dict[str, object], execution: dict[str, object], missing: str
) -> None:
    with pytest.raises(ValidationError, match=missing):
        configured(trading={"mode": "live", **trading}, execution=execution)
    assert configured(trading={"mode": "live", "account": "main"}, execution=KEYS)


def test_trading_is_on_paper_unless_told_otherwise() -> None:
    assert GoalkickSettings().trading.mode == "paper"


def test_backtest_options_become_settings() -> None:
    settings = backtest_settings(
        GoalkickSettings(),
        strategy="ema_cross",
        params={"fast": 5, "slow": 30},
        quantity=Decimal(2),
        cash=Decimal(5000),
        fee_bps=Decimal(7),
        slippage_bps=Decimal(3),
        fill="path",
        stops=False,
        warmup=30,
        currency="USD",
    )
    (run,) = settings.strategy.strategies.values()
    assert (run.strategy, run.params, run.warmup) == ("ema_cross", {"fast": 5, "slow": 30}, 30)
    risk, execution = settings.risk, settings.execution
    assert (risk.sizing, risk.quantity, risk.currency) == ("fixed_quantity", Decimal(2), "USD")
    assert (risk.stop_loss, risk.max_daily_loss, risk.max_drawdown) == (None, None, None)
    assert (execution.initial_cash, execution.fee_bps) == (Decimal(5000), Decimal(7))
    assert (execution.slippage_bps, execution.fill) == (Decimal(3), "path")
    assert execution.currency == "USD"


def test_options_that_are_not_given_leave_the_settings_alone() -> None:
    base = configured(strategy=running(), risk={"stop_loss": "0.1"})
    assert backtest_settings(base) == base
    assert backtest_settings(base, warmup=7).strategy.strategies["mine"].warmup == 7
