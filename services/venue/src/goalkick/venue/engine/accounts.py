"""Who trades here, and all that they ever did: the records that the ledger shows.

An account's orders and fills are kept for ever, save those of house accounts.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.money import ZERO
from goalkick.venue.engine.model import Fill, Order, Reason, Refused, Status


class Deposit(msgspec.Struct, frozen=True, kw_only=True):
    """Money that came in from outside, or left where the amount is negative."""

    asset: str
    amount: Decimal
    time_ns: int


class Account:
    """One account's records.

    Attributes:
        house: it belongs to the exchange: no filter holds for it (recorded books have levels that
            none would allow), and its ended orders and its fills are forgotten, so that endless
            flow needs no memory.
        fee_asset: what fees are paid in, where there is enough of it; None: what is received.
        fee_prices: what one unit of `fee_asset` costs, by the asset that it costs.
        fees: what was paid so far, by asset.
        fills: oldest first.
    """

    def __init__(self, name: str, *, house: bool) -> None:
        self.name = name
        self.house = house
        self.fee_asset: str | None = None
        self.fee_prices: Mapping[str, Decimal] = {}
        self.deposits: list[Deposit] = []
        self.fees: dict[str, Decimal] = {}
        self.fills: list[Fill] = []
        self._orders: dict[int, Order] = {}
        self._by_instrument: dict[str, list[Order]] = {}
        self._open: dict[str, dict[int, Order]] = {}
        self._open_clients: dict[str, Order] = {}
        self._newest_clients: dict[tuple[str, str], Order] = {}

    def add(self, order: Order) -> None:
        """An order was accepted."""
        self._open.setdefault(order.instrument, {})[order.order_id] = order
        self._open_clients[order.client_order_id] = order
        if not self.house:
            self._orders[order.order_id] = order
            self._by_instrument.setdefault(order.instrument, []).append(order)
            self._newest_clients[order.instrument, order.client_order_id] = order

    def end(self, order: Order) -> None:
        """An order is not open any more."""
        del self._open[order.instrument][order.order_id]
        del self._open_clients[order.client_order_id]

    def record(self, fill: Fill) -> None:
        """A fill took place."""
        if fill.fee:
            self.fees[fill.fee_asset] = self.fees.get(fill.fee_asset, ZERO) + fill.fee
        if not self.house:
            self.fills.append(fill)

    def has_open(self, client_order_id: str) -> bool:
        """Whether an open order has this client order id."""
        return client_order_id in self._open_clients

    def open_orders(self, instrument: str | None = None) -> list[Order]:
        """What is open, of one instrument or of all, oldest first."""
        if instrument is not None:
            return list(self._open.get(instrument, {}).values())
        orders = (order for group in self._open.values() for order in group.values())
        return sorted(orders, key=lambda order: order.order_id)

    def count_open(self, instrument: str) -> int:
        """How many orders are open."""
        return len(self._open.get(instrument, ()))

    def count_waiting(self, instrument: str) -> int:
        """How many orders wait for their trigger."""
        orders = self._open.get(instrument, {}).values()
        return sum(order.status is Status.PENDING for order in orders)

    def orders(self, instrument: str | None = None) -> Iterable[Order]:
        """All orders ever, of one instrument or of all, oldest first; a house's open ones."""
        if self.house:
            return self.open_orders(instrument)
        if instrument is None:
            return self._orders.values()
        return self._by_instrument.get(instrument, ())

    def find(self, instrument: str, order_id: int | None, client_order_id: str | None) -> Order:
        """The order with this id, or the newest with this client order id.

        Raises:
            Refused: there is none, or the two ids are of different orders.
        """
        order = self._find(instrument, order_id, client_order_id)
        named = client_order_id is None or (order and order.client_order_id == client_order_id)
        if order is None or order.instrument != instrument or not named:
            raise Refused(
                Reason.UNKNOWN_ORDER,
                f"no order {order_id} {client_order_id!r} of {self.name!r} on {instrument}",
            )
        return order

    def _find(
        self, instrument: str, order_id: int | None, client_order_id: str | None
    ) -> Order | None:
        if order_id is not None:
            return self._orders.get(order_id) or self._open.get(instrument, {}).get(order_id)
        if client_order_id is None:
            raise InvalidDataError("expected an order id or a client order id, found neither")
        opened = self._open_clients.get(client_order_id)
        if opened is not None and opened.instrument == instrument:
            return opened
        return self._newest_clients.get((instrument, client_order_id))


class Accounts:
    """All accounts, by name."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}

    def __getitem__(self, name: str) -> Account:
        """The account.

        Raises:
            InvalidDataError: there is none of this name.
        """
        try:
            return self._accounts[name]
        except KeyError:
            raise InvalidDataError(f"expected an open account, found {name!r}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._accounts

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    def open(self, name: str, *, house: bool) -> Account:
        """A new account.

        Raises:
            InvalidDataError: there is one of this name.
        """
        if name in self._accounts:
            raise InvalidDataError(f"expected a new account, found {name!r}, which is open")
        account = self._accounts[name] = Account(name, house=house)
        return account
