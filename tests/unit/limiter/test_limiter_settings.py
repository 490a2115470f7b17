"""What can be configured about the limiter, and what is refused."""

from pathlib import Path

import pytest

from goalkick.common.adapters.budget.http import HttpBudget
from goalkick.common.adapters.budget.memory import MemoryBudget
from goalkick.common.adapters.budget.settings import (
    BudgetSettings,
    LimitSettings,
    adjusted,
    open_budget,
)
from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.core.budget.venues import VENUES
from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_SECOND
from goalkick.limiter.service import main
from goalkick.limiter.settings import LimiterSettings


def test_a_limit_can_be_changed_in_amount_and_window_and_nothing_else_changes() -> None:
    changes = {"binance": {"weight": LimitSettings(amount=1200, window=30 * NS_PER_SECOND)}}
    table = adjusted(VENUES, changes)
    weight = table["binance"].limit("weight")
    assert (weight.amount, weight.window_ns) == (1200, 30 * NS_PER_SECOND)
    assert weight.paced
    assert table["binance"].limit("orders_10s") == VENUES["binance"].limit("orders_10s")
    assert table["binance"].calls == VENUES["binance"].calls
    assert table["bybit"] is VENUES["bybit"]


def test_what_is_not_said_stays_as_in_the_table() -> None:
    table = adjusted(VENUES, {"binance": {"weight": LimitSettings(amount=1200)}})
    assert table["binance"].limit("weight").window_ns == NS_PER_MINUTE


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"binanse": {}}, "expected a venue among binance, bybit, found 'binanse'"),
        ({"binance": {"wait": LimitSettings()}}, "limits.binance: expected a limit among weight"),
    ],
)
def test_an_unknown_venue_or_limit_is_refused(
    changes: dict[str, dict[str, LimitSettings]], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        adjusted(VENUES, changes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("limiter:\n  port: 70000\n", "limiter.port"),
        ("limiter:\n  lease: 1h\n", "limiter.lease"),
        ("limiter:\n  limits:\n    binance:\n      weight:\n        amount: 0\n", "amount"),
        ("limiter:\n  port: 0\n  limits:\n    nowhere: {}\n", "nowhere"),
    ],
)
def test_wrong_settings_end_the_program_with_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    file = tmp_path / "goalkick.yaml"
    file.write_text(text)
    assert main(["--config", str(file)]) == 2
    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("goalkick limiter: ")
    assert said in error


def test_defaults_change_nothing() -> None:
    assert adjusted(VENUES, LimiterSettings().limits) == dict(VENUES)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (BudgetSettings(), MemoryBudget),
        (BudgetSettings(limiter="http://127.0.0.1:9", address="a"), HttpBudget),
    ],
)
async def test_without_a_limiter_a_process_keeps_its_own_budget(
    settings: BudgetSettings, kind: type
) -> None:
    budget = open_budget(settings, SystemClock())
    assert isinstance(budget, kind)
    await budget.close()


async def test_a_process_alone_follows_the_changed_table() -> None:
    changes = {"bybit": {"orders": LimitSettings(amount=3)}}
    budget = open_budget(BudgetSettings(limits=changes), SystemClock())
    with pytest.raises(InvalidDataError, match="at most 3 calls of order"):
        await budget.acquire("bybit", "order", priority="open", count=4)
    await budget.close()
