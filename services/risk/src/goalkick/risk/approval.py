"""The only place where an `OrderApproved` is made (a test of the architecture sees to it)."""

from decimal import Decimal

import msgspec

from goalkick.common.events.base import Side
from goalkick.common.events.order import AlgoOrder, OrderApproved, OrderKind
from goalkick.common.values.ids import (
    AccountId,
    EventId,
    InstrumentId,
    StrategyId,
    client_order_id,
    derive_id,
)


class Work(msgspec.Struct, frozen=True):
    """How an order is to be worked, instead of being sent as it is.

    Attributes:
        algo: by what.
        limit_price: beyond which it may not trade, in quote currency; None: no limit.
        enters: sign of the trades that bring the position about which it is for: +1 or -1; 0 of
            one that only leaves a position.
    """

    algo: AlgoOrder
    limit_price: Decimal | None
    enters: int


def approve(
    *,
    time_ns: int,
    account: AccountId,
    cause: EventId,
    strategy: StrategyId,
    instrument: InstrumentId,
    quantity: Decimal,
    reduce_only: bool,
    expires_at_ns: int,
    reason: str,
    work: Work | None = None,
) -> OrderApproved:
    """An order for `quantity` (signed, base currency), with an id derived from its cause.

    It is a market order, unless it is to be worked, perhaps within a limit.
    """
    limit_price = None if work is None else work.limit_price
    order = derive_id(f"{account}|{cause}", "order")
    return OrderApproved(
        time_ns=time_ns,
        account=account,
        order=order,
        cause=cause,
        client_order_id=client_order_id(order),
        strategy=strategy,
        instrument=instrument,
        side=Side.BUY if quantity > 0 else Side.SELL,
        quantity=abs(quantity),
        kind=OrderKind.MARKET if limit_price is None else OrderKind.LIMIT,
        limit_price=limit_price,
        reduce_only=reduce_only,
        expires_at_ns=expires_at_ns,
        reason=reason,
        algo=None if work is None else work.algo,
    )
