"""What the market's events say to an algo."""

from goalkick.common.events.base import Event
from goalkick.common.events.control import TimeAdvanced
from goalkick.common.events.market import BarClosed, QuoteChanged, TradePrinted
from goalkick.execution.algos.model import Heard, QuoteSeen, TimePassed, VolumeSeen


def heard_from(event: Event) -> Heard | None:
    """The same in an algo's words; None: it says nothing to one.

    Events must be of the parent's own instrument. Where both trades and bars come, what both tell
    of is counted once: a span that reaches back behind what was counted is left out.
    """
    match event:
        case TradePrinted():
            return VolumeSeen(
                time_ns=event.time_ns,
                from_ns=event.time_ns,
                quantity=event.quantity,
                price=event.price,
            )
        case BarClosed():
            return VolumeSeen(
                time_ns=event.time_ns,
                from_ns=event.open_time_ns,
                quantity=event.volume,
                price=event.close,
            )
        case QuoteChanged():
            return QuoteSeen(time_ns=event.time_ns, bid=event.bid, ask=event.ask)
        case TimeAdvanced():
            return TimePassed(time_ns=event.time_ns)
    return None
