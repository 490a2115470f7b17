"""The exchange: what all front ends share.

A deterministic core: the same listings and the same commands at the same times bring about the
same happenings, byte for byte. It has no clock, no randomness and no I/O. Whatever is refused
changes nothing. Not for use by several threads.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from types import MappingProxyType

import msgspec

from goalkick.common.values.money import ZERO
from goalkick.venue.engine.accounts import Accounts, Deposit
from goalkick.venue.engine.amending import Amendment, amended, check_amended
from goalkick.venue.engine.filters import (
    check_counts,
    check_filters,
    check_shape,
    check_trigger,
)
from goalkick.venue.engine.ledger import Ledger, ledger_of
from goalkick.venue.engine.market import Market
from goalkick.venue.engine.matching import MARKET_KINDS, Matching, copy_of
from goalkick.venue.engine.model import (
    AggregateTrade,
    Balance,
    BalanceChanged,
    Candle,
    Depth,
    Fill,
    Happening,
    Kind,
    Listing,
    NewOrder,
    Order,
    Phase,
    PhaseChanged,
    PublicTrade,
    Reason,
    Refused,
    Side,
    Status,
    Ticker,
)
from goalkick.venue.engine.outbox import Outbox
from goalkick.venue.engine.planning import Ending
from goalkick.venue.engine.wallets import FEES, Wallets, held_by


class Exchange:
    """Instruments, accounts, orders.

    Args:
        listings: what can be traded from the start.
        now_ns: the time at which it opens.
    """

    def __init__(self, listings: Iterable[Listing], *, now_ns: int) -> None:
        self._now_ns = now_ns
        self._markets: dict[str, Market] = {}
        self._listings: dict[str, Listing] = {}
        self._accounts = Accounts()
        self._wallets = Wallets()
        self._outbox = Outbox()
        self._matching = Matching(self._accounts, self._wallets, self._outbox.emit)
        self._orders = 0
        self.open_account(FEES, {}, house=True)
        for listing in listings:
            self.list_instrument(listing)

    # Time and listeners.

    @property
    def now_ns(self) -> int:
        """The exchange's time."""
        return self._now_ns

    def advance(self, now_ns: int) -> None:
        """The exchange's time goes on; an earlier time leaves it where it is."""
        self._now_ns = max(self._now_ns, now_ns)

    def subscribe(self, listener: Callable[[Happening], None]) -> Callable[[], None]:
        """Tells `listener` all that happens from now on, after each command; returns what ends it.

        The listener may give commands; what they bring about is told after what is under way.
        """
        return self._outbox.subscribe(listener)

    # Instruments.

    @property
    def listings(self) -> Mapping[str, Listing]:
        """What is listed, by instrument."""
        return MappingProxyType(self._listings)

    def list_instrument(self, listing: Listing) -> None:
        """Opens an instrument, or gives a listed one other rules; what rests in its book stays."""
        market = self._markets.get(listing.instrument)
        if market is None:
            self._markets[listing.instrument] = Market(listing)
        else:
            market.listing, market.listed = listing, True
        self._listings[listing.instrument] = listing
        self._phase_changed(listing.instrument, listing)

    def delist(self, instrument: str) -> None:
        """Takes an instrument away; all open orders on it expire.

        Raises:
            Refused: it is not listed.
        """
        market = self._market(instrument)
        for account in self._accounts:
            for order in account.open_orders(instrument):
                self._matching.end(market, order, Status.EXPIRED, self._now_ns)
        market.listed = False
        del self._listings[instrument]
        self._phase_changed(instrument, None)

    def set_phase(self, instrument: str, phase: Phase) -> None:
        """Halts or opens an instrument.

        Raises:
            Refused: it is not listed.
        """
        market = self._market(instrument)
        self.list_instrument(msgspec.structs.replace(market.listing, phase=phase))

    # Accounts.

    def open_account(
        self, account: str, balances: Mapping[str, Decimal], *, house: bool = False
    ) -> None:
        """A new account with what it brings.

        Args:
            account: its name.
            balances: first deposits, by asset.
            house: it is the exchange's own: no filter holds for it, and its ended orders and its
                fills are forgotten.

        Raises:
            InvalidDataError: there is one of this name.
        """
        self._accounts.open(account, house=house)
        self._wallets.open(account)
        for asset, amount in balances.items():
            self.deposit(account, asset, amount)

    def has_account(self, account: str) -> bool:
        """Whether it is open."""
        return account in self._accounts

    def deposit(self, account: str, asset: str, amount: Decimal) -> None:
        """Money comes in from outside; a negative amount leaves.

        Raises:
            InvalidDataError: there is no such account.
            Refused: the account has not that much free.
        """
        record = self._accounts[account]
        if self._wallets.free(account, asset) + amount < 0:
            raise Refused(Reason.INSUFFICIENT_BALANCE, f"{account!r} has not {-amount} {asset}")
        self._wallets.add(account, asset, amount)
        record.deposits.append(Deposit(asset=asset, amount=amount, time_ns=self._now_ns))
        for change in self._wallets.take_changes(self._now_ns):
            self._outbox.emit(msgspec.structs.replace(change, delta=amount))
        self._outbox.deliver()

    def set_fee_asset(
        self, account: str, asset: str | None, prices: Mapping[str, Decimal] | None = None
    ) -> None:
        """Lets an account pay its fees in another asset.

        They are paid in what is received where the account has not enough of the asset, where
        the order itself spends or receives it, or where no price is given.

        Args:
            account: whose.
            asset: what fees are paid in; None: in what is received.
            prices: what one unit of it costs, by the asset that it costs (`{"USDT": 600}`).

        Raises:
            InvalidDataError: there is no such account.
        """
        record = self._accounts[account]
        record.fee_asset, record.fee_prices = asset, dict(prices or {})

    def balances(self, account: str) -> dict[str, Balance]:
        """What the account has or had, by asset.

        Raises:
            InvalidDataError: there is no such account.
        """
        return self._wallets.balances(self._accounts[account].name)

    # Orders.

    def place(self, account: str, request: NewOrder, *, test: bool = False) -> Order:
        """Accepts an order and lets it trade.

        Args:
            account: whose.
            request: what is wanted.
            test: only check it; nothing changes, and the order returned has the number 0.

        Returns:
            The order as it stands afterwards.

        Raises:
            Refused: a rule forbids it.
            InvalidDataError: the request does not say what its kind needs, or there is no such
                account.
        """
        record = self._accounts[account]
        market = self._market(request.instrument)
        if market.listing.phase is not Phase.TRADING:
            raise Refused(Reason.MARKET_CLOSED, f"{request.instrument}: {market.listing.phase}")
        check_shape(request)
        last = market.history.last
        if not record.house:
            check_filters(market.listing, request, last)
            check_counts(
                market.listing,
                request,
                record.count_open(request.instrument),
                partial(record.count_waiting, request.instrument),
            )
        if record.has_open(request.client_order_id):
            raise Refused(Reason.DUPLICATE_CLIENT_ID, request.client_order_id)
        check_trigger(request, last)
        if (
            request.kind is Kind.LIMIT_MAKER
            and request.price is not None
            and market.book.crosses(request.side, request.price)
        ):
            raise Refused(Reason.WOULD_TAKE, f"{request.side} at {request.price}")
        order = self._order_of(account, request, 0 if test else self._orders + 1)
        self._check_funds(market, order)
        if test:
            return order
        self._orders += 1
        self._matching.accept(market, order, self._now_ns)
        self._deliver()
        return copy_of(order)

    def cancel(
        self,
        account: str,
        instrument: str,
        *,
        order_id: int | None = None,
        client_order_id: str | None = None,
        cancel_id: str = "",
    ) -> Order:
        """Ends an open order, named by its number, its client order id, or both.

        Returns:
            The order as it ended.

        Raises:
            Refused: there is no such open order, or the instrument is halted.
            InvalidDataError: neither id is given, or there is no such account.
        """
        market = self._cancellable(instrument)
        order = self._accounts[account].find(instrument, order_id, client_order_id)
        if not order.is_open:
            raise Refused(Reason.UNKNOWN_ORDER, f"order {order.order_id} has ended: {order.status}")
        self._matching.end(market, order, Status.CANCELLED, self._now_ns, cancel_id)
        self._deliver()
        return copy_of(order)

    def amend(
        self,
        account: str,
        instrument: str,
        change: Amendment,
        *,
        order_id: int | None = None,
        client_order_id: str | None = None,
    ) -> Order:
        """Changes an open order, named by its number, its client order id, or both.

        Returns:
            The order as it stands afterwards.

        Raises:
            Refused: there is no such open order, or a rule forbids the change.
            InvalidDataError: neither id is given, there is no such account, or the change makes no
                sense for the order.
        """
        record = self._accounts[account]
        market = self._market(instrument)
        if market.listing.phase is not Phase.TRADING:
            raise Refused(Reason.MARKET_CLOSED, f"{instrument}: {market.listing.phase}")
        order = record.find(instrument, order_id, client_order_id)
        if not order.is_open:
            raise Refused(Reason.UNKNOWN_ORDER, f"order {order.order_id} has ended: {order.status}")
        wanted = amended(order, change)
        check_amended(market, order, wanted, house=record.house)
        if held_by(wanted) - held_by(order) > self._free(market, order):
            raise Refused(
                Reason.INSUFFICIENT_BALANCE, f"{account!r} cannot pay for {wanted.quantity}"
            )
        self._matching.amend(market, order, wanted, self._now_ns)
        self._deliver()
        return copy_of(order)

    def cancel_all(self, account: str, instrument: str) -> list[Order]:
        """Ends all open orders of an account on an instrument; there may be none.

        Raises:
            Refused: the instrument is halted or not listed.
        """
        market = self._cancellable(instrument)
        orders = self._accounts[account].open_orders(instrument)
        for order in orders:
            self._matching.end(market, order, Status.CANCELLED, self._now_ns)
        self._deliver()
        return [copy_of(order) for order in orders]

    def withdraw(self, account: str) -> list[Order]:
        """Ends all open orders of an account whose owner is gone; a halt keeps those it holds."""
        ended: list[Order] = []
        for order in self._accounts[account].open_orders():
            with contextlib.suppress(Refused):
                market = self._cancellable(order.instrument)
                order.by_dead_man = True
                self._matching.end(market, order, Status.EXPIRED, self._now_ns)
                ended.append(copy_of(order))
        self._deliver()
        return ended

    def order(
        self,
        account: str,
        instrument: str,
        *,
        order_id: int | None = None,
        client_order_id: str | None = None,
    ) -> Order:
        """The order with this number, or the newest with this client order id.

        Raises:
            Refused: there is none, or the instrument is not listed.
        """
        self._market(instrument)
        return copy_of(self._accounts[account].find(instrument, order_id, client_order_id))

    def open_orders(self, account: str, instrument: str | None = None) -> list[Order]:
        """What is open, oldest first.

        Raises:
            Refused: the instrument is not listed.
        """
        if instrument is not None:
            self._market(instrument)
        return [copy_of(order) for order in self._accounts[account].open_orders(instrument)]

    def orders(self, account: str, instrument: str) -> list[Order]:
        """All orders of an account on an instrument, oldest first.

        Raises:
            Refused: the instrument is not listed.
        """
        self._market(instrument)
        return [copy_of(order) for order in self._accounts[account].orders(instrument)]

    def fills(self, account: str, instrument: str | None = None) -> list[Fill]:
        """All fills of an account, oldest first.

        Raises:
            Refused: the instrument is not listed.
        """
        fills = self._accounts[account].fills
        if instrument is None:
            return list(fills)
        self._market(instrument)
        return [fill for fill in fills if fill.instrument == instrument]

    # Market data. Each raises Refused where the instrument is not listed.

    def depth(self, instrument: str, limit: int | None = None) -> Depth:
        """The book's best `limit` levels of each side, or all of it."""
        return self._market(instrument).book.depth(limit)

    def trades(self, instrument: str) -> Sequence[PublicTrade]:
        """The last trades, oldest first; live: read it before the next command."""
        return self._market(instrument).history.trades

    def aggregate_trades(self, instrument: str) -> Sequence[AggregateTrade]:
        """The last aggregates, oldest first; live: read it before the next command."""
        return self._market(instrument).history.aggregates

    def candles(self, instrument: str, interval_ns: int) -> Sequence[Candle]:
        """Candles, oldest first, the last one open; live: read it before the next command.

        Raises:
            InvalidDataError: the interval is no multiple of a second.
        """
        return self._market(instrument).history.candles(interval_ns, self._now_ns)

    def load_candles(self, instrument: str, candles: Iterable[Candle]) -> None:
        """Gives an instrument a past: one-minute candles before its first trade, oldest first.

        Raises:
            InvalidDataError: it has trades, or the candles are not of whole minutes in order.
        """
        self._market(instrument).history.load(candles)

    def ticker(self, instrument: str) -> Ticker:
        """The last 24 hours, to the minute."""
        return self._market(instrument).ticker(self._now_ns)

    def ledger(self) -> Ledger:
        """Everything; its orders are live: write it down before the next command."""
        return ledger_of(self._accounts, self._wallets, self._now_ns)

    # Inside.

    def _market(self, instrument: str) -> Market:
        market = self._markets.get(instrument)
        if market is None or not market.listed:
            raise Refused(Reason.UNKNOWN_INSTRUMENT, instrument)
        return market

    def _cancellable(self, instrument: str) -> Market:
        market = self._market(instrument)
        if market.listing.phase not in (Phase.TRADING, Phase.CANCEL_ONLY):
            raise Refused(Reason.MARKET_CLOSED, f"{instrument}: {market.listing.phase}")
        return market

    def _order_of(self, account: str, request: NewOrder, number: int) -> Order:
        return Order(
            order_id=number,
            client_order_id=request.client_order_id or f"goalkick-{number}",
            account=account,
            instrument=request.instrument,
            side=request.side,
            kind=request.kind,
            time_in_force=request.time_in_force,
            self_trade=request.self_trade,
            quantity=request.quantity if request.quantity is not None else ZERO,
            quote_quantity=request.quote_quantity,
            price=request.price,
            stop_price=request.stop_price,
            status=Status.NEW if request.stop_price is None else Status.PENDING,
            created_ns=self._now_ns,
            updated_ns=self._now_ns,
        )

    def _check_funds(self, market: Market, order: Order) -> None:
        """That the account can pay: what a waiting or limit order locks, what a market takes.

        Raises:
            Refused: it cannot.
        """
        if order.kind in MARKET_KINDS and order.status is not Status.PENDING:
            sells_more = order.side is Side.SELL and order.quantity > self._free(market, order)
            short = sells_more or self._matching.plan(market, order).ending is Ending.FUNDS
        else:
            short = held_by(order) > self._free(market, order)
        if short:
            raise Refused(
                Reason.INSUFFICIENT_BALANCE,
                f"{order.account!r} cannot pay for {order.side} {order.kind} on {order.instrument}",
            )

    def _free(self, market: Market, order: Order) -> Decimal:
        listing = market.listing
        asset = listing.quote if order.side is Side.BUY else listing.base
        return self._wallets.free(order.account, asset)

    def _phase_changed(self, instrument: str, listing: Listing | None) -> None:
        self._outbox.emit(
            PhaseChanged(instrument=instrument, listing=listing, time_ns=self._now_ns)
        )
        self._deliver()

    def _deliver(self) -> None:
        changes: list[BalanceChanged] = self._wallets.take_changes(self._now_ns)
        for change in changes:
            self._outbox.emit(change)
        self._outbox.deliver()
