"""What the log says of a core's decisions, a line each, for people who search.

The log is for reading alone: what was decided stands on the topics, exactly and for good.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog

from goalkick.common.events.base import Event
from goalkick.common.events.control import TradingHalted, TradingResumed
from goalkick.common.events.order import OrderApproved, OrderRefused, OrderUnknown
from goalkick.common.values.money import plain

log = structlog.get_logger()


def tell(events: Iterable[Event]) -> None:
    """Writes a line for each approval, refusal, halt and doubt; passes over the rest.

    To be called when they are on their way: a line takes some 50 µs.
    """
    for event in events:
        line = _LINES.get(type(event))
        if line is not None:
            line(event)


def _approved(event: OrderApproved) -> None:
    log.info("order approved", **_order(event), order=event.order, kind=event.kind.value)


def _refused(event: OrderRefused) -> None:
    log.info("order refused", **_order(event), code=event.code.value, reason=event.detail)


def _unknown(event: OrderUnknown) -> None:
    log.warning(
        "order's fate is unknown",
        account=event.account,
        instrument=event.instrument,
        order=event.order,
        reason=event.reason,
    )


def _halted(event: TradingHalted) -> None:
    log.warning("trading halted", **_control(event))


def _resumed(event: TradingResumed) -> None:
    log.info("trading resumed", **_control(event))


def _order(event: OrderApproved | OrderRefused) -> dict[str, str]:
    return {
        "account": event.account,
        "strategy": event.strategy,
        "instrument": event.instrument,
        "side": event.side.value,
        "quantity": plain(event.quantity),
        "cause": event.cause,
    }


def _control(event: TradingHalted | TradingResumed) -> dict[str, str]:
    return {"scope": event.scope, "issuer": event.issuer, "reason": event.reason}


_LINES: Mapping[type[Event], Callable[[Any], None]] = {
    OrderApproved: _approved,
    OrderRefused: _refused,
    OrderUnknown: _unknown,
    TradingHalted: _halted,
    TradingResumed: _resumed,
}
"""Kind of event -> what writes its line; most kinds have none."""
