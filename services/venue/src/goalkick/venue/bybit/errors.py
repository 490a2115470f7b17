"""What Bybit says when it does not do something: its codes and its own texts.

Almost all errors come with HTTP 200; the code is in the body.
"""

from decimal import Decimal

from goalkick.common.values.money import ZERO
from goalkick.venue.engine.model import Listing, NewOrder, Reason, Refused, Side


class ApiError(Exception):
    """A request is refused.

    Attributes:
        code: `retCode`.
        message: `retMsg`.
        status: of HTTP.
    """

    def __init__(self, code: int, message: str, status: int = 200) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


_REASONS: dict[Reason, tuple[int, str]] = {
    Reason.UNKNOWN_INSTRUMENT: (170121, "Invalid symbol."),
    Reason.MARKET_CLOSED: (170157, "The trading pair is not available for api trading"),
    Reason.PRICE_FILTER: (170134, "Order price decimal too long."),
    Reason.PERCENT_PRICE: (170192, "Order price cannot be higher than %s ."),
    Reason.LOT_SIZE: (170137, "Order volume decimal too long"),
    Reason.MARKET_LOT_SIZE: (170135, "Order quantity too large."),
    Reason.NOTIONAL: (170140, "Order value exceeded lower limit."),
    Reason.MAX_NUM_ORDERS: (
        170810,
        "Cannot exceed maximum of 500 conditional, TP/SL and active orders.",
    ),
    Reason.MAX_NUM_ALGO_ORDERS: (
        170810,
        "Cannot exceed maximum of 500 conditional, TP/SL and active orders.",
    ),
    Reason.INSUFFICIENT_BALANCE: (170131, "Insufficient balance."),
    Reason.WOULD_TAKE: (170218, "The LIMIT-MAKER order is rejected due to invalid price."),
    Reason.WOULD_TRIGGER: (170210, "New order rejected."),
    Reason.DUPLICATE_CLIENT_ID: (170141, "Duplicate clientOrderId"),
    Reason.UNKNOWN_ORDER: (170213, "Order does not exist."),
    Reason.NO_LIQUIDITY: (170210, "New order rejected."),
    Reason.BELOW_EXECUTED: (
        110064,
        "The number of contracts modified cannot be less than or equal to the filled quantity",
    ),
}


def refused(
    error: Refused, asked: NewOrder | None = None, rules: Listing | None = None
) -> ApiError:
    """The exchange's refusal in Bybit's words.

    Args:
        error: what the exchange said.
        asked: the order that it is about, if it is about a new one.
        rules: of its instrument.
    """
    code, message = _REASONS[error.reason]
    if asked is not None and rules is not None:
        code, message = _nearer(error.reason, asked, rules) or (code, message)
    return ApiError(code, message)


def _nearer(reason: Reason, asked: NewOrder, rules: Listing) -> tuple[int, str] | None:
    """Bybit has a code for each side of a filter; None where it has but one."""
    price, quantity = asked.price or ZERO, asked.quantity or ZERO
    table = {
        Reason.PRICE_FILTER: (
            (price > rules.max_price, 170132, "Order price too high."),
            (price < rules.min_price, 170133, "Order price lower than the minimum."),
        ),
        Reason.PERCENT_PRICE: (
            (asked.side is Side.BUY, 170193, "Buy order price cannot be higher than %s."),
            (asked.side is Side.SELL, 170194, "Sell order price cannot be lower than %s."),
        ),
        Reason.LOT_SIZE: (
            (quantity > rules.max_quantity, 170135, "Order quantity too large."),
            (quantity < rules.min_quantity, 170136, "Order quantity lower than the minimum."),
        ),
        Reason.NOTIONAL: (
            (_notional(asked) > rules.max_notional, 170124, "Order amount too large."),
        ),
    }
    return next(((code, text) for holds, code, text in table.get(reason, ()) if holds), None)


def _notional(asked: NewOrder) -> Decimal:
    if asked.quote_quantity is not None:
        return asked.quote_quantity
    return (asked.price or ZERO) * (asked.quantity or ZERO)


def bad_parameter(detail: str) -> ApiError:
    """A parameter is wrong, missing or not known."""
    return ApiError(10001, f"params error: {detail}")


def nothing_to_amend() -> ApiError:
    """A change that changes nothing."""
    return ApiError(
        10001,
        "The order remains unchanged as the parameters entered match the existing ones.",
    )


def bad_symbol() -> ApiError:
    """A query names no listed symbol."""
    return ApiError(10001, "Not supported symbols")


def missing_credentials(key: str, stamp: str, signature: str) -> ApiError:
    """A signed request without one of its headers."""
    return ApiError(
        10001, f"empty value: apiTimestamp[{stamp}] apiKey[{key}] apiSignature[{signature}]"
    )


def bad_key() -> ApiError:
    """No such key, or not any more."""
    return ApiError(10003, "API key is invalid.")


def bad_time(stamp: object, now_ms: int, window: object) -> ApiError:
    """A time stamp is too old or lies ahead."""
    return ApiError(
        10002,
        "invalid request, please check your server timestamp or recv_window param. "
        f"req_timestamp[{stamp}],server_timestamp[{now_ms}],recv_window[{window}]",
    )


def bad_signature(origin: str) -> ApiError:
    """A signature is not that of what was sent."""
    return ApiError(
        10004,
        "error sign! origin_string"
        f"[{origin}]. Please make sure the key and secret are correct and check your signature",
    )


def no_permission() -> ApiError:
    """A key may not do it."""
    return ApiError(10005, "Permission denied, please check your API key permissions.")


def too_many_visits() -> ApiError:
    """An account asks too often."""
    return ApiError(10006, "Too many visits. Exceeded the API Rate Limit.")


def access_too_frequent() -> ApiError:
    """An address asks too often; it is shut out for a while."""
    return ApiError(10018, "access too frequent", 403)
