"""What can be asked over the WebSocket API alone: sessions, and subscriptions to user data."""

from typing import Any, Protocol

from goalkick.venue.accounts import ApiKey
from goalkick.venue.binance import parameters as p
from goalkick.venue.binance.errors import ApiError
from goalkick.venue.binance.front import Call, Front, Handler
from goalkick.venue.binance.parameters import Parameter
from goalkick.venue.binance.routes import SIGNED, Route, Security, always
from goalkick.venue.binance.shapes import milliseconds

WEIGHT = 2


class Session(Protocol):
    """A connection that remembers who its client is."""

    front: Front
    session: ApiKey | None
    session_since_ns: int
    connected_ns: int
    tells_limits: bool

    @property
    def subscriptions(self) -> list[int]:
        """Ids of the subscriptions to accounts."""

    def subscribe(self, account: str, *, by_session: bool) -> int:
        """Begins to tell what happens to an account."""

    def unsubscribe(self, number: int | None = None, *, only_session: bool = False) -> bool:
        """Ends one subscription, all, or those of the session; whether any did."""


class _Requests:
    """The handlers; each belongs to one connection."""

    def __init__(self, session: Session) -> None:
        self._on = session

    def logon(self, call: Call) -> dict[str, Any]:
        if call.key is None or not call.key.public_key:
            raise ApiError(-4056, "HMAC_SHA256 API key is not supported.")
        self._on.session = call.key
        self._on.session_since_ns = call.front.now_ns()
        return self.status(call)

    def status(self, call: Call) -> dict[str, Any]:
        key = self._on.session
        return {
            "apiKey": key.key if key else None,
            "authorizedSince": milliseconds(self._on.session_since_ns) if key else None,
            "connectedSince": milliseconds(self._on.connected_ns),
            "returnRateLimits": self._on.tells_limits,
            "serverTime": milliseconds(call.front.now_ns()),
            "userDataStream": bool(self._on.subscriptions),
        }

    def logout(self, call: Call) -> dict[str, Any]:
        self._on.session = None
        self._on.unsubscribe(only_session=True)
        return self.status(call)

    def subscriptions(self, call: Call) -> list[dict[str, int]]:
        return [{"subscriptionId": number} for number in self._on.subscriptions]

    def subscribe(self, call: Call) -> dict[str, int]:
        if (key := self._on.session) is None:
            raise ApiError(-1002, "You are not authorized to execute this request.", 401)
        account = call.front.find_key(key.key).account
        return {"subscriptionId": self._on.subscribe(account, by_session=True)}

    def subscribe_signed(self, call: Call) -> dict[str, int]:
        return {"subscriptionId": self._on.subscribe(call.account, by_session=False)}

    def unsubscribe(self, call: Call) -> dict[str, Any]:
        if not self._on.unsubscribe(call.get("subscriptionId")):
            raise ApiError(-2036, "User Data Stream subscription not active.")
        return {}


def session_routes(session: Session) -> tuple[Route, ...]:
    """The rows of the table that belong to one connection."""
    does = _Requests(session)
    number = Parameter("subscriptionId", p.integer)
    return (
        _row("session.logon", does.logon, *SIGNED, security=Security.READ),
        _row("session.status", does.status),
        _row("session.logout", does.logout),
        _row("session.subscriptions", does.subscriptions),
        _row("userDataStream.subscribe", does.subscribe),
        _row(
            "userDataStream.subscribe.signature",
            does.subscribe_signed,
            *SIGNED,
            security=Security.READ,
        ),
        _row("userDataStream.unsubscribe", does.unsubscribe, number),
    )


def _row(
    ws: str, handler: Handler, *parameters: Parameter, security: Security = Security.NONE
) -> Route:
    return Route(
        rest="",
        ws=ws,
        weight=always(WEIGHT),
        security=security,
        parameters=parameters,
        handler=handler,
    )
