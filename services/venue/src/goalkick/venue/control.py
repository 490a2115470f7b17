"""The control API: arm faults, read the ledger and the log, move the clock, rule the market.

JSON over HTTP on a port of its own, for tests and for people with curl. It has no password and
tells secrets: it belongs where only its owner can reach it.
"""

import functools
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from goalkick.common.core.errors import GoalkickError, InvalidDataError
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.venue.accounts import ApiKey
from goalkick.venue.context import Context
from goalkick.venue.engine.model import (
    Kind,
    Listing,
    NewOrder,
    Phase,
    Refused,
    SelfTrade,
    Side,
    TimeInForce,
)
from goalkick.venue.faults import Fault, Params
from goalkick.venue.presets import PRESETS, Call, preset
from goalkick.venue.pump import Pump
from goalkick.venue.settings import HOUSE

Body = TypeVar("Body", bound=msgspec.Struct)
_ENCODER = msgspec.json.Encoder(decimal_format="string")


class Asked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The base of all bodies: what is not known is refused."""


class Nothing(Asked):
    """No fields."""


class Numbered(Asked):
    """A fault; None: all of them."""

    number: int | None = None


class Overrides(Asked):
    """Changes to the faults of a preset."""

    where: str | None = None
    skip: int | None = None
    count: int | None = None
    duration_s: float | None = None
    params: Params | None = None


class ClockSet(Asked):
    """Exactly one of: the time to show, seconds to step, seconds ahead of real time, rate."""

    set_ns: int | None = None
    step_s: float | None = None
    skew_s: float | None = None
    rate: float | None = None


class FlowSet(Asked):
    """Whether the flow stands still."""

    paused: bool


class PhaseSet(Asked):
    """What may be done with an instrument."""

    instrument: str
    phase: Phase


class Named(Asked):
    """An instrument."""

    instrument: str


class Rules(Asked):
    """New rules of an instrument; None keeps the present one."""

    instrument: str
    tick_size: Decimal | None = None
    lot_size: Decimal | None = None
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    min_quantity: Decimal | None = None
    max_quantity: Decimal | None = None
    max_market_quantity: Decimal | None = None
    min_notional: Decimal | None = None
    max_notional: Decimal | None = None
    max_orders: int | None = None
    max_algo_orders: int | None = None
    maker_fee: Decimal | None = None
    taker_fee: Decimal | None = None


class Deposit(Asked):
    """Money for an account; one that does not exist is opened."""

    account: str
    asset: str
    amount: Decimal


class HouseOrder(Asked):
    """An order that is placed here instead of through a front end."""

    instrument: str
    side: Side
    kind: Kind = Kind.LIMIT
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    self_trade: SelfTrade = SelfTrade.NONE
    client_order_id: str = ""
    account: str = HOUSE


class CancelOrder(Asked):
    """An order of an account."""

    instrument: str
    order_id: int
    account: str = HOUSE


class KeyFor(Asked):
    """A new key; generated unless it is given."""

    account: str
    key: str = ""
    secret: str = ""
    public_key: str = ""
    can_trade: bool = True


class KeyGone(Asked):
    """A key, or all keys of an account."""

    key: str = ""
    account: str = ""


class Control:
    """The calls, by method and path; the handlers are plain functions of a checked body."""

    def __init__(self, context: Context, pump: Pump) -> None:
        """Control over an exchange and what surrounds it."""
        self._context = context
        self._pump = pump
        self.calls: dict[
            tuple[str, str], tuple[type[msgspec.Struct], Callable[[Any], Any], str]
        ] = {
            ("GET", "/faults"): (Nothing, self._faults, "what is armed"),
            ("POST", "/faults"): (Fault, self._arm, "arm a fault"),
            ("DELETE", "/faults"): (Numbered, self._clear, "disarm one (number), or all"),
            ("GET", "/presets"): (Nothing, lambda _: list(PRESETS.values()), "the catalogue"),
            ("GET", "/sockets"): (Nothing, self._sockets, "open WebSockets"),
            ("GET", "/ledger"): (Nothing, self._ledger, "all that the exchange knows"),
            ("GET", "/clock"): (Nothing, self._clock, "the venue's clock"),
            ("POST", "/clock"): (ClockSet, self._set_clock, "set, step, skew or drift it"),
            ("GET", "/dead-man"): (Nothing, self._dead_man, "Bybit's dead-man timers, by account"),
            ("GET", "/flow"): (Nothing, self._flow, "whether the flow trades"),
            ("POST", "/flow"): (FlowSet, self._set_flow, "pause it, or let it go on"),
            ("GET", "/instruments"): (Nothing, self._instruments, "instruments and rules"),
            ("POST", "/instruments"): (Listing, self._list, "list one"),
            ("PATCH", "/instruments"): (Rules, self._change_rules, "change rules"),
            ("DELETE", "/instruments"): (Named, self._delist, "delist one"),
            ("POST", "/phase"): (PhaseSet, self._set_phase, "halt or open an instrument"),
            ("POST", "/deposits"): (Deposit, self._deposit, "give an account money"),
            ("POST", "/orders"): (HouseOrder, self._place, "place an order as the house"),
            ("DELETE", "/orders"): (CancelOrder, self._cancel, "cancel an order"),
            ("GET", "/keys"): (Nothing, self._keys, "API keys and their secrets"),
            ("POST", "/keys"): (KeyFor, self._add_key, "make a key valid"),
            ("DELETE", "/keys"): (KeyGone, self._revoke, "revoke keys"),
        }

    def call(self, call: Call) -> Any:
        """Makes a call from inside, as presets do."""
        kind, run, _ = self.calls[call.method, call.path]
        return run(msgspec.convert(call.body, kind, strict=False))

    def start_preset(self, name: str, changes: Overrides) -> Any:
        """Arms a preset and makes its calls; returns it with the handles of its faults."""
        chosen = preset(name, **msgspec.structs.asdict(changes))
        for call in chosen.calls:
            self.call(call)
        numbers = [self._context.faults.arm(fault) for fault in chosen.faults]
        return {"preset": chosen, "numbers": numbers}

    def _faults(self, _: Nothing) -> Any:
        return self._context.faults.armed()

    def _arm(self, fault: Fault) -> Any:
        return {"number": self._context.faults.arm(fault)}

    def _clear(self, asked: Numbered) -> Any:
        return {"cleared": self._context.faults.clear(asked.number)}

    def _sockets(self, _: Nothing) -> Any:
        return self._context.faults.sockets()

    def _ledger(self, _: Nothing) -> Any:
        self._context.advance()
        return self._context.exchange.ledger()

    def _clock(self, _: Nothing) -> Any:
        clock = self._context.clock
        return {
            "now_ns": clock.now_ns(),
            "skew_ns": clock.skew_ns,
            "rate": clock.rate,
            "exchange_ns": self._context.exchange.now_ns,
        }

    def _set_clock(self, asked: ClockSet) -> Any:
        given = {k: v for k, v in msgspec.structs.asdict(asked).items() if v is not None}
        if len(given) != 1:
            raise InvalidDataError(
                "expected exactly one of set_ns, step_s, skew_s and rate, "
                f"found {', '.join(given) or 'none'}"
            )
        clock = self._context.clock
        match next(iter(given.items())):
            case "set_ns", int(time_ns):
                clock.set(time_ns)
            case "step_s", seconds:
                clock.step(round(seconds * NS_PER_SECOND))
            case "skew_s", seconds:
                clock.skew(round(seconds * NS_PER_SECOND))
            case _, rate:
                clock.drift(rate)
        return self._clock(Nothing())

    def _dead_man(self, _: Nothing) -> Any:
        return self._context.shown.get("dead_man", dict)()

    def _flow(self, _: Nothing) -> Any:
        return {"paused": self._pump.paused, "rounds": self._pump.rounds}

    def _set_flow(self, asked: FlowSet) -> Any:
        self._pump.paused = asked.paused
        return self._flow(Nothing())

    def _instruments(self, _: Nothing) -> Any:
        return list(self._context.exchange.listings.values())

    def _list(self, listing: Listing) -> Any:
        self._context.advance()
        self._context.exchange.list_instrument(listing)
        return self._listed(listing.instrument)

    def _change_rules(self, asked: Rules) -> Any:
        changes = {k: v for k, v in msgspec.structs.asdict(asked).items() if v is not None}
        listing = self._listed(asked.instrument)
        return self._list(msgspec.structs.replace(listing, **changes))

    def _delist(self, asked: Named) -> Any:
        listing = self._listed(asked.instrument)
        self._context.advance()
        self._context.exchange.delist(asked.instrument)
        return listing

    def _set_phase(self, asked: PhaseSet) -> Any:
        self._listed(asked.instrument)
        self._context.advance()
        self._context.exchange.set_phase(asked.instrument, asked.phase)
        return self._listed(asked.instrument)

    def _listed(self, instrument: str) -> Listing:
        listings = self._context.exchange.listings
        if instrument not in listings:
            raise InvalidDataError(f"expected one of {', '.join(listings)}, found {instrument!r}")
        return listings[instrument]

    def _deposit(self, asked: Deposit) -> Any:
        self._context.advance()
        exchange = self._context.exchange
        if exchange.has_account(asked.account):
            exchange.deposit(asked.account, asked.asset, asked.amount)
        else:
            exchange.open_account(asked.account, {asked.asset: asked.amount})
        return exchange.balances(asked.account)

    def _place(self, asked: HouseOrder) -> Any:
        fields = {k: v for k, v in msgspec.structs.asdict(asked).items() if k != "account"}
        self._context.advance()
        return self._context.exchange.place(asked.account, NewOrder(**fields))

    def _cancel(self, asked: CancelOrder) -> Any:
        self._context.advance()
        return self._context.exchange.cancel(
            asked.account, asked.instrument, order_id=asked.order_id
        )

    def _keys(self, _: Nothing) -> Any:
        return list(self._context.accounts)

    def _add_key(self, asked: KeyFor) -> Any:
        if not asked.key:
            return self._context.accounts.generate(asked.account)
        key = msgspec.convert(msgspec.structs.asdict(asked), ApiKey)
        self._context.accounts.add(key)
        return key

    def _revoke(self, asked: KeyGone) -> Any:
        accounts = self._context.accounts
        chosen = [k.key for k in accounts if asked.key == k.key or asked.account == k.account]
        return {"revoked": sum(accounts.revoke(key) for key in chosen)}


def build(context: Context, pump: Pump) -> web.Application:
    """The control API as a web application."""
    control = Control(context, pump)
    app = web.Application(middlewares=[_errors])
    for (method, path), (kind, run, _) in control.calls.items():
        app.router.add_route(method, path, functools.partial(_handle, kind, run))
    app.router.add_get("/", functools.partial(_index, control))
    app.router.add_post("/presets/{name}", functools.partial(_preset, control))
    app.router.add_get("/requests", functools.partial(_requests, context))
    app.router.add_delete("/requests", functools.partial(_forget_requests, context))
    app.router.add_get("/healthz", functools.partial(_health, pump))
    app.router.add_get("/metrics", functools.partial(_metrics, context, pump))
    return app


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=_ENCODER.encode(value), status=status, content_type="application/json")


async def _handle(
    kind: type[Body], run: Callable[[Body], Any], request: web.Request
) -> web.Response:
    return _json(run(await _read(request, kind)))


async def _read(request: web.Request, kind: type[Body]) -> Body:
    raw = await request.read()
    if raw:
        return msgspec.json.decode(raw, type=kind)
    return msgspec.convert(dict(request.query), kind, strict=False)


async def _index(control: Control, _: web.Request) -> web.Response:
    calls = {f"{method} {path}": about for (method, path), (_k, _r, about) in control.calls.items()}
    more = {
        "POST /presets/{name}": "start a preset; where, skip, count, duration_s, params change it",
        "GET /requests": "the request log; method, front_end, account and limit narrow it",
        "DELETE /requests": "forget the log",
        "GET /healthz": "whether the exchange is alive",
        "GET /metrics": "counts for Prometheus",
    }
    return _json(calls | more)


async def _preset(control: Control, request: web.Request) -> web.Response:
    changes = await _read(request, Overrides)
    return _json(control.start_preset(request.match_info["name"], changes))


class Narrowed(Asked):
    """Which requests to show; the newest `limit` of them."""

    method: str = ""
    front_end: str = ""
    account: str = ""
    limit: int = 1000


async def _requests(context: Context, request: web.Request) -> web.Response:
    asked = await _read(request, Narrowed)
    found = context.requests.entries(
        method=asked.method, front_end=asked.front_end, account=asked.account
    )
    return _json({"total": context.requests.total, "requests": found[-asked.limit :]})


async def _forget_requests(context: Context, _: web.Request) -> web.Response:
    context.requests.clear()
    return _json({"total": context.requests.total})


async def _health(pump: Pump, _: web.Request) -> web.Response:
    return _json({"alive": pump.alive}, 200 if pump.alive else 503)


async def _metrics(context: Context, pump: Pump, _: web.Request) -> web.Response:
    figures = {
        "goalkick_venue_requests_total": ("counter", context.requests.total),
        "goalkick_venue_flow_rounds_total": ("counter", pump.rounds),
        "goalkick_venue_sockets": ("gauge", len(context.faults.sockets())),
        "goalkick_venue_faults_armed": ("gauge", len(context.faults.armed())),
    }
    lines = (f"# TYPE {name} {kind}\n{name} {value}\n" for name, (kind, value) in figures.items())
    return web.Response(text="".join(lines))


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Says what was wrong in one line of JSON."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _json(
            {"error": f"{error.reason}: {request.method} {request.path}; GET / lists all calls"},
            error.status,
        )
    except Refused as error:
        return _json({"error": str(error), "reason": error.reason}, 409)
    except (msgspec.MsgspecError, GoalkickError, ValueError, ArithmeticError) as error:
        return _json({"error": " ".join(str(error).split())}, 400)
