"""Carries out what was planned: trades, money, fees, the rest of an order, triggered orders.

Price-time priority: the best price first, within a price the oldest order; a trade is at the
resting order's price, so a better price is the taker's gain.
"""

from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal

import msgspec

from goalkick.common.core.errors import InvariantError
from goalkick.common.values.money import ZERO
from goalkick.venue.engine.accounts import Account, Accounts
from goalkick.venue.engine.amending import keeps_place
from goalkick.venue.engine.market import Market
from goalkick.venue.engine.model import (
    Fill,
    Happening,
    Kind,
    Order,
    OrderChanged,
    PublicTrade,
    Side,
    Status,
    TimeInForce,
    Traded,
)
from goalkick.venue.engine.planning import Ending, Plan, Step, plan
from goalkick.venue.engine.wallets import FEES, Wallets, held_by

FEE_QUANTUM = Decimal("1E-8")
"""Fees are rounded down to this, as exchanges do: balances then keep to eight decimals."""

MARKET_KINDS = (Kind.MARKET, Kind.STOP_LOSS, Kind.TAKE_PROFIT)
"""Kinds that take whatever price there is, once they work."""


def copy_of(order: Order) -> Order:
    """The order as it stands now; later changes do not show in it."""
    return msgspec.structs.replace(order, fills=list(order.fills))


class Matching:
    """Changes orders, books and wallets; says each change to `emit`.

    Args:
        accounts: whose records are kept.
        wallets: whose money moves.
        emit: takes each happening, in order.
    """

    def __init__(
        self, accounts: Accounts, wallets: Wallets, emit: Callable[[Happening], None]
    ) -> None:
        self._accounts = accounts
        self._wallets = wallets
        self._emit = emit
        self._executions = 0

    def accept(self, market: Market, order: Order, now_ns: int) -> None:
        """A checked order begins: it waits, or trades and rests or ends.

        Args:
            market: where.
            order: pending if it has to be triggered, else new.
            now_ns: the exchange's time.
        """
        self._accounts[order.account].add(order)
        self._wallets.lock(order.account, _spent_asset(market, order.side), held_by(order))
        if order.stop_price is not None:
            self._changed(order)
            market.triggers.add(order, order.stop_price)
            return
        self._work(market, order, now_ns)
        self._set_off(market, now_ns)

    def amend(self, market: Market, order: Order, wanted: Order, now_ns: int) -> None:
        """An open order takes the terms of `wanted`, which was checked.

        Less of it at the same price keeps its place; otherwise it leaves the book and comes back
        as the youngest, and trades if its price is met. A limit-maker order that would is rejected.
        """
        self._wallets.lock(
            order.account, _spent_asset(market, order.side), held_by(wanted) - held_by(order)
        )
        in_place = keeps_place(order, wanted)
        if order.status is Status.PENDING:
            market.triggers.remove(order, _given(order.stop_price))
        else:
            taken = order.quantity - wanted.quantity if in_place else order.left
            price = _given(order.price)
            self._emit(market.book.take(order, price, taken, now_ns, remove=not in_place))
        order.quantity, order.price, order.stop_price = (
            wanted.quantity,
            wanted.price,
            wanted.stop_price,
        )
        order.updated_ns = now_ns
        if order.status is Status.PENDING:
            self._changed(order, amended=True)
            market.triggers.add(order, _given(order.stop_price))
        elif in_place:
            self._changed(order, amended=True)
        elif order.kind is Kind.LIMIT_MAKER and market.book.crosses(
            order.side, _given(order.price)
        ):
            self._close(market, order, Status.REJECTED, now_ns)
        else:
            self._work(market, order, now_ns, amended=True)
            self._set_off(market, now_ns)

    def end(
        self, market: Market, order: Order, status: Status, now_ns: int, cancel_id: str = ""
    ) -> None:
        """An open order leaves, for the reason that `status` names; what it locked is freed."""
        if order.status is Status.PENDING:
            if order.stop_price is not None:
                market.triggers.remove(order, order.stop_price)
        elif order.price is not None:
            self._emit(market.book.take(order, order.price, order.left, now_ns, remove=True))
        self._close(market, order, status, now_ns, cancel_id)

    def funds(self, market: Market, order: Order) -> Decimal | None:
        """What the order may spend beyond what it has locked; None: it has locked all it needs."""
        if order.kind not in MARKET_KINDS:
            return None
        return self._wallets.free(order.account, _spent_asset(market, order.side))

    def plan(self, market: Market, order: Order) -> Plan:
        """What would happen if the order began to work now."""
        return plan(market.book, order, market.listing.lot_size, self.funds(market, order))

    def _set_off(self, market: Market, now_ns: int) -> None:
        """The orders that wait for the prices of these trades begin to work."""
        while due := market.take_due():
            for triggered in due:
                self._trigger(market, triggered, now_ns)

    def _trigger(self, market: Market, order: Order, now_ns: int) -> None:
        held = held_by(order)
        order.status = Status.NEW
        order.updated_ns = now_ns
        # Without a limit nothing stays locked: it pays as it trades.
        asset = _spent_asset(market, order.side)
        self._wallets.lock(order.account, asset, held_by(order) - held)
        self._work(market, order, now_ns)

    def _work(self, market: Market, order: Order, now_ns: int, *, amended: bool = False) -> None:
        planned = self.plan(market, order)
        order.working_ns = now_ns
        self._changed(order, amended=amended)
        if order.time_in_force is TimeInForce.FOK and planned.ending is not Ending.DONE:
            self._close(market, order, Status.EXPIRED, now_ns)
            return
        for number, step in enumerate(planned.steps, 1):
            if not step.quantity:
                self.end(market, step.maker, Status.EXPIRED_IN_MATCH, now_ns)
                continue
            last = planned.ending is Ending.DONE and number == len(planned.steps)
            self._trade(market, order, step, now_ns, done=last)
        self._finish(market, order, planned.ending, now_ns)

    def _finish(self, market: Market, order: Order, ending: Ending, now_ns: int) -> None:
        """What becomes of the part that did not trade."""
        if order.status is Status.FILLED:
            return
        if ending is Ending.SELF_TRADE:
            self._close(market, order, Status.EXPIRED_IN_MATCH, now_ns)
        elif ending is Ending.DONE:
            self._close(market, order, Status.FILLED, now_ns)
        elif order.price is None or order.time_in_force is not TimeInForce.GTC:
            self._close(market, order, Status.EXPIRED, now_ns)
        else:
            self._emit(market.book.add(order, order.price, now_ns))

    def _trade(self, market: Market, taker: Order, step: Step, now_ns: int, *, done: bool) -> None:
        maker, price, quantity = step.maker, step.price, step.quantity
        trade, aggregate_id = market.history.record(
            price, quantity, now_ns, taker.order_id, taker_buys=taker.side is Side.BUY
        )
        market.saw(price)
        self._emit(Traded(instrument=taker.instrument, trade=trade, aggregate_id=aggregate_id))
        maker_done = maker.left == quantity
        self._emit(market.book.take(maker, price, quantity, now_ns, remove=maker_done))
        self._fill(market, maker, trade, maker=True, done=maker_done)
        self._fill(market, taker, trade, maker=False, done=done)

    def _fill(
        self, market: Market, order: Order, trade: PublicTrade, *, maker: bool, done: bool
    ) -> None:
        account = self._accounts[order.account]
        fee_asset, fee = self._settle(market, account, order, trade, maker=maker)
        self._executions += 1
        fill = Fill(
            trade_id=trade.trade_id,
            execution_id=self._executions,
            order_id=order.order_id,
            client_order_id=order.client_order_id,
            account=order.account,
            instrument=order.instrument,
            side=order.side,
            price=trade.price,
            quantity=trade.quantity,
            fee=fee,
            fee_asset=fee_asset,
            maker=maker,
            time_ns=trade.time_ns,
        )
        order.executed += trade.quantity
        order.quote_executed += trade.price * trade.quantity
        order.fills.append(fill)
        order.updated_ns = trade.time_ns
        order.status = Status.FILLED if done else Status.PARTIALLY_FILLED
        account.record(fill)
        if done:
            if order.quote_quantity is not None:
                order.quantity = order.executed
            account.end(order)
        self._changed(order, fill)

    def _settle(
        self, market: Market, account: Account, order: Order, trade: PublicTrade, *, maker: bool
    ) -> tuple[str, Decimal]:
        """Moves one side's money; returns the fee's asset and amount."""
        listing = market.listing
        quote = trade.price * trade.quantity
        buys = order.side is Side.BUY
        spent, received = (quote, trade.quantity) if buys else (trade.quantity, quote)
        got = listing.base if buys else listing.quote
        gave = listing.quote if buys else listing.base
        if order.price is None:
            locked = ZERO
        else:
            locked = order.price * trade.quantity if buys else trade.quantity
        self._wallets.spend(account.name, gave, locked, spent)
        rate = listing.maker_fee if maker else listing.taker_fee
        fee = (received * rate).quantize(FEE_QUANTUM, ROUND_DOWN)
        other = self._fee_in_other(account, fee, got, gave)
        if other is not None and account.fee_asset is not None:
            self._wallets.add(account.name, got, received)
            self._wallets.add(account.name, account.fee_asset, -other)
            self._wallets.add(FEES, account.fee_asset, other)
            return account.fee_asset, other
        self._wallets.add(account.name, got, received - fee)
        if fee:
            self._wallets.add(FEES, got, fee)
        return got, fee

    def _fee_in_other(self, account: Account, fee: Decimal, got: str, gave: str) -> Decimal | None:
        """The fee in the account's fee asset; None: it is paid in what is received.

        Not in what the order spends: its funds were counted before.
        """
        asset = account.fee_asset
        price = account.fee_prices.get(got)
        if asset is None or asset in (got, gave) or price is None or not fee:
            return None
        amount = (fee / price).quantize(FEE_QUANTUM, ROUND_DOWN)
        return amount if amount <= self._wallets.free(account.name, asset) else None

    def _close(
        self, market: Market, order: Order, status: Status, now_ns: int, cancel_id: str = ""
    ) -> None:
        asset = _spent_asset(market, order.side)
        self._wallets.lock(order.account, asset, -held_by(order))
        if order.quote_quantity is not None:
            order.quantity = order.executed
        order.status = status
        order.updated_ns = now_ns
        self._accounts[order.account].end(order)
        self._changed(order, cancel_id=cancel_id)

    def _changed(
        self,
        order: Order,
        fill: Fill | None = None,
        cancel_id: str = "",
        *,
        amended: bool = False,
    ) -> None:
        self._emit(
            OrderChanged(order=copy_of(order), fill=fill, cancel_id=cancel_id, amended=amended)
        )


def _given(price: Decimal | None) -> Decimal:
    """The price of an order that has one.

    Raises:
        InvariantError: it has none.
    """
    if price is None:
        raise InvariantError("expected an order with a price where it rests or waits, found none")
    return price


def _spent_asset(market: Market, side: Side) -> str:
    return market.listing.quote if side is Side.BUY else market.listing.base
