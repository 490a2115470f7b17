"""Protective exits: stop-loss, take-profit, trailing stop. Pure functions of a book and a bar.

A bar's high and low are looked at from the bar after the entry on: the entry's own bar may have
been there before the entry was.
"""

from goalkick.common.events.market import BarClosed
from goalkick.common.values.money import ONE, plain
from goalkick.risk.settings import RiskSettings
from goalkick.risk.state import Book


def exit_reason(book: Book, bar: BarClosed, settings: RiskSettings) -> str:
    """Why the position has to end at this bar; "" if it may stay. Updates the best price.

    The trailing stop compares with the best price before this bar: within a bar nobody knows
    whether the high came before the low.
    """
    average, best = book.average, book.best
    if average is None or best is None:
        return ""
    long = book.position > 0
    adverse, favourable = (bar.low, bar.high) if long else (bar.high, bar.low)
    sign = 1 if long else -1
    if settings.stop_loss is not None:
        level = average * (ONE - sign * settings.stop_loss)
        if (adverse - level) * sign <= 0:
            return f"stop-loss: {plain(adverse)} beyond {plain(level)}"
    if settings.trailing_stop is not None:
        level = best * (ONE - sign * settings.trailing_stop)
        if (adverse - level) * sign <= 0:
            return f"trailing stop: {plain(adverse)} beyond {plain(level)}"
    if settings.take_profit is not None:
        level = average * (ONE + sign * settings.take_profit)
        if (favourable - level) * sign >= 0:
            return f"take-profit: {plain(favourable)} beyond {plain(level)}"
    if (favourable - best) * sign > 0:
        book.best = favourable
    return ""
