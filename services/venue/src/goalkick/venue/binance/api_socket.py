"""The WebSocket API: the table's requests, sessions, and the events of accounts on one socket."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
from aiohttp import WSCloseCode, web

from goalkick.venue.accounts import ApiKey
from goalkick.venue.binance import errors, signing
from goalkick.venue.binance.desk import Answer, Asked, Credential, serve
from goalkick.venue.binance.errors import ApiError
from goalkick.venue.binance.front import FRONT_END, Front, rate_limits
from goalkick.venue.binance.routes import Route, by_ws
from goalkick.venue.binance.sessions import session_routes
from goalkick.venue.binance.sockets import Socket
from goalkick.venue.binance.user_events import account_of, events_of
from goalkick.venue.engine.model import Happening
from goalkick.venue.faults import Action, Fault, Point
from goalkick.venue.limits import BANNED

SUBSCRIBE = ("userDataStream.subscribe", "userDataStream.subscribe.signature")
USER_PLACE = "socket:user"
MOST_SUBSCRIPTIONS = 1_000
LIFETIME_SUBSCRIPTIONS = 65_535


@dataclass(frozen=True)
class _Request:
    """A message of the client.

    Attributes:
        number: its id, as sent.
        method: without the version.
        params: as text, all of them.
        tells_limits: whether the reply has `rateLimits`.
    """

    number: Any
    method: str
    params: dict[str, str]
    tells_limits: bool


class ApiSocket(Socket):
    """Answers requests, and tells what happens to the accounts that were subscribed.

    Attributes:
        session: the key that the client logged on with; None: it has not.
        session_since_ns: when it did.
        tells_limits: whether replies have `rateLimits` where the request does not say.
    """

    place: ClassVar[str] = "socket:wsapi"
    paced: ClassVar[bool] = False
    handshake_weight: ClassVar[int] = 2

    def __init__(self, front: Front, request: web.Request) -> None:
        super().__init__(front, request)
        self.session: ApiKey | None = None
        self.session_since_ns = 0
        self.tells_limits = request.query.get("returnRateLimits") != "false"
        self._routes: dict[str, Route] = {**by_ws(), **by_ws(session_routes(self))}
        self._subscriptions: dict[int, tuple[str, bool]] = {}
        self._numbers = 0
        self._unsubscribe: Callable[[], None] | None = None
        self._leave_user: Callable[[], None] | None = None

    @property
    def subscriptions(self) -> list[int]:
        """Ids of the subscriptions to accounts, oldest first."""
        return list(self._subscriptions)

    def subscribe(self, account: str, *, by_session: bool) -> int:
        """Begins to tell what happens to an account; returns the subscription's id.

        Raises:
            ApiError: the account is subscribed already, or there are too many.
        """
        if any(account == name for name, _ in self._subscriptions.values()):
            raise ApiError(-2035, "User Data Stream subscription already active.")
        too_many = len(self._subscriptions) >= MOST_SUBSCRIPTIONS
        if too_many or self._numbers > LIFETIME_SUBSCRIPTIONS:
            raise ApiError(-2042, "Maximum subscription ID reached for this connection.")
        if self._unsubscribe is None:
            self._unsubscribe = self.front.exchange.subscribe(self._happened)
            self._leave_user = self.front.context.faults.attend(USER_PLACE, self.wire.strike)
        number = self._numbers
        self._numbers += 1
        self._subscriptions[number] = account, by_session
        return number

    def unsubscribe(self, number: int | None = None, *, only_session: bool = False) -> bool:
        """Ends one subscription, all, or those of the session, with a notice; whether any did."""
        ending = [
            one
            for one, (_, by_session) in self._subscriptions.items()
            if number in (None, one) and (by_session or not only_session)
        ]
        for one in ending:
            now_ms = self.front.context.clock.now_ms()
            self._tell(one, {"e": "eventStreamTerminated", "E": now_ms})
            del self._subscriptions[one]
        return bool(ending)

    def opened(self) -> None:
        """Nothing: the client speaks first."""

    def left(self) -> None:
        """Stops listening to accounts."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._leave_user is not None:
            self._leave_user()

    def terminate(self, fault: Fault | None = None) -> None:
        """Ends all subscriptions with their notice."""
        self.unsubscribe()

    def shutdown(self, fault: Fault | None = None) -> None:
        """Sends `serverShutdown`."""
        event = {"e": "serverShutdown", "E": self.front.context.clock.now_ms()}
        self.wire.send("user:serverShutdown", _encoded({"event": event}))

    async def on_text(self, text: str) -> None:
        """Answers a request."""
        try:
            request = self._parsed(text)
            route = self._route(request.method)
        except ApiError as error:
            self._send_error(_id_in(text), error.status, error.body())
            return
        await self._answer(request, route)

    def _route(self, method: str) -> Route:
        if (route := self._routes.get(method)) is None:
            raise ApiError(-1020, "This operation is not supported.")
        return route

    async def _answer(self, request: _Request, route: Route) -> None:
        early = self._take(Point.REQUEST, f"wsapi:{request.method}")
        stale = early if early is not None and early.action is Action.STALE else None
        if early is not None and stale is None and not await self._survives(early, request):
            self._log_lost(early, request)
            return
        refused = self._take_subscribe(request)
        if refused is not None and not await self._survives(refused, request):
            self._log_lost(refused, request)
            return
        answer = serve(self.front, self._asked(request, route, stale, early))
        if refused is not None and refused.action is Action.LOSE_ACK:
            return
        if answer.error is None:
            late = self._take(Point.ACCEPTED, f"wsapi:{request.method}")
            if late is not None and not await self._survives(late, request):
                return
        self._reply(request, route, answer)

    def _asked(
        self, request: _Request, route: Route, stale: Fault | None, struck: Fault | None
    ) -> Asked:
        sent = dict(request.params)
        key, signature = sent.pop("apiKey", None), sent.pop(signing.SIGNATURE, None)
        sent.pop("returnRateLimits", None)
        return Asked(
            route=route,
            name=request.method,
            sent=sent,
            address=self.address,
            credential=Credential(
                key=key,
                payload=signing.ws_payload(request.params),
                signature=signature,
                session=self.session,
            ),
            stale=stale,
            struck=struck.name if struck else "",
        )

    def _take(self, point: Point, where: str) -> Fault | None:
        return self.front.context.faults.take(point, where)

    def _take_subscribe(self, request: _Request) -> Fault | None:
        if request.method == "session.logon":
            return self._take(Point.SUBSCRIBE, "user:auth")
        if request.method in SUBSCRIBE:
            return self._take(Point.SUBSCRIBE, "user:subscribe")
        return None

    async def _survives(self, fault: Fault, request: _Request) -> bool:
        """Lets a request fail; True: it goes on."""
        match fault.action:
            case Action.DELAY:
                await asyncio.sleep(self.front.context.faults.delay_s(fault))
                return True
            case Action.LOSE_ACK:
                return True
            case Action.LOSE_REPLY:
                return False
            case Action.ANSWER:
                body, status = fault.text("body"), int(fault.number("status", 500))
                self._send_error(request.number, status, msgspec.json.decode(body or "{}"))
            case Action.REJECT:
                usual = _encoded(errors.unknown_key().body())
                body = msgspec.json.decode(fault.text("body", usual))
                self._send_error(request.number, 401, body)
            case _:
                self.wire.strike(fault)
        return False

    def _log_lost(self, fault: Fault, request: _Request) -> None:
        """Logs a request that a fault kept from being carried out."""
        usual = {Action.ANSWER: 500, Action.REJECT: 401}.get(fault.action, 0)
        self.front.context.requests.add(
            time_ns=self.front.now_ns(),
            front_end=FRONT_END,
            method=request.method,
            params=request.params,
            status=int(fault.number("status", usual)),
            fault=fault.name,
        )

    def _reply(self, request: _Request, route: Route, answer: Answer) -> None:
        told = {"result": answer.body} if answer.error is None else {"error": answer.body}
        body = {"id": request.number, "status": answer.status, **told}
        if request.tells_limits:
            body["rateLimits"] = rate_limits(
                self.front, self.address, answer.account, orders=route.tells_orders
            )
        self.wire.send("", _encoded(body))
        if answer.status == BANNED:
            self.wire.close(WSCloseCode.POLICY_VIOLATION, "")

    def _send_error(self, number: Any, status: int, error: Any) -> None:
        self.wire.send("", _encoded({"id": number, "status": status, "error": error}))

    def _parsed(self, text: str) -> _Request:
        """Reads a message.

        Raises:
            ApiError: it is no request.
        """
        request = _loaded(text)
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            raise ApiError(-1135, "Invalid JSON Request")
        params = request.get("params") or {}
        if not isinstance(params, dict) or "id" not in request:
            raise ApiError(-1135, "Invalid JSON Request")
        texts = {name: _text(value) for name, value in params.items() if value is not None}
        wished = texts.get("returnRateLimits")
        return _Request(
            number=request["id"],
            method=request["method"].removeprefix("v3/"),
            params=texts,
            tells_limits=self.tells_limits if wished is None else wished == "true",
        )

    def _happened(self, happening: Happening) -> None:
        account = account_of(happening)
        if account is None:
            return
        for number, (subscribed, _) in self._subscriptions.items():
            if subscribed == account:
                for event in events_of(happening, self.front.symbols, self.front.now_ns()):
                    self._tell(number, event)

    def _tell(self, number: int, event: dict[str, Any]) -> None:
        text = _encoded({"subscriptionId": number, "event": event})
        self.wire.send(f"user:{event['e']}", text)


def _loaded(text: str) -> Any:
    """JSON whose numbers with a point keep the digits that were sent: they are signed."""
    try:
        return json.loads(text, parse_float=str)
    except ValueError:
        raise ApiError(-1135, "Invalid JSON Request") from None


def _id_in(text: str) -> Any:
    try:
        request = json.loads(text)
    except ValueError:
        return None
    return request.get("id") if isinstance(request, dict) else None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _encoded(body: Any) -> str:
    return msgspec.json.encode(body).decode()
