"""The fault catalogue by name: F1 to F22, each as what is armed and what is done.

A preset is data: faults to arm and calls of the control API. Where both front ends have a place
for it, one preset serves both.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.venue.faults import Action, Fault, Params, Point

PLACE_ORDER = (
    "rest:POST /api/v3/order|rest:POST /v5/order/create|wsapi:order.place|wsapi:order.create"
)
CANCEL_ORDER = "rest:DELETE /api/v3/order|rest:POST /v5/order/cancel|wsapi:order.cancel"
QUERY_ORDER = "rest:GET /api/v3/order|rest:GET /v5/order/realtime|wsapi:order.status"
SNAPSHOT = "rest:GET /api/v3/depth|rest:GET /v5/market/orderbook"
DEPTH = "stream:*@depth*|stream:orderbook.*"
FILL = "user:executionReport|user:execution"
USER = "user:*"

HTML = "text/html"
_BINANCE_429 = (
    '{"code":-1003,"msg":"Too much request weight used; current limit is 6000 request weight per '
    '1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API."}'
)
_BINANCE_418 = (
    '{"code":-1003,"msg":"Way too much request weight used; IP banned until 4102444800000. '
    'Please use WebSocket Streams for live updates to avoid bans."}'
)
_BYBIT_LIMIT = '{"retCode":10006,"retMsg":"Too many visits!","result":{},"retExtInfo":{},"time":0}'
_MAINTENANCE = '{"code":1,"msg":"System is under maintenance."}'
_BYBIT_DOWN = (
    '{"retCode":10016,"retMsg":"Service is restarting.","result":{},"retExtInfo":{},"time":0}'
)


class Call(msgspec.Struct, frozen=True):
    """A call of the control API.

    Attributes:
        method, path: such as `POST` and `/clock`.
        body: its fields.
    """

    method: str
    path: str
    body: dict[str, str | int | float | bool]


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """Something that goes wrong, ready to be armed.

    Attributes:
        name: `F1` and so on; variants of a row have a suffix.
        about: what happens.
        faults: what is armed.
        calls: what is done besides, in order.
    """

    name: str
    about: str
    faults: tuple[Fault, ...] = ()
    calls: tuple[Call, ...] = ()


def preset(
    name: str,
    *,
    where: str | None = None,
    skip: int | None = None,
    count: int | None = None,
    duration_s: float | None = None,
    params: Params | None = None,
) -> Preset:
    """A preset of the catalogue, with changes to each of its faults.

    Args:
        name: such as `F9`.
        where: instead of the preset's own places; None keeps them, here and below.
        skip: instead of the preset's own.
        count: instead of the preset's own.
        duration_s: instead of the preset's own.
        params: added to the preset's own.

    Raises:
        InvalidDataError: there is none of that name.
    """
    found = PRESETS.get(name)
    if found is None:
        raise InvalidDataError(f"expected one of {', '.join(PRESETS)}, found {name!r}")
    changes = {"where": where, "skip": skip, "count": count, "duration_s": duration_s}
    given = {field: value for field, value in changes.items() if value is not None}
    faults = (
        msgspec.structs.replace(fault, **given, params={**fault.params, **(params or {})})
        for fault in found.faults
    )
    return msgspec.structs.replace(found, faults=tuple(faults))


def _row(name: str, about: str, *does: Fault | Call) -> Preset:
    faults = (msgspec.structs.replace(each, name=name) for each in does if isinstance(each, Fault))
    calls = (each for each in does if isinstance(each, Call))
    return Preset(name=name, about=about, faults=tuple(faults), calls=tuple(calls))


def _fault(
    point: Point,
    where: str,
    action: Action,
    *,
    count: int | None = 1,
    skip: int = 0,
    **params: Any,
) -> Fault:
    """At this point, there, this happens."""
    return msgspec.convert(
        {
            "name": "",
            "point": point,
            "where": where,
            "action": action,
            "count": count,
            "skip": skip,
            "params": params,
        },
        Fault,
    )


def _status(where: str, status: int, body: str, **params: Any) -> Fault:
    return _fault(
        Point.REQUEST, where, Action.ANSWER, count=None, status=status, body=body, **params
    )


_ROWS: tuple[Preset, ...] = (
    _row(
        "F1",
        "all sockets are reset (RST)",
        _fault(Point.NOW, "socket:*", Action.RESET, count=None),
    ),
    _row(
        "F1-close",
        "all sockets are closed cleanly, code 1001",
        _fault(Point.NOW, "socket:*", Action.CLOSE, count=None),
    ),
    _row(
        "F2",
        "all sockets become half open: no reading, no pong, no frame",
        _fault(Point.NOW, "socket:*", Action.HALF_OPEN, count=None),
    ),
    _row(
        "F3",
        "an order's reply comes 2 s late, its events come at once",
        _fault(Point.ACCEPTED, PLACE_ORDER, Action.DELAY, seconds=2),
    ),
    _row(
        "F4",
        "an order is accepted, the connection dies instead of a reply",
        _fault(Point.ACCEPTED, PLACE_ORDER, Action.LOSE_REPLY),
    ),
    _row(
        "F4-slow",
        "an order is accepted, its reply takes 30 s",
        _fault(Point.ACCEPTED, PLACE_ORDER, Action.DELAY, seconds=30),
    ),
    _row(
        "F4-5xx",
        "an order is accepted, the reply is 502",
        _fault(
            Point.ACCEPTED,
            PLACE_ORDER,
            Action.ANSWER,
            status=502,
            body="<html>502 Bad Gateway</html>",
            content_type=HTML,
        ),
    ),
    _row(
        "F5",
        "an order over WebSocket is accepted, there is no reply",
        _fault(Point.ACCEPTED, "wsapi:order.*", Action.LOSE_REPLY),
    ),
    _row(
        "F5-reset",
        "an order over WebSocket is accepted, the socket dies before the reply",
        _fault(Point.ACCEPTED, "wsapi:order.*", Action.RESET),
    ),
    _row(
        "F6",
        "the next fill is told twice",
        _fault(Point.FRAME, FILL, Action.DUPLICATE),
    ),
    _row(
        "F7",
        "the next user event is told after the one that follows it",
        _fault(Point.FRAME, USER, Action.SWAP),
    ),
    _row(
        "F8",
        "the next 3 user events are lost, then the user socket is reset",
        _fault(Point.FRAME, USER, Action.DROP, count=3),
        _fault(Point.FRAME, USER, Action.RESET, skip=3),
    ),
    _row(
        "F9",
        "a depth update is lost",
        _fault(Point.FRAME, DEPTH, Action.DROP),
    ),
    _row(
        "F9-stale",
        "a depth snapshot is too old for the stream",
        _fault(Point.REQUEST, SNAPSHOT, Action.STALE),
    ),
    _row(
        "F9-repeat",
        "a depth update is told twice",
        _fault(Point.FRAME, DEPTH, Action.DUPLICATE),
    ),
    _row(
        "F10",
        "depth snapshots get 429 for as long as it is armed",
        _status("rest:GET /api/v3/depth", 429, _BINANCE_429, headers={"Retry-After": "2"}),
        _status("rest:GET /v5/market/orderbook", 200, _BYBIT_LIMIT),
    ),
    _row(
        "F10-5xx",
        "depth snapshots get 503 for as long as it is armed",
        _status(SNAPSHOT, 503, "<html>503</html>", content_type=HTML),
    ),
    _row(
        "F11",
        "two requests get 429, the two after them 418",
        _fault(
            Point.REQUEST,
            "rest:* /api/*|wsapi:*",
            Action.ANSWER,
            count=2,
            status=429,
            body=_BINANCE_429,
            headers={"Retry-After": "2"},
        ),
        _fault(
            Point.REQUEST,
            "rest:* /api/*|wsapi:*",
            Action.ANSWER,
            count=2,
            skip=2,
            status=418,
            body=_BINANCE_418,
            headers={"Retry-After": "4"},
        ),
        _fault(
            Point.REQUEST, "rest:* /v5/*", Action.ANSWER, count=4, status=200, body=_BYBIT_LIMIT
        ),
    ),
    _row(
        "F11-handshake",
        "a WebSocket handshake gets 429",
        _fault(
            Point.HANDSHAKE,
            "socket:*",
            Action.ANSWER,
            status=429,
            headers={"Retry-After": "3"},
        ),
    ),
    _row(
        "F12",
        "requests get 500",
        _status("rest:*", 500, "Internal Server Error", content_type=HTML),
    ),
    _row(
        "F12-502",
        "requests get 502",
        _status("rest:*", 502, "<html>502</html>", content_type=HTML),
    ),
    _row(
        "F12-503",
        "requests get 503",
        _status("rest:*", 503, "<html>503</html>", content_type=HTML),
    ),
    _row(
        "F12-504",
        "requests get 504",
        _status("rest:*", 504, "<html>504</html>", content_type=HTML),
    ),
    _row(
        "F12-empty",
        "requests get an empty 200",
        _status("rest:*", 200, ""),
    ),
    _row(
        "F12-html",
        "requests get a web page with 200",
        _status("rest:*", 200, "<html>welcome</html>", content_type=HTML),
    ),
    _row(
        "F12-text",
        "requests get 200 that is no JSON",
        _status("rest:*", 200, "{bad"),
    ),
    _row(
        "F13",
        "the venue's clock is stepped 5 s ahead",
        Call("POST", "/clock", {"step_s": 5}),
    ),
    _row(
        "F13-behind",
        "the venue's clock is stepped 5 s back",
        Call("POST", "/clock", {"step_s": -5}),
    ),
    _row(
        "F13-drift",
        "the venue's clock runs 1 % too fast",
        Call("POST", "/clock", {"rate": 1.01}),
    ),
    _row(
        "F14",
        "all requests say that the venue is under maintenance",
        _status("rest:* /*api/*", 503, _MAINTENANCE),
        _status("wsapi:*", 503, _MAINTENANCE),
        _status("rest:* /v5/*", 200, _BYBIT_DOWN),
    ),
    _row(
        "F14-shutdown",
        "all sockets are told of a shutdown, and closed 1 s later",
        _fault(Point.NOW, "socket:*", Action.SHUTDOWN, count=None, grace_s=1),
    ),
    _row(
        "F14-cut",
        "all sockets are cut as after 24 hours",
        _fault(Point.NOW, "socket:*", Action.CLOSE, count=None, code=1000),
    ),
    _row(
        "F15",
        "nobody refills the book: larger orders fill in part",
        Call("POST", "/flow", {"paused": True}),
    ),
    _row(
        "F16",
        "no fault: place two crossing orders of one account with a prevention mode",
    ),
    _row(
        "F17",
        "BTC/USDT is halted",
        Call("POST", "/phase", {"instrument": "BTC/USDT", "phase": "halt"}),
    ),
    _row(
        "F17-cancel",
        "BTC/USDT takes cancels only",
        Call("POST", "/phase", {"instrument": "BTC/USDT", "phase": "cancel_only"}),
    ),
    _row(
        "F17-delist",
        "BTC/USDT is delisted",
        Call("DELETE", "/instruments", {"instrument": "BTC/USDT"}),
    ),
    _row(
        "F17-rules",
        "BTC/USDT gets coarser steps",
        Call(
            "PATCH",
            "/instruments",
            {"instrument": "BTC/USDT", "tick_size": "0.1", "lot_size": "0.001"},
        ),
    ),
    _row(
        "F18",
        "the next subscription is refused",
        _fault(Point.SUBSCRIBE, "*", Action.REJECT),
    ),
    _row(
        "F18-ack",
        "the next subscription works, its acknowledgement is lost",
        _fault(Point.SUBSCRIBE, "*", Action.LOSE_ACK),
    ),
    _row(
        "F18-user",
        "the next login or subscription to user data is refused",
        _fault(Point.SUBSCRIBE, USER, Action.REJECT),
    ),
    _row(
        "F18-user-ack",
        "the next login or subscription to user data works, its acknowledgement is lost",
        _fault(Point.SUBSCRIBE, USER, Action.LOSE_ACK),
    ),
    _row(
        "F18-key",
        "the keys of account main are revoked",
        Call("DELETE", "/keys", {"account": "main"}),
    ),
    _row(
        "F18-terminate",
        "user streams end with a notice, the sockets live",
        _fault(Point.NOW, "socket:*", Action.TERMINATE, count=None),
    ),
    _row(
        "F19",
        "a frame is no JSON",
        _fault(Point.FRAME, "*", Action.CORRUPT, text="{bad"),
    ),
    _row(
        "F19-list",
        "a frame is an empty list",
        _fault(Point.FRAME, "*", Action.CORRUPT, text="[]"),
    ),
    _row(
        "F19-event",
        "an event of an unknown kind comes before a frame",
        _fault(
            Point.FRAME,
            "*",
            Action.CORRUPT,
            text='{"e":"neverSeenBefore","E":0,"topic":"never.seen","data":{}}',
            keep=True,
        ),
    ),
    _row(
        "F19-fields",
        "frames have a new field",
        _fault(Point.FRAME, "*", Action.CORRUPT, count=None, merge={"newField": "1"}),
    ),
    _row(
        "F20",
        "a cancel takes 1 s, so that a house order can fill first",
        _fault(Point.REQUEST, CANCEL_ORDER, Action.DELAY, seconds=1),
    ),
    _row(
        "F21",
        "the next question about an order finds nothing",
        _fault(Point.REQUEST, QUERY_ORDER, Action.STALE),
    ),
    _row(
        "F22",
        "everything is 0.2 s late, give or take",
        _fault(Point.REQUEST, "*", Action.DELAY, count=None, seconds=0.1, jitter_s=0.2),
        _fault(Point.FRAME, "*", Action.DELAY, count=None, seconds=0.1, jitter_s=0.2),
    ),
    _row(
        "F22-slow",
        "streams carry 2 kB a second",
        _fault(Point.FRAME, "*", Action.DELAY, count=None, bytes_per_s=2000),
    ),
    _row(
        "F22-burst",
        "a connection pauses for 3 s, then everything comes at once",
        _fault(Point.FRAME, "*", Action.DELAY, seconds=3),
    ),
)


PRESETS: Mapping[str, Preset] = {row.name: row for row in _ROWS}
"""All of the catalogue, in its order."""
