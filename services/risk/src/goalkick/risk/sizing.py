"""How large: from a target in [-1, 1] (float64) to an exact quantity.

This is one of the two places where floats and exact money meet; nothing else in risk takes a
float from a signal.
"""

from decimal import Decimal

from goalkick.common.values.money import ZERO, decimal_from_float, round_down
from goalkick.risk.settings import RiskSettings
from goalkick.risk.state import Book


def sized(target: float, book: Book, equity: Decimal, settings: RiskSettings) -> Decimal | None:
    """The signed position for `target`, rounded down to whole lots.

    Args:
        target: in [-1, 1].
        book: with rules and a positive price.
        equity: of the account, quote currency; nothing is bought with less than none.
        settings: the method and its figures.

    Returns:
        Base currency; None when the instrument's volatility is not known yet.
    """
    assert book.rules is not None and book.price  # checked before  # noqa: S101, PT018
    share = decimal_from_float(target)
    if settings.sizing == "fixed_quantity":
        return round_down(settings.quantity * share, book.rules.lot_size)
    fraction = settings.fraction
    if settings.sizing == "volatility_target":
        volatility = book.volatility
        if volatility is None:
            return None
        if not volatility:
            # A price that never moved says nothing about how it will.
            return None
        fraction = settings.volatility / decimal_from_float(volatility)
        fraction = min(fraction, settings.max_instrument_exposure)
    wanted = max(equity, ZERO) * fraction * share / book.price
    return round_down(wanted, book.rules.lot_size)
