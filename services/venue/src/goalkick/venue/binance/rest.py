"""The REST door: reads requests as they were sent, and answers in JSON with Binance's headers."""

import msgspec
from aiohttp import web

from goalkick.venue.binance import errors, signing
from goalkick.venue.binance.desk import Answer, Asked, Credential, serve
from goalkick.venue.binance.errors import ApiError
from goalkick.venue.binance.front import FRONT_END, Front
from goalkick.venue.binance.routes import GONE, Route, by_rest
from goalkick.venue.rest_faults import STALE, STRUCK

KEY_HEADER = "X-MBX-APIKEY"
FORM = "application/x-www-form-urlencoded"
ARRIVED = web.RequestKey("arrived", bool)
"""Is set on what no fault has kept from the door."""

UNKNOWN_ADDRESS = "0.0.0.0"  # noqa: S104 - no address to listen on: the peer is gone already


class RestDoor:
    """Answers all requests under /api and /sapi."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._routes = by_rest()

    async def handle(self, request: web.Request) -> web.Response:
        """Answers a request; what is not in the table gets 404."""
        request[ARRIVED] = True
        name = f"{request.method} {request.path}"
        route = self._routes.get(name)
        if route is None:
            return self._unknown(request, name)
        body = (await request.read()).decode("utf-8", "surrogateescape")
        query = request.raw_path.partition("?")[2]
        try:
            sent = _parameters(query, body)
        except ApiError as error:
            return self._told(request, route, Answer(400, error.body(), error=error))
        signature = sent.pop(signing.SIGNATURE, None)
        asked = Asked(
            route=route,
            name=name,
            sent=sent,
            address=address_of(request),
            credential=Credential(
                key=request.headers.get(KEY_HEADER),
                payload=signing.rest_payload(query, body),
                signature=signature,
            ),
            stale=request.get(STALE),
            struck=request.get(STRUCK, ""),
        )
        return self._told(request, route, serve(self._front, asked))

    def _told(self, request: web.Request, route: Route, answer: Answer) -> web.Response:
        front, now_ns = self._front, self._front.now_ns()
        used = front.weights.used(address_of(request), now_ns)
        headers = {"X-MBX-USED-WEIGHT": str(used), "X-MBX-USED-WEIGHT-1M": str(used)}
        if route.tells_orders and answer.account:
            for rate, count in front.orders.counts(answer.account, now_ns):
                number, unit = errors.interval_name(rate.interval_ns)
                headers[f"X-MBX-ORDER-COUNT-{number}{unit[0]}"] = str(count)
        body = answer.body
        if answer.error is not None:
            headers.update(answer.error.headers)
            body = _without_times(answer.error)
        return web.Response(
            body=msgspec.json.encode(body),
            status=answer.status,
            headers=headers,
            content_type="application/json",
        )

    def _unknown(self, request: web.Request, name: str) -> web.Response:
        gone = request.path in GONE
        self._front.context.requests.add(
            time_ns=self._front.now_ns(),
            front_end=FRONT_END,
            method=name,
            params=dict(request.query),
            status=410 if gone else 404,
        )
        if gone:
            body = {"code": -1016, "msg": "This service is no longer available."}
            return web.json_response(body, status=410)
        return web.Response(status=404, text="<html><body><h2>404 Not found</h2></body></html>\n")


def address_of(request: web.BaseRequest) -> str:
    """The address that a request came from."""
    return request.remote or UNKNOWN_ADDRESS


def _parameters(query: str, body: str) -> dict[str, str]:
    """Parameters by name; the query's win over the body's.

    Raises:
        ApiError: one came twice in one of them.
    """
    merged: dict[str, str] = {}
    for text in (body, query):
        pairs = signing.pairs(text)
        if len({name for name, _ in pairs}) != len(pairs):
            raise errors.duplicated()
        merged.update(pairs)
    return merged


def _without_times(error: ApiError) -> object:
    """The times of a refusal are in the headers; only a replacement has `data` in its body."""
    body = error.body()
    if error.data is not None and "retryAfter" in error.data:
        del body["data"]
    return body
