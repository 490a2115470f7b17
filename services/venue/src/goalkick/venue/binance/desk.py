"""Serves a request of the table: limits, key, parameters, signature, time, then the handler.

The order of the checks is Binance's: who asks with a wrong key is not told that his signature is
wrong, too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from goalkick.venue.accounts import ApiKey
from goalkick.venue.binance import errors, parameters
from goalkick.venue.binance.errors import ApiError
from goalkick.venue.binance.front import FRONT_END, Call, Front
from goalkick.venue.binance.routes import Route, Security
from goalkick.venue.engine.model import Refused
from goalkick.venue.faults import Fault


@dataclass(frozen=True, kw_only=True)
class Credential:
    """What shows who is asking.

    Attributes:
        key: text of the API key; None: there is none.
        payload: what was signed.
        signature: None: there is none.
        session: the key that the connection is logged on with; it needs no signature.
    """

    key: str | None = None
    payload: str = ""
    signature: str | None = None
    session: ApiKey | None = None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it came in.

    Attributes:
        route: its row of the table.
        name: what the log calls it.
        sent: its parameters, without `signature` and `apiKey`.
        address: where it came from.
        credential: who asks.
        stale: the fault that makes the answer that of earlier; None: none.
        struck: name of the fault that struck it; "" for none.
    """

    route: Route
    name: str
    sent: Mapping[str, str]
    address: str
    credential: Credential
    stale: Fault | None = None
    struck: str = ""


@dataclass(frozen=True)
class Answer:
    """What is sent back.

    Attributes:
        status: of HTTP, or of the WebSocket API's reply.
        body: what JSON can say: a result, or `{"code", "msg"}`.
        account: who asked; "" if nobody is known to.
        error: what it was refused with; None: it was not.
    """

    status: int
    body: Any
    account: str = ""
    error: ApiError | None = None


def serve(front: Front, asked: Asked) -> Answer:
    """Answers a request, and writes it to the log."""
    front.context.advance()
    accounts: list[str] = []
    try:
        answer = Answer(200, _handle(front, asked, accounts.append))
    except ApiError as error:
        answer = Answer(error.status, error.body(), error=error)
    except Refused as refused:
        told = errors.refused_order(refused)
        answer = Answer(told.status, told.body(), error=told)
    account = accounts[0] if accounts else ""
    front.context.requests.add(
        time_ns=front.now_ns(),
        front_end=FRONT_END,
        method=asked.name,
        params=asked.sent,
        account=account,
        status=answer.status,
        code=answer.error.code if answer.error else "",
        fault=asked.struck or (asked.stale.name if asked.stale else ""),
    )
    return Answer(answer.status, answer.body, account, answer.error)


def authenticate(front: Front, credential: Credential) -> ApiKey:
    """The key that a signed request comes with.

    Raises:
        ApiError: it has none, or nobody's, or it was revoked since the session began.
    """
    if credential.key is None and credential.session is not None:
        return front.find_key(credential.session.key)
    return front.find_key(credential.key)


def check_signed(
    front: Front, credential: Credential, key: ApiKey, values: parameters.Values
) -> None:
    """Checks signature and time of a request whose parameters were read.

    Raises:
        ApiError: one of them is wrong.
    """
    by_session = credential.key is None and credential.session is not None
    if not by_session:
        if not credential.signature:
            raise errors.missing("signature")
        front.check_signature(key, credential.payload, credential.signature)
    front.check_time(values)


def _handle(front: Front, asked: Asked, tell_account: Callable[[str], None]) -> Any:
    route = asked.route
    front.spend(asked.address, route.weight(asked.sent))
    signed = route.security is not Security.NONE
    key = authenticate(front, asked.credential) if signed else None
    values = parameters.read(route.parameters, asked.sent)
    if key is None:
        return route.handler(_call(front, asked, values, None))
    check_signed(front, asked.credential, key, values)
    if route.security is Security.TRADE and not key.can_trade:
        raise errors.unknown_key()
    tell_account(key.account)
    if route.counts_order:
        front.count_order(key.account)
    return route.handler(_call(front, asked, values, key))


def _call(front: Front, asked: Asked, values: parameters.Values, key: ApiKey | None) -> Call:
    stale = asked.stale
    return Call(
        front,
        values,
        key.account if key else "",
        key,
        behind=int(stale.number("behind", 1000)) if stale else 0,
        hide_order=stale is not None,
    )
