"""How an approved order is worked: which rule of the settings it falls under, and what that means.

Pure. Risk's own protective exits fall under no rule: they go to the market at once.
"""

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from goalkick.common.config.algos import PARAMS
from goalkick.common.events.base import Side
from goalkick.common.events.market import BarClosed, VenueStatus
from goalkick.common.events.order import AlgoOrder, OrderApproved
from goalkick.common.events.signal import Signal
from goalkick.common.values.ids import InstrumentId, StrategyId
from goalkick.common.values.money import ONE, ZERO, round_nearest
from goalkick.risk.approval import Work, approve
from goalkick.risk.order_rules import OrderRule, Orders
from goalkick.risk.settings import RiskSettings
from goalkick.risk.state import Book


def rule_for(
    settings: RiskSettings, strategy: StrategyId, instrument: InstrumentId, orders: Orders
) -> OrderRule | None:
    """The most specific rule that an order falls under; None: none."""
    found = [
        rule
        for rule in settings.orders.values()
        if rule.orders in (orders, "all" if orders in ("entries", "exits") else orders)
        and rule.strategy in (None, strategy)
        and rule.instrument in (None, instrument)
    ]
    return max(found, key=lambda rule: rule.rank, default=None)


def work_of(rule: OrderRule, book: Book, side: Side, arrival: Decimal, now_ns: int) -> Work:
    """What a rule means for one order.

    Args:
        rule: which it falls under.
        book: of its instrument, whose rules must be known.
        side: of the order.
        arrival: price that limits and exits are fractions of, and that its cost is measured
            against, in quote currency.
        now_ns: the present moment, UTC ns.
    """
    assert book.rules is not None  # `readiness` came first  # noqa: S101
    tick = book.rules.tick_size
    params: dict[str, Any] = dict(rule.params)
    held = side.sign if rule.algo == "bracket" else -side.sign
    if rule.stop is not None and rule.take_profit is not None:
        for name, share in (("stop_price", -rule.stop), ("take_profit", rule.take_profit)):
            # Of a price of a few ticks a large share rounds to no price at all.
            params[name] = max(round_nearest(arrival * (ONE + held * share), tick), tick)
    limit_price = None
    if rule.limit is not None:
        rounding = ROUND_FLOOR if side is Side.BUY else ROUND_CEILING
        ticks = arrival * (ONE + side.sign * rule.limit) / tick
        limit_price = ticks.to_integral_value(rounding) * tick
    algo = AlgoOrder(
        name=rule.algo,
        params=PARAMS[rule.algo].model_validate(params).model_dump_json(),
        arrival_price=arrival,
        end_ns=now_ns + rule.over,
    )
    return Work(algo, limit_price, 0 if rule.algo == "oco" else side.sign)


def work_for(
    settings: RiskSettings,
    signal: Signal,
    book: Book,
    quantity: Decimal,
    orders: Orders,
    now_ns: int,
) -> Work | None:
    """How an order for a signal is to be worked; None: not at all.

    Args:
        settings: with the rules.
        signal: what it is for.
        book: of its instrument.
        quantity: signed, base currency.
        orders: whether it enters or leaves.
        now_ns: the present moment, UTC ns.
    """
    rule = rule_for(settings, signal.strategy, signal.instrument, orders)
    if rule is None or not book.price:
        return None
    side = Side.BUY if quantity > ZERO else Side.SELL
    return work_of(rule, book, side, book.price, now_ns)


def turns(
    settings: RiskSettings, signal: Signal, book: Book, quantity: Decimal, reducing: bool
) -> bool:
    """Whether an order would turn a position round with a bracket.

    That leaves what it has entered, so it cannot end another position on its way.
    """
    if reducing or book.expected * quantity >= ZERO:
        return False
    rule = rule_for(settings, signal.strategy, signal.instrument, "entries")
    return rule is not None and rule.algo == "bracket"


def guard(settings: RiskSettings, book: Book, bar: BarClosed) -> Sequence[OrderApproved]:
    """A stop and a take-profit over a position, where a rule wants them and nothing is under way.

    Nothing is taken from what is expected: the position stays until the market says otherwise.
    """
    strategy = book.owner
    rule = rule_for(settings, strategy, bar.instrument, "positions")
    quantity = book.whole_lots(-book.position)
    doubt = book.unknown or book.stale or book.status is not VenueStatus.TRADING
    if rule is None or not (strategy and quantity) or doubt or not book.average:
        return ()
    side = Side.BUY if quantity > ZERO else Side.SELL
    work = work_of(rule, book, side, book.average, bar.time_ns)
    approved = approve(
        time_ns=bar.time_ns,
        account=settings.account,
        cause=bar.id,
        strategy=strategy,
        instrument=bar.instrument,
        quantity=quantity,
        reduce_only=True,
        expires_at_ns=0,
        reason="a stop and a take-profit over the position",
        work=work,
    )
    book.reserve(approved.order, ZERO, work.enters)
    return (approved,)
