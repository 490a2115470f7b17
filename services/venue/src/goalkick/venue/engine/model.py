"""The words of the exchange: what can be asked of it, what it says, what it refuses.

They belong to no protocol; each front end translates them to its own wire. All amounts are exact
decimals, all times UTC nanoseconds.
"""

from decimal import Decimal
from enum import StrEnum

import msgspec

from goalkick.common.values.money import ZERO


class Side(StrEnum):
    """What an order does with the base asset."""

    BUY = "buy"
    SELL = "sell"


class Kind(StrEnum):
    """How an order meets the book."""

    LIMIT = "limit"
    MARKET = "market"
    LIMIT_MAKER = "limit_maker"
    STOP_LOSS = "stop_loss"
    STOP_LOSS_LIMIT = "stop_loss_limit"
    TAKE_PROFIT = "take_profit"
    TAKE_PROFIT_LIMIT = "take_profit_limit"


class TimeInForce(StrEnum):
    """How long the rest of an order waits: until cancelled, not at all, or all or nothing."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"


class SelfTrade(StrEnum):
    """What happens when an account's orders would trade with each other."""

    NONE = "none"
    EXPIRE_TAKER = "expire_taker"
    EXPIRE_MAKER = "expire_maker"
    EXPIRE_BOTH = "expire_both"


class Status(StrEnum):
    """Where an order is in its life; the last five end it."""

    PENDING = "pending"
    """A stop or take-profit order that has not been triggered."""
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    EXPIRED_IN_MATCH = "expired_in_match"
    """Ended by self-trade prevention."""
    REJECTED = "rejected"


class Phase(StrEnum):
    """What may be done with an instrument."""

    TRADING = "trading"
    HALT = "halt"
    BREAK = "break"
    CANCEL_ONLY = "cancel_only"


class Reason(StrEnum):
    """Why something was refused. Nothing changes with a refusal."""

    UNKNOWN_INSTRUMENT = "unknown_instrument"
    MARKET_CLOSED = "market_closed"
    PRICE_FILTER = "price_filter"
    PERCENT_PRICE = "percent_price"
    LOT_SIZE = "lot_size"
    MARKET_LOT_SIZE = "market_lot_size"
    NOTIONAL = "notional"
    MAX_NUM_ORDERS = "max_num_orders"
    MAX_NUM_ALGO_ORDERS = "max_num_algo_orders"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    WOULD_TAKE = "would_take"
    """A limit-maker order would trade at once."""
    WOULD_TRIGGER = "would_trigger"
    """A stop price lies on the wrong side of the last price."""
    DUPLICATE_CLIENT_ID = "duplicate_client_id"
    """An open order of the account has this client order id; ended orders do not count."""
    UNKNOWN_ORDER = "unknown_order"
    """There is no such order, or, to a cancel or a change, none that is open."""
    BELOW_EXECUTED = "below_executed"
    """A changed order would want no more than what is filled of it."""
    NO_LIQUIDITY = "no_liquidity"
    """A market order found an empty book; protocols that accept it expire it instead."""


class Refused(Exception):  # noqa: N818 - the word of the exchange, not a fault of ours
    """The exchange does not do it.

    Attributes:
        reason: why.
        detail: for people; may be "".
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument and its rules.

    Attributes:
        instrument: `BTC/USDT`.
        base, quote: assets.
        tick_size, lot_size: steps of prices and quantities; positive.
        min_price, max_price: bounds of prices.
        min_quantity, max_quantity: bounds of quantities.
        max_market_quantity: bound of a market order's quantity.
        min_notional, max_notional: bounds of price x quantity.
        percent_up, percent_down: a limit price must lie between last price x down and x up.
        max_orders: open orders of an account on the instrument.
        max_algo_orders: untriggered ones of them.
        maker_fee, taker_fee: fractions of what is received.
        phase: what may be done.
    """

    instrument: str
    base: str
    quote: str
    tick_size: Decimal = Decimal("0.01")
    lot_size: Decimal = Decimal("0.00001")
    min_price: Decimal = Decimal("0.01")
    max_price: Decimal = Decimal(1_000_000)
    min_quantity: Decimal = Decimal("0.00001")
    max_quantity: Decimal = Decimal(9_000)
    max_market_quantity: Decimal = Decimal(100)
    min_notional: Decimal = Decimal(5)
    max_notional: Decimal = Decimal(9_000_000)
    percent_up: Decimal = Decimal(5)
    percent_down: Decimal = Decimal("0.2")
    max_orders: int = 200
    max_algo_orders: int = 5
    maker_fee: Decimal = Decimal("0.001")
    taker_fee: Decimal = Decimal("0.001")
    phase: Phase = Phase.TRADING


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What an account asks for.

    Attributes:
        quantity: in base; None for a market order that says what to spend instead.
        quote_quantity: what a market order spends or earns, in quote; None otherwise.
        price: None for market, stop-loss and take-profit orders without a limit.
        stop_price: None for orders that are not triggered.
        client_order_id: "" lets the exchange choose one.
    """

    instrument: str
    side: Side
    kind: Kind
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    self_trade: SelfTrade = SelfTrade.NONE
    client_order_id: str = ""


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """An account's side of a trade; the ledger's unit.

    Attributes:
        trade_id: the trade's number on the instrument, the same on both sides.
        order_id: the account's order.
        execution_id: number of this fill over all of the exchange.
        fee: in `fee_asset`; not negative.
        maker: whether the order had been resting.
    """

    trade_id: int
    execution_id: int
    order_id: int
    client_order_id: str
    account: str
    instrument: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool
    time_ns: int

    @property
    def quote_quantity(self) -> Decimal:
        """Price x quantity."""
        return self.price * self.quantity


class Order(msgspec.Struct, kw_only=True):
    """An order as it stands. Owned by the exchange: readers must not change it.

    Attributes:
        order_id: number over all of the exchange.
        quantity: in base; what a market order by quote quantity bought, once it has ended.
        executed: filled quantity.
        quote_executed: sum of price x quantity of its fills.
        working_ns: when it entered the book; 0: never.
        fills: its fills, oldest first.
        by_dead_man: whether it ended because its owner was gone for too long.
    """

    order_id: int
    client_order_id: str
    account: str
    instrument: str
    side: Side
    kind: Kind
    time_in_force: TimeInForce
    self_trade: SelfTrade
    quantity: Decimal
    quote_quantity: Decimal | None
    price: Decimal | None
    stop_price: Decimal | None
    status: Status
    created_ns: int
    updated_ns: int
    working_ns: int = 0
    executed: Decimal = ZERO
    quote_executed: Decimal = ZERO
    fills: list[Fill] = msgspec.field(default_factory=list)
    by_dead_man: bool = False

    @property
    def is_open(self) -> bool:
        """Whether anything may still happen to it."""
        return self.status in (Status.PENDING, Status.NEW, Status.PARTIALLY_FILLED)

    @property
    def left(self) -> Decimal:
        """Quantity that is not filled."""
        return self.quantity - self.executed


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has of an asset: to use, and set aside for open orders; never negative."""

    free: Decimal = ZERO
    locked: Decimal = ZERO


class PublicTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade as everybody sees it.

    Attributes:
        buyer_is_maker: whether the seller was the taker.
    """

    trade_id: int
    price: Decimal
    quantity: Decimal
    time_ns: int
    buyer_is_maker: bool


class AggregateTrade(msgspec.Struct, frozen=True, kw_only=True):
    """Trades of one taker order at one price, with a number of their own."""

    aggregate_id: int
    price: Decimal
    quantity: Decimal
    first_id: int
    last_id: int
    time_ns: int
    buyer_is_maker: bool


class Candle(msgspec.Struct, kw_only=True):
    """A span of an instrument's trades; without trades all prices are the last close.

    Attributes:
        open_ns: start, inclusive.
        volume, quote_volume: traded, in base and in quote.
        taker_volume, taker_quote_volume: bought by takers.
        trades: how many.
    """

    open_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = ZERO
    quote_volume: Decimal = ZERO
    taker_volume: Decimal = ZERO
    taker_quote_volume: Decimal = ZERO
    trades: int = 0


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """The book: (price, quantity), best first.

    Attributes:
        update_id: number of the last change in it.
    """

    update_id: int
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]


class Ticker(msgspec.Struct, frozen=True, kw_only=True):
    """The last 24 hours; prices are 0 where there was no trade, quotes where the side is empty."""

    instrument: str
    open_ns: int
    close_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    last: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: int
    first_id: int
    last_id: int
    bid: Decimal
    bid_quantity: Decimal
    ask: Decimal
    ask_quantity: Decimal


# What happened, in the order in which it did. Subscribers get each of these.


class LevelChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A price level's quantity is now this; 0: it is gone. One `update_id` a change, no gaps."""

    instrument: str
    update_id: int
    side: Side
    price: Decimal
    quantity: Decimal
    time_ns: int


class Traded(msgspec.Struct, frozen=True, kw_only=True):
    """A trade took place; `aggregate_id` is shared with its neighbours of one taker and price."""

    instrument: str
    trade: PublicTrade
    aggregate_id: int


class OrderChanged(msgspec.Struct, frozen=True, kw_only=True):
    """An order began, was filled, was changed by its owner, or ended.

    Attributes:
        order: a copy as it stood then.
        fill: what was filled; None where nothing was.
        cancel_id: the client's id of the cancel; "" where it was none.
        amended: whether its owner changed it.
    """

    order: Order
    fill: Fill | None = None
    cancel_id: str = ""
    amended: bool = False


class BalanceChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Balances of an account after an order's change; only assets that it touched.

    Attributes:
        delta: for a deposit or withdrawal, by how much; None otherwise.
    """

    account: str
    balances: dict[str, Balance]
    time_ns: int
    delta: Decimal | None = None


class PhaseChanged(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument was halted, opened, delisted (`listing` None) or got other rules."""

    instrument: str
    listing: Listing | None
    time_ns: int


Happening = LevelChanged | Traded | OrderChanged | BalanceChanged | PhaseChanged
