"""What all of Binance's doors share: symbols, limits, and the check of who is asking."""

import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from goalkick.venue.accounts import ApiKey
from goalkick.venue.binance import errors, signing
from goalkick.venue.binance.parameters import Values
from goalkick.venue.binance.symbols import Symbols
from goalkick.venue.context import Context
from goalkick.venue.engine.model import (
    BalanceChanged,
    Fill,
    Happening,
    Order,
    OrderChanged,
    PhaseChanged,
)
from goalkick.venue.limits import AddressLimit, ConnectionLimit, OrderLimit

FRONT_END = "binance"
"""Name in the log of requests."""

_AHEAD_NS = 1_000_000_000
"""How far a time stamp may be ahead of the clock, exclusive."""

_ID_LETTERS = string.ascii_letters + string.digits


class Front:
    """The state of the front end beside the exchange's own."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.exchange = context.exchange
        self.settings = context.settings.binance
        self.symbols = Symbols(context.exchange)
        self.weights = AddressLimit(self.settings.weight_rate, self.settings.bans)
        self.orders = OrderLimit(self.settings.order_rates)
        self.connects = ConnectionLimit(self.settings.connect_rate)
        self._touched_ns: dict[str, int] = {}
        self._opened_ns = self.exchange.now_ns
        self._unsubscribe = self.exchange.subscribe(self._happened)

    def close(self) -> None:
        """Stops listening to the exchange."""
        self._unsubscribe()

    def now_ns(self) -> int:
        """What the venue's clock shows."""
        return self.context.clock.now_ns()

    def touched_ns(self, account: str) -> int:
        """When an account's balances changed last, as far as it was seen."""
        return self._touched_ns.get(account, self._opened_ns)

    def spend(self, address: str, weight: int) -> None:
        """Counts a request's weight.

        Raises:
            ApiError: 429 or 418; the request is not served.
        """
        now_ns = self.now_ns()
        if refusal := self.weights.spend(address, weight, now_ns):
            raise errors.too_much_weight(refusal, self.weights.rate, now_ns)

    def find_key(self, key: str | None) -> ApiKey:
        """Whose key it is.

        Raises:
            ApiError: it is no key, or nobody's.
        """
        if not key or not key.isascii() or not key.replace("-", "").replace("_", "").isalnum():
            raise errors.bad_key_format()
        if (found := self.context.accounts.find(key)) is None:
            raise errors.unknown_key()
        return found

    def check_signature(self, key: ApiKey, payload: str, signature: str) -> None:
        """Checks that the owner of a key signed this.

        Raises:
            ApiError: he did not.
        """
        if not signing.verify(key, payload, signature):
            raise errors.bad_signature()

    def check_time(self, values: Values) -> None:
        """Checks that a request is neither old nor from the future.

        Raises:
            ApiError: it is.
        """
        now_ns, sent_ns = self.now_ns(), values["timestamp"]
        if sent_ns >= now_ns + _AHEAD_NS:
            raise errors.ahead_of_time()
        if now_ns - sent_ns > values.get("recvWindow", self.settings.receive_window):
            raise errors.outside_window()

    def count_order(self, account: str) -> None:
        """Counts an order of an account.

        Raises:
            ApiError: it has placed too many.
        """
        now_ns = self.now_ns()
        if exceeded := self.orders.exceeded(account, now_ns):
            rate, refusal = exceeded
            raise errors.too_many_orders(refusal, rate, now_ns)
        self.orders.place(account, now_ns)

    def _happened(self, happening: Happening) -> None:
        if isinstance(happening, PhaseChanged):
            self.symbols.refresh()
        elif isinstance(happening, BalanceChanged):
            self._touched_ns[happening.account] = happening.time_ns
        elif isinstance(happening, OrderChanged) and happening.fill is not None:
            self._give_back(happening.order, happening.fill)

    def _give_back(self, order: Order, fill: Fill) -> None:
        """An order that trades does not count as unfilled any more, from its first fill on."""
        if order.executed == fill.quantity:
            self.orders.filled(order.account, order.created_ns, self.now_ns())


@dataclass(frozen=True)
class Call:
    """A request that was read and checked.

    Attributes:
        front: where it came in.
        values: its parameters.
        account: who asked; "" for anybody.
        key: what it was signed with; None for what need not be signed.
        behind: by how many update ids the book of the answer must be too old; a fault.
        hide_order: whether the order that is asked for cannot be found yet; a fault.
    """

    front: Front
    values: Values
    account: str = ""
    key: ApiKey | None = None
    behind: int = 0
    hide_order: bool = False

    def get(self, name: str, default: Any = None) -> Any:
        """A parameter that need not be there."""
        return self.values.get(name, default)


Handler = Callable[[Call], Any]
"""Answers a call with what JSON can say; raises `ApiError` or the exchange's `Refused`."""


def generated_id() -> str:
    """A client order id for who sent none, of the 22 letters and digits that Binance gives."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(22))


def rate_limits(front: Front, address: str, account: str, *, orders: bool) -> list[dict[str, Any]]:
    """The limits that a request touched and what is used of them."""
    now_ns = front.now_ns()
    rows: list[dict[str, Any]] = []
    if orders and account:
        rows += [
            {**_rate("ORDERS", rate.limit, rate.interval_ns), "count": count}
            for rate, count in front.orders.counts(account, now_ns)
        ]
    weight = front.weights.rate
    used = front.weights.used(address, now_ns)
    return [*rows, {**_rate("REQUEST_WEIGHT", weight.limit, weight.interval_ns), "count": used}]


def limit_rules(front: Front) -> list[Mapping[str, Any]]:
    """The limits, without what is used of them."""
    weight = front.weights.rate
    return [
        _rate("REQUEST_WEIGHT", weight.limit, weight.interval_ns),
        *(_rate("ORDERS", rate.limit, rate.interval_ns) for rate in front.orders.rates),
    ]


def _rate(kind: str, limit: int, interval_ns: int) -> dict[str, Any]:
    number, unit = errors.interval_name(interval_ns)
    return {"rateLimitType": kind, "interval": unit, "intervalNum": number, "limit": limit}
