"""Loss limits of the whole account: when new risk stops, and when it may go on."""

from collections.abc import Iterator

from goalkick.common.values.money import ONE, ZERO
from goalkick.common.values.time import NS_PER_DAY
from goalkick.risk.settings import RiskSettings
from goalkick.risk.state import Account

DAILY, DRAWDOWN = "daily loss limit", "drawdown limit"


def begin_day(account: Account, settings: RiskSettings) -> bool:
    """Starts a new UTC day; says whether that ends a halt."""
    account.day_ns = account.now_ns // NS_PER_DAY * NS_PER_DAY
    account.day_equity = account.equity
    ended, account.halts.daily = account.halts.daily, False
    set_floor(account, settings)
    return ended


def set_floor(account: Account, settings: RiskSettings) -> None:
    """Works out the equity below which a limit that is not reached yet would be."""
    floors = []
    if settings.max_daily_loss is not None and not account.halts.daily:
        floors.append(account.day_equity * (ONE - settings.max_daily_loss))
    if settings.max_drawdown is not None and not account.halts.drawdown:
        floors.append(account.peak * (ONE - settings.max_drawdown))
    account.floor = max(floors) if floors and account.opened else None


def new_halts(account: Account, settings: RiskSettings) -> Iterator[str]:
    """Looks at equity now; yields the limits that are newly reached."""
    equity = account.equity
    if equity > account.peak:
        account.peak = equity
        set_floor(account, settings)
        return
    if account.floor is None or equity > account.floor:
        return
    daily, drawdown = settings.max_daily_loss, settings.max_drawdown
    if daily is not None and equity <= account.day_equity * (ONE - daily):
        account.halts.daily = True
        yield DAILY
    if (
        drawdown is not None
        and not account.halts.drawdown
        and equity <= account.peak * (ONE - drawdown)
    ):
        account.halts.drawdown = True
        yield DRAWDOWN
    set_floor(account, settings)


def resume(account: Account, settings: RiskSettings) -> None:
    """A person says to go on: both limits count from the present equity."""
    account.halts.operator.clear()
    account.halts.daily = account.halts.drawdown = False
    account.peak = max(account.equity, ZERO)
    account.day_equity = account.peak
    set_floor(account, settings)
