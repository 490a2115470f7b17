"""Bybit over HTTP: the table of calls, and what is done around each of them."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from goalkick.common.core.errors import InvalidDataError
from goalkick.venue.accounts import ApiKey
from goalkick.venue.bybit import account_calls, errors, market_calls, order_calls
from goalkick.venue.bybit.errors import ApiError
from goalkick.venue.bybit.front import Front, Quota
from goalkick.venue.bybit.parameters import Field, read
from goalkick.venue.bybit.settings import BybitSettings
from goalkick.venue.bybit.signing import check_request
from goalkick.venue.engine.model import Refused
from goalkick.venue.faults import Fault
from goalkick.venue.rest_faults import STALE, STRUCK

Fields = Mapping[str, Field]
Result = dict[str, Any]
FRONT_END = "bybit"


@dataclass(frozen=True)
class PublicCall:
    """A call that anybody may make."""

    fields: Fields
    run: Callable[[Front, Result], Result]


@dataclass(frozen=True)
class SignedCall:
    """A call of an account.

    Attributes:
        trades: whether it counts as an order request or as a query.
        amends: whether it counts as a request to change an order.
    """

    fields: Fields
    run: Callable[[Front, ApiKey, Result], Result]
    trades: bool = False
    amends: bool = False

    def limit(self, settings: BybitSettings) -> int:
        """How many of these an account may make in a second."""
        if self.amends:
            return settings.amends_per_second
        return settings.orders_per_second if self.trades else settings.queries_per_second


CALLS: dict[tuple[str, str], PublicCall | SignedCall] = {
    ("GET", "/v5/market/time"): PublicCall(market_calls.TIME_FIELDS, market_calls.server_time),
    ("GET", "/v5/market/instruments-info"): PublicCall(
        market_calls.INSTRUMENT_FIELDS, market_calls.instruments
    ),
    ("GET", "/v5/market/kline"): PublicCall(market_calls.KLINE_FIELDS, market_calls.kline),
    ("GET", "/v5/market/recent-trade"): PublicCall(
        market_calls.TRADE_FIELDS, market_calls.recent_trades
    ),
    ("GET", "/v5/market/orderbook"): PublicCall(market_calls.BOOK_FIELDS, market_calls.order_book),
    ("GET", "/v5/market/tickers"): PublicCall(market_calls.TICKER_FIELDS, market_calls.tickers),
    ("GET", "/v5/account/wallet-balance"): SignedCall(
        account_calls.WALLET_FIELDS, account_calls.wallet
    ),
    ("GET", "/v5/account/query-dcp-info"): SignedCall({}, account_calls.dead_man),
    ("GET", "/v5/account/fee-rate"): SignedCall(account_calls.FEE_FIELDS, account_calls.fee_rate),
    ("GET", "/v5/asset/coin/query-info"): SignedCall(
        account_calls.COIN_FIELDS, account_calls.coins
    ),
    ("GET", "/v5/order/realtime"): SignedCall(
        account_calls.REALTIME_FIELDS, account_calls.realtime
    ),
    ("GET", "/v5/order/history"): SignedCall(account_calls.HISTORY_FIELDS, account_calls.history),
    ("GET", "/v5/execution/list"): SignedCall(
        account_calls.EXECUTION_FIELDS, account_calls.executions
    ),
    ("POST", "/v5/order/create"): SignedCall(
        order_calls.CREATE_FIELDS, order_calls.create, trades=True
    ),
    ("POST", "/v5/order/amend"): SignedCall(
        order_calls.AMEND_FIELDS, order_calls.amend, trades=True, amends=True
    ),
    ("POST", "/v5/order/cancel"): SignedCall(
        order_calls.CANCEL_FIELDS, order_calls.cancel, trades=True
    ),
    ("POST", "/v5/order/cancel-all"): SignedCall(
        order_calls.CANCEL_ALL_FIELDS, order_calls.cancel_all, trades=True
    ),
    ("POST", "/v5/order/disconnected-cancel-all"): SignedCall(
        order_calls.DEAD_MAN_FIELDS, order_calls.set_dead_man, trades=True
    ),
}


@dataclass
class _Exchange:
    """One request on its way, and what is known of it for the reply and the log."""

    params: dict[str, Any]
    account: str = ""
    quota: Quota | None = None


def add_routes(app: web.Application, front: Front) -> None:
    """Adds all calls to an application."""
    for (method, path), call in CALLS.items():
        app.router.add_route(method, path, functools.partial(_answer, front, call))


async def _answer(
    front: Front, call: PublicCall | SignedCall, request: web.Request
) -> web.Response:
    state = _Exchange(params={})
    body = await request.read()
    front.context.advance()
    result: Any = {}
    code, message, status = 0, "OK", 200
    try:
        front.check_address(request.remote or "")
        result = _run(front, call, request, body.decode(errors="replace"), state)
    except Refused as error:
        refused = errors.refused(error)
        code, message = refused.code, refused.message
    except InvalidDataError as error:
        code, message = 10001, f"params error: {error}"
    except ApiError as error:
        code, message, status = error.code, error.message, error.status
    front.context.requests.add(
        time_ns=front.context.clock.now_ns(),
        front_end=FRONT_END,
        method=f"{request.method} {request.path}",
        params=state.params,
        account=state.account,
        status=status,
        code=code or "",
        fault=request.get(STRUCK, ""),
    )
    envelope = {
        "retCode": code,
        "retMsg": message,
        "result": result,
        "retExtInfo": {},
        "time": front.now_ms(),
    }
    return web.Response(
        body=msgspec.json.encode(envelope),
        status=status,
        content_type="application/json",
        headers=state.quota.headers if state.quota else None,
    )


def _run(
    front: Front,
    call: PublicCall | SignedCall,
    request: web.Request,
    body: str,
    state: _Exchange,
) -> Result:
    query = request.raw_path.partition("?")[2]
    if isinstance(call, PublicCall):
        state.params = dict(request.query)
        result = call.run(front, read(call.fields, state.params))
        return _aged(result, request[STALE]) if STALE in request else result
    payload = body if request.method == "POST" else query
    key = check_request(
        front.context.accounts,
        request.headers,
        payload,
        now_ms=front.now_ms(),
        default_window_ms=front.settings.receive_window_ms,
    )
    state.account = key.account
    state.params = _members(body) if request.method == "POST" else dict(request.query)
    state.quota = front.spend(key, request.path, call.limit(front.settings))
    asked = read(call.fields, state.params)
    if STALE in request:
        return {"category": "spot", "list": [], "nextPageCursor": ""}
    return call.run(front, key, asked)


def _aged(result: Result, fault: Fault) -> Result:
    """A book under the numbers that it had earlier; other replies have none."""
    behind = int(fault.number("behind", 1000))
    return {**result, **{name: result[name] - behind for name in ("u", "seq") if name in result}}


def _members(body: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise errors.bad_parameter("expected a JSON object") from None
