"""The only place where an `OrderApproved` is made (a test of the architecture sees to it)."""

from decimal import Decimal

from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderApproved
from goalkick.common.values.ids import (
    AccountId,
    EventId,
    InstrumentId,
    StrategyId,
    client_order_id,
    derive_id,
)


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
) -> OrderApproved:
    """A market order for `quantity` (signed, base currency), with an id derived from its cause."""
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
        reduce_only=reduce_only,
        expires_at_ns=expires_at_ns,
        reason=reason,
    )
