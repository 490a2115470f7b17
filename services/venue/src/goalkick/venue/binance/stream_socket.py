"""A market stream connection: raw or combined, with live subscribing."""

import asyncio
import re
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
from aiohttp import web

from goalkick.venue.binance.feed import Feed
from goalkick.venue.binance.front import FRONT_END, Front
from goalkick.venue.binance.sockets import Socket
from goalkick.venue.binance.streams import ALL_MINI_TICKERS, SHUTDOWN, parse
from goalkick.venue.faults import Action, Fault, Point

METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


class StreamError(Exception):
    """A request over a stream connection that is answered with an error.

    Attributes:
        body: `{"code", "msg"}`.
    """

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(f"{code} {msg}")
        self.body = {"code": code, "msg": msg}


class StreamSocket(Socket):
    """Tells a client what happens on the streams that it has chosen."""

    place: ClassVar[str] = "socket:stream"
    paced: ClassVar[bool] = True
    handshake_weight: ClassVar[int] = 0

    def __init__(self, front: Front, request: web.Request, feed: Feed) -> None:
        super().__init__(front, request)
        self._feed = feed
        self._streams: dict[str, None] = {}
        self._combined = "/ws" not in request.path
        self._answers: dict[str, Callable[[list[Any]], Any]] = {
            "SUBSCRIBE": self._subscribe,
            "UNSUBSCRIBE": self._unsubscribe,
            "LIST_SUBSCRIPTIONS": lambda _: list(self._streams),
            "SET_PROPERTY": self._set_property,
            "GET_PROPERTY": self._get_property,
        }

    def hear(self, stream: str, event: str) -> None:
        """Sends an event."""
        name = msgspec.json.encode(stream).decode()
        text = f'{{"stream":{name},"data":{event}}}' if self._combined else event
        self.wire.send(f"stream:{stream}", text)

    def opened(self) -> None:
        """Begins with the streams that the URL names."""
        for stream in self._named_in_url():
            if is_stream(stream):
                self._add(stream)

    def left(self) -> None:
        """Takes leave of all streams."""
        for stream in self._streams:
            self._feed.leave(stream, self)

    def terminate(self, fault: Fault | None = None) -> None:
        """Nothing: no account is heard of here."""

    def shutdown(self, fault: Fault | None = None) -> None:
        """Sends `serverShutdown`."""
        now_ms = self.front.context.clock.now_ms()
        event = msgspec.json.encode({"e": "serverShutdown", "E": now_ms}).decode()
        self.hear(SHUTDOWN, event)

    async def on_text(self, text: str) -> None:
        """Answers a request."""
        try:
            request = read_request(text)
        except StreamError as error:
            self._reply({"error": error.body, "id": None})
            return
        number, method, params = request["id"], request["method"], request.get("params") or []
        fault = self._fault(params) if method == "SUBSCRIBE" else None
        if fault is not None and not await self._survives(fault, number):
            return
        try:
            result = self._answers[method](params)
        except StreamError as error:
            self._log(method, params, 400, error.body["code"])
            self._reply({"error": error.body, "id": number})
            return
        self._log(method, params, 200)
        if fault is None or fault.action is not Action.LOSE_ACK:
            self._reply({"result": result, "id": number})

    def _log(self, method: str, params: list[Any], status: int, code: object = "") -> None:
        self.front.context.requests.add(
            time_ns=self.front.now_ns(),
            front_end=FRONT_END,
            method=method,
            params={"params": params},
            status=status,
            code=code,
        )

    def _reply(self, body: dict[str, Any]) -> None:
        self.wire.send("", msgspec.json.encode(body).decode())

    def _named_in_url(self) -> list[str]:
        if self._combined:
            return self.request.query.get("streams", "").split("/")
        return self.request.path.partition("/ws")[2].strip("/").split("/")

    def _fault(self, streams: list[Any]) -> Fault | None:
        faults = self.front.context.faults
        taken = (faults.take(Point.SUBSCRIBE, f"stream:{stream}") for stream in streams)
        return next((fault for fault in taken if fault is not None), None)

    async def _survives(self, fault: Fault, number: Any) -> bool:
        """Lets a subscription fail; True: it takes effect."""
        match fault.action:
            case Action.REJECT:
                usual = '{"code":2,"msg":"Invalid request: rejected"}'
                error = msgspec.json.decode(fault.text("body", usual))
                self._reply({"error": error, "id": number})
            case Action.DELAY:
                await asyncio.sleep(self.front.context.faults.delay_s(fault))
                return True
            case Action.LOSE_ACK:
                return True
            case _:
                self.wire.strike(fault)
        return False

    def _subscribe(self, params: list[Any]) -> None:
        for stream in params:
            if not isinstance(stream, str) or not is_stream(stream):
                raise StreamError(2, f"Invalid request: unknown stream {stream!r}")
        limit = self.front.settings.streams_per_connection
        if len(self._streams.keys() | set(params)) > limit:
            raise StreamError(2, f"Invalid request: more than {limit} streams")
        for stream in params:
            self._add(stream)

    def _add(self, stream: str) -> None:
        if stream not in self._streams:
            self._streams[stream] = None
            self._feed.listen(stream, self)

    def _unsubscribe(self, params: list[Any]) -> None:
        for stream in params:
            if stream in self._streams:
                del self._streams[stream]
                self._feed.leave(stream, self)

    def _set_property(self, params: list[Any]) -> None:
        _check_property(params[:1])
        if len(params) != 2 or not isinstance(params[1], bool):
            raise StreamError(1, "Invalid value type: expected Boolean")
        self._combined = params[1]

    def _get_property(self, params: list[Any]) -> bool:
        _check_property(params)
        return self._combined


def is_stream(name: str) -> bool:
    """Whether there is such a stream; its symbol need not be listed."""
    return name == ALL_MINI_TICKERS or parse(name) is not None


def read_request(text: str) -> dict[str, Any]:
    """Reads a client's message.

    Raises:
        StreamError: it is no request, in Binance's words.
    """
    try:
        request = msgspec.json.decode(text)
    except msgspec.MsgspecError:
        raise StreamError(3, "Invalid JSON: expected value at line 1 column 1") from None
    if not isinstance(request, dict) or "method" not in request:
        msg = f"Invalid request: missing field `method` at line 1 column {len(text)}"
        raise StreamError(2, msg)
    if request["method"] not in METHODS:
        known = ", ".join(f"`{method}`" for method in METHODS)
        raise StreamError(
            2,
            f"Invalid request: unknown variant `{request['method']}`, expected one of {known} "
            "at line 1 column 28",
        )
    if "id" not in request or not _is_id(request["id"]):
        raise StreamError(2, "Invalid request: request ID must be an unsigned integer")
    if not isinstance(request.get("params", []), list | None):
        raise StreamError(2, "Invalid request: invalid type: expected a sequence")
    return request


def _is_id(number: object) -> bool:
    if isinstance(number, str):
        return bool(re.fullmatch("[a-zA-Z0-9]{1,36}", number))
    if isinstance(number, bool):
        return False
    return number is None or (isinstance(number, int) and -(2**63) <= number < 2**63)


def _check_property(params: list[Any]) -> None:
    if not params or not isinstance(params[0], str):
        raise StreamError(2, "Invalid request: property name must be a string")
    if len(params) > 1:
        raise StreamError(2, "Invalid request: too many parameters")
    if params[0] != "combined":
        raise StreamError(0, "Unknown property")
