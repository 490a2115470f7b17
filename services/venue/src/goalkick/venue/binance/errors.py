"""What Binance answers when it does not do it: codes and texts, verbatim.

Clients match on the texts, so a letter changed here is another error to them.
"""

from collections.abc import Mapping
from typing import Any

from goalkick.common.values.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND
from goalkick.venue.engine.model import Reason, Refused
from goalkick.venue.limits import BANNED, Rate, Refusal

NEW_ORDER_REJECTED, CANCEL_REJECTED = -2010, -2011
REPLACE_PARTLY_FAILED, REPLACE_FAILED = -2021, -2022

UNITS = ((NS_PER_DAY, "DAY"), (NS_PER_MINUTE, "MINUTE"), (NS_PER_SECOND, "SECOND"))
"""Names of the intervals of rate limits, the longest first."""

_FILTERS = {
    Reason.PRICE_FILTER: "PRICE_FILTER",
    Reason.PERCENT_PRICE: "PERCENT_PRICE_BY_SIDE",
    Reason.LOT_SIZE: "LOT_SIZE",
    Reason.MARKET_LOT_SIZE: "MARKET_LOT_SIZE",
    Reason.NOTIONAL: "NOTIONAL",
    Reason.MAX_NUM_ORDERS: "MAX_NUM_ORDERS",
    Reason.MAX_NUM_ALGO_ORDERS: "MAX_NUM_ALGO_ORDERS",
}

_ORDER_REFUSALS = {
    Reason.UNKNOWN_INSTRUMENT: (-1121, "Invalid symbol."),
    Reason.MARKET_CLOSED: (-1013, "Market is closed."),
    Reason.INSUFFICIENT_BALANCE: (
        NEW_ORDER_REJECTED,
        "Account has insufficient balance for requested action.",
    ),
    Reason.WOULD_TAKE: (NEW_ORDER_REJECTED, "Order would immediately match and take."),
    Reason.WOULD_TRIGGER: (NEW_ORDER_REJECTED, "Stop price would trigger immediately."),
    Reason.DUPLICATE_CLIENT_ID: (NEW_ORDER_REJECTED, "Duplicate order sent."),
    Reason.UNKNOWN_ORDER: (CANCEL_REJECTED, "Unknown order sent."),
    Reason.NO_LIQUIDITY: (
        NEW_ORDER_REJECTED,
        "Order book liquidity is less than symbol minimum quantity.",
    ),
    **{reason: (-1013, f"Filter failure: {name}") for reason, name in _FILTERS.items()},
}


class ApiError(Exception):
    """A request that is answered with an error.

    Attributes:
        code, msg: Binance's.
        status: HTTP status, or the `status` of the WebSocket API.
        data: further facts; None for none.
        headers: HTTP headers of the answer.
    """

    def __init__(
        self,
        code: int,
        msg: str,
        status: int = 400,
        *,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code} {msg}")
        self.code = code
        self.msg = msg
        self.status = status
        self.data = data
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """`{"code", "msg"}`, and `data` where there is any."""
        body: dict[str, Any] = {"code": self.code, "msg": self.msg}
        if self.data is not None:
            body["data"] = self.data
        return body


def refused_order(refused: Refused) -> ApiError:
    """What a client reads when the exchange refuses an order or a cancel."""
    code, msg = _ORDER_REFUSALS[refused.reason]
    return ApiError(code, msg)


def no_such_order() -> ApiError:
    """To a query of an order that there is not."""
    return ApiError(-2013, "Order does not exist.")


def bad_key_format() -> ApiError:
    """The key is missing, or cannot be one."""
    return ApiError(-2014, "API-key format invalid.", 401)


def unknown_key() -> ApiError:
    """Nobody has this key, or no longer."""
    return ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)


def bad_signature() -> ApiError:
    """The signature is not that of the bytes that were sent."""
    return ApiError(-1022, "Signature for this request is not valid.")


def outside_window() -> ApiError:
    """The request is older than its recvWindow."""
    return ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")


def ahead_of_time() -> ApiError:
    """The request comes from the future."""
    return ApiError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")


def missing(name: str) -> ApiError:
    """A mandatory parameter is not there."""
    return ApiError(
        -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    )


def neither(first: str, second: str) -> ApiError:
    """One of two must be there, and none is."""
    return ApiError(-1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")


def illegal(name: str, legal: str) -> ApiError:
    """A parameter does not have the characters that it must have."""
    return ApiError(
        -1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
    )


def invalid_data(name: str) -> ApiError:
    """A parameter is well-formed and cannot be meant."""
    return ApiError(-1130, f"Data sent for parameter '{name}' is not valid.")


def empty(name: str) -> ApiError:
    """An optional parameter is there, and says nothing."""
    return ApiError(-1105, f"Parameter '{name}' was empty.")


def not_required(name: str) -> ApiError:
    """A parameter is there that the other ones leave no place for."""
    return ApiError(-1106, f"Parameter '{name}' sent when not required.")


def too_precise(name: str) -> ApiError:
    """A number has more decimals than Binance takes."""
    return ApiError(-1111, f"Parameter '{name}' has too much precision.")


def bad_combination() -> ApiError:
    """Parameters that exclude each other."""
    return ApiError(-1128, "Combination of optional parameters invalid.")


def unread(read: int, sent: int) -> ApiError:
    """Parameters that the endpoint does not know."""
    return ApiError(
        -1104,
        f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.",
    )


def duplicated() -> ApiError:
    """A parameter came twice."""
    return ApiError(-1101, "Duplicate values for a parameter detected.")


def too_long(hours: int) -> ApiError:
    """The span of time that was asked for is too long."""
    return ApiError(-1127, f"More than {hours} hours between startTime and endTime.")


def bad_symbol() -> ApiError:
    """There is no such symbol."""
    return ApiError(-1121, "Invalid symbol.")


def interval_name(interval_ns: int) -> tuple[int, str]:
    """How rate limits name an interval: (10, "SECOND")."""
    unit_ns, name = next(one for one in UNITS if interval_ns % one[0] == 0)
    return interval_ns // unit_ns, name


def too_much_weight(refusal: Refusal, rate: Rate, now_ns: int) -> ApiError:
    """429 or 418 by address, as `refusal` says."""
    number, unit = interval_name(rate.interval_ns)
    if refusal.status == BANNED:
        msg = (
            f"Way too much request weight used; IP banned until {refusal.until_ns // NS_PER_MS}. "
            "Please use WebSocket Streams for live updates to avoid bans."
        )
    else:
        msg = (
            f"Too much request weight used; current limit is {rate.limit} request weight per "
            f"{number} {unit}. Please use WebSocket Streams for live updates to avoid polling "
            "the API."
        )
    return _later(-1003, msg, refusal, now_ns)


def too_many_orders(refusal: Refusal, rate: Rate, now_ns: int) -> ApiError:
    """429 by account."""
    number, unit = interval_name(rate.interval_ns)
    msg = f"Too many new orders; current limit is {rate.limit} orders per {number} {unit}."
    return _later(-1015, msg, refusal, now_ns)


def too_many_connects(refusal: Refusal, rate: Rate, now_ns: int) -> ApiError:
    """429 to a handshake."""
    number, unit = interval_name(rate.interval_ns)
    msg = (
        f"Too many connection attempts from IP; current limit is {rate.limit} per "
        f"'{number} {unit}'."
    )
    return _later(-1034, msg, refusal, now_ns)


def _later(code: int, msg: str, refusal: Refusal, now_ns: int) -> ApiError:
    times = {
        "serverTime": now_ns // NS_PER_MS,
        "retryAfter": -(-refusal.until_ns // NS_PER_MS),
    }
    wait_s = str(refusal.wait_s(now_ns))
    return ApiError(code, msg, refusal.status, data=times, headers={"Retry-After": wait_s})
