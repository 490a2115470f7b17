"""The one section that says whether money is real."""

from typing import Literal

from pydantic import Field

from goalkick.common.config.types import Settings
from goalkick.common.values.ids import AccountId


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

    @property
    def live(self) -> bool:
        """Whether orders go to a real venue."""
        return self.mode == "live"
