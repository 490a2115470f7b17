"""Finding strategies."""

from pathlib import Path

import pytest

from goalkick.common.core.errors import SettingsError
from goalkick.strategy.discovery import discover

OWN = """
from goalkick.common.strategy import Params, Strategy

class BuyAndHold(Strategy[Params]):
    '''Always long.'''
"""


def test_finds_the_strategies_that_come_with_goalkick() -> None:
    assert {"breakout", "ema_cross", "forecast_threshold", "rsi_reversion"} <= set(discover())


def test_finds_a_strategy_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    assert discover(tmp_path)["buy_and_hold"].__doc__ == "Always long."


def test_refuses_two_strategies_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(OWN)
    (tmp_path / "two.py").write_text(OWN)
    with pytest.raises(SettingsError, match=r"buy_and_hold.*rename"):
        discover(tmp_path)


def test_names_the_file_that_cannot_be_imported(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import nothing_of_that_name")
    with pytest.raises(SettingsError, match=r"broken.py.*ModuleNotFoundError"):
        discover(tmp_path)


def test_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expected a folder"):
        discover(tmp_path / "nowhere")
