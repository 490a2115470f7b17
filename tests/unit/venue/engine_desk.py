"""A small exchange to try things on: one instrument, coarse steps, three accounts."""

from decimal import Decimal

from goalkick.venue.engine.exchange import Exchange
from goalkick.venue.engine.model import (
    Balance,
    Happening,
    Kind,
    Listing,
    NewOrder,
    Order,
    OrderChanged,
    SelfTrade,
    Side,
    TimeInForce,
)

BTC_USDT = "BTC/USDT"
START_NS = 1_700_000_000_000_000_000
LISTING = Listing(
    instrument=BTC_USDT,
    base="BTC",
    quote="USDT",
    tick_size=Decimal(1),
    lot_size=Decimal("0.1"),
    min_price=Decimal(1),
    max_price=Decimal(1_000),
    min_quantity=Decimal("0.1"),
    max_quantity=Decimal(100),
    max_market_quantity=Decimal(20),
    min_notional=Decimal(5),
    max_notional=Decimal(10_000),
    max_orders=8,
    max_algo_orders=2,
)


class Desk:
    """An exchange and all that it said."""

    def __init__(self, listing: Listing = LISTING, **balances: str) -> None:
        self.exchange = Exchange([listing], now_ns=START_NS)
        self.said: list[Happening] = []
        self.exchange.subscribe(self.said.append)
        self.instrument = listing.instrument
        for account in ("ann", "bob", "eve"):
            brought = balances or {"BTC": "100", "USDT": "100000"}
            self.exchange.open_account(
                account, {asset: Decimal(amount) for asset, amount in brought.items()}
            )

    def place(
        self,
        account: str,
        side: str,
        quantity: str | None,
        price: str | None = None,
        *,
        kind: Kind | None = None,
        stop: str | None = None,
        quote: str | None = None,
        tif: TimeInForce = TimeInForce.GTC,
        stp: SelfTrade = SelfTrade.NONE,
        client_id: str = "",
        test: bool = False,
    ) -> Order:
        """Places an order: limit with a price, else market, unless `kind` says otherwise."""
        return self.exchange.place(
            account,
            NewOrder(
                instrument=self.instrument,
                side=Side(side),
                kind=kind or (Kind.MARKET if price is None else Kind.LIMIT),
                quantity=_decimal(quantity),
                quote_quantity=_decimal(quote),
                price=_decimal(price),
                stop_price=_decimal(stop),
                time_in_force=tif,
                self_trade=stp,
                client_order_id=client_id,
            ),
            test=test,
        )

    def trade(self, price: str, quantity: str = "1") -> None:
        """A trade between two others at a price."""
        self.place("eve", "sell", quantity, price)
        self.place("bob", "buy", quantity, price)

    def now(self, order: Order) -> Order:
        """The order as it stands."""
        return self.exchange.order(order.account, order.instrument, order_id=order.order_id)

    def book(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Bids and asks as text, best first."""
        depth = self.exchange.depth(self.instrument)
        bids, asks = (
            [(str(price), str(quantity)) for price, quantity in side]
            for side in (depth.bids, depth.asks)
        )
        return bids, asks

    def balance(self, account: str, asset: str) -> tuple[Decimal, Decimal]:
        """Free and locked."""
        balance = self.exchange.balances(account).get(asset, Balance())
        return balance.free, balance.locked

    def life(self, order: Order) -> list[str]:
        """The states that the order was said to be in, in order."""
        return [
            str(change.order.status)
            for change in self.said
            if isinstance(change, OrderChanged) and change.order.order_id == order.order_id
        ]


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
