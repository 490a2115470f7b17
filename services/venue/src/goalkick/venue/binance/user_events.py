"""What a client hears of its account: orders, fills, balances."""

from goalkick.common.values.money import ZERO
from goalkick.venue.binance.shapes import (
    STATUSES,
    Json,
    amount,
    expiry_reason,
    milliseconds,
)
from goalkick.venue.binance.symbols import Symbols
from goalkick.venue.engine.model import (
    BalanceChanged,
    Happening,
    Order,
    OrderChanged,
    Status,
)

_EXECUTIONS = {
    Status.CANCELLED: "CANCELED",
    Status.EXPIRED: "EXPIRED",
    Status.EXPIRED_IN_MATCH: "TRADE_PREVENTION",
    Status.REJECTED: "REJECTED",
}


def account_of(happening: Happening) -> str | None:
    """Whose account it concerns; None: nobody's."""
    if isinstance(happening, OrderChanged):
        return happening.order.account
    return happening.account if isinstance(happening, BalanceChanged) else None


def events_of(happening: Happening, symbols: Symbols, now_ns: int) -> list[Json]:
    """The user events of a happening, in order; none for what concerns nobody's account."""
    if isinstance(happening, OrderChanged):
        return [_execution_report(happening, symbols.name(happening.order.instrument), now_ns)]
    if isinstance(happening, BalanceChanged):
        return [*_balance_updates(happening, now_ns), _account_position(happening, now_ns)]
    return []


def _execution_report(change: OrderChanged, symbol: str, now_ns: int) -> Json:
    order, fill = change.order, change.fill
    cancelled = order.status is Status.CANCELLED and bool(change.cancel_id)
    report: Json = {
        "e": "executionReport",
        "E": milliseconds(now_ns),
        "s": symbol,
        "c": change.cancel_id if cancelled else order.client_order_id,
        "S": order.side.name,
        "o": order.kind.name,
        "f": order.time_in_force.name,
        "q": amount(order.quantity),
        "p": amount(order.price),
        "P": amount(order.stop_price),
        "F": amount(ZERO),
        "g": -1,
        "C": order.client_order_id if cancelled else "",
        "x": _execution(change),
        "X": STATUSES[order.status],
        "r": "NONE",
        "i": order.order_id,
        "l": amount(fill.quantity if fill else None),
        "z": amount(order.executed),
        "L": amount(fill.price if fill else None),
        "n": amount(fill.fee) if fill else "0",
        "N": fill.fee_asset if fill else None,
        "T": milliseconds(fill.time_ns if fill else order.updated_ns),
        "t": fill.trade_id if fill else -1,
        "I": fill.execution_id if fill else -1,
        "w": order.is_open and order.status is not Status.PENDING,
        "m": fill.maker if fill else False,
        "M": False,
        "O": milliseconds(order.created_ns),
        "Z": amount(order.quote_executed),
        "Y": amount(fill.quote_quantity if fill else None),
        "Q": amount(order.quote_quantity),
        "V": order.self_trade.name,
    }
    return {**report, **_conditional(order)}


def _execution(change: OrderChanged) -> str:
    if change.fill:
        return "TRADE"
    return "REPLACED" if change.amended else _EXECUTIONS.get(change.order.status, "NEW")


def _conditional(order: Order) -> Json:
    fields: Json = {}
    if order.working_ns:
        fields["W"] = milliseconds(order.working_ns)
    if reason := expiry_reason(order):
        fields["eR"] = reason
    return fields


def _balance_updates(change: BalanceChanged, now_ns: int) -> list[Json]:
    if change.delta is None:
        return []
    return [
        {
            "e": "balanceUpdate",
            "E": milliseconds(now_ns),
            "a": asset,
            "d": amount(change.delta),
            "T": milliseconds(change.time_ns),
        }
        for asset in change.balances
    ]


def _account_position(change: BalanceChanged, now_ns: int) -> Json:
    return {
        "e": "outboundAccountPosition",
        "E": milliseconds(now_ns),
        "u": milliseconds(change.time_ns),
        "B": [
            {"a": asset, "f": amount(balance.free), "l": amount(balance.locked)}
            for asset, balance in change.balances.items()
        ],
    }
