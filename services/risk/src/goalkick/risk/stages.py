"""How far a strategy has come: from one that is only watched to one that trades all of its size."""

from decimal import Decimal

from goalkick.common.events.order import RefusalCode
from goalkick.common.values.ids import StrategyId
from goalkick.common.values.money import ZERO, plain, round_down
from goalkick.risk.checks import Refusal
from goalkick.risk.settings import StrategyLimits
from goalkick.risk.state import Account, Book


def not_traded(limits: StrategyLimits, live: bool) -> Refusal | None:
    """Whether a strategy's stage keeps it from trading.

    Args:
        limits: the strategy's.
        live: whether money is real.
    """
    if limits.stage == "shadow" or (limits.stage == "paper" and live):
        detail = f"stage {limits.stage}: expected a later stage to trade"
        return Refusal(RefusalCode.STAGE, f"{detail} {'live' if live else 'on paper'}", {})
    return None


def share_of(limits: StrategyLimits, wanted: Decimal, book: Book) -> Decimal:
    """What is granted of a signed quantity, in whole lots."""
    if limits.stage != "canary" or book.rules is None:
        return wanted
    return round_down(wanted * limits.canary_share, book.rules.lot_size)


def beyond_limit(
    limits: StrategyLimits, strategy: StrategyId, wanted: Decimal, book: Book, account: Account
) -> Refusal | None:
    """Whether a strategy would want more than it may hold.

    Args:
        limits: the strategy's.
        strategy: which.
        wanted: the signed quantity that it is to want of `book`'s instrument.
        book: the instrument's.
        account: all of it.
    """
    if limits.max_exposure is None:
        return None
    exposure = abs(wanted) * book.mark
    for other in account.books.values():
        slot = other.slots.get(strategy)
        if other is not book and slot is not None:
            exposure += abs(slot.wanted) * other.mark
    equity = account.equity
    limit = max(equity, ZERO) * limits.max_exposure
    if exposure <= limit:
        return None
    return Refusal(
        RefusalCode.STRATEGY_CAP,
        f"expected the strategy to want at most {plain(limits.max_exposure)} x equity",
        {"exposure": exposure, "limit": limit, "equity": equity},
    )
