"""Order events: risk's decisions and execution's reports. Key: account.

Life of an order: Signal -> OrderApproved (or OrderRefused) -> OrderIntended -> [venue] ->
OrderAccepted | OrderRejected | OrderUnknown -> OrderPartiallyFilled* -> OrderFilled |
OrderCancelled | OrderExpired.

An order with an algo is worked by child orders, whose reports name it, and ends with OrderWorked.
"""

from decimal import Decimal
from enum import StrEnum

import msgspec

from goalkick.common.events.base import Event, Side
from goalkick.common.values.ids import (
    AccountId,
    ClientOrderId,
    EventId,
    InstrumentId,
    StrategyId,
)
from goalkick.common.values.money import plain


class OrderKind(StrEnum):
    """How an order trades.

    A stop waits until the market has moved against the side that it is on (up for a buy), a
    take-profit until it has moved with it; then it trades as a market or a limit order.
    """

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TAKE_PROFIT = "take_profit"
    TAKE_PROFIT_LIMIT = "take_profit_limit"

    @property
    def has_limit(self) -> bool:
        """Whether it needs a limit price."""
        return self in (OrderKind.LIMIT, OrderKind.STOP_LIMIT, OrderKind.TAKE_PROFIT_LIMIT)

    @property
    def waits(self) -> bool:
        """Whether it needs a stop price, which the market must reach first."""
        return self not in (OrderKind.MARKET, OrderKind.LIMIT)


class TimeInForce(StrEnum):
    """What becomes of the part of an order that does not trade at once."""

    UNTIL_CANCELLED = "until_cancelled"
    """It waits in the book."""
    IMMEDIATE = "immediate"
    """It expires (IOC)."""
    ALL_OR_NOTHING = "all_or_nothing"
    """The whole order trades at once or expires (FOK)."""
    POST_ONLY = "post_only"
    """It waits in the book; an order that would trade at once is refused instead."""


class RefusalCode(StrEnum):
    """Why risk refused; closed set, stable for machines."""

    STALE_DATA = "stale_data"
    SIGNAL_EXPIRED = "signal_expired"
    VENUE_HALTED = "venue_halted"
    TRADING_HALTED = "trading_halted"
    DAILY_LOSS_REACHED = "daily_loss_reached"
    DRAWDOWN_REACHED = "drawdown_reached"
    INSTRUMENT_CAP = "instrument_cap"
    GROSS_CAP = "gross_cap"
    NET_CAP = "net_cap"
    POSITION_COUNT_CAP = "position_count_cap"
    BELOW_MIN_QUANTITY = "below_min_quantity"
    BELOW_MIN_NOTIONAL = "below_min_notional"
    INSUFFICIENT_CASH = "insufficient_cash"
    UNKNOWN_INSTRUMENT = "unknown_instrument"
    UNKNOWN_ORDER = "unknown_order"
    NO_PRICE = "no_price"
    INVALID_SIGNAL = "invalid_signal"
    SHORT_NOT_ALLOWED = "short_not_allowed"
    STOPPED_OUT = "stopped_out"
    STAGE = "stage"
    STRATEGY_CAP = "strategy_cap"


class AccountEvent(Event, frozen=True, kw_only=True):
    """An event about one account."""

    account: AccountId

    @property
    def key(self) -> str:
        """The account."""
        return self.account


class OrderRefused(AccountEvent, frozen=True, kw_only=True):
    """Risk refused to turn a signal into an order.

    Attributes:
        cause: id of the signal.
        quantity: what was asked for, in base currency; 0 where sizing could not be done.
        code: the reason.
        detail: for people: what was expected and what was found.
        numbers: the figures that led to the refusal, by name.
    """

    cause: EventId
    strategy: StrategyId
    instrument: InstrumentId
    side: Side
    quantity: Decimal
    code: RefusalCode
    detail: str
    numbers: dict[str, Decimal]

    def natural_key(self) -> str:
        """Account and signal."""
        return f"{self.account}|{self.cause}"


class AlgoOrder(msgspec.Struct, frozen=True, kw_only=True):
    """How an order is worked by child orders, instead of being sent as it is.

    Attributes:
        name: of the algo, such as `twap`.
        params: its parameters, as JSON text.
        arrival_price: that its cost is measured against, in quote currency; positive.
        end_ns: when working it ends; UTC ns, after the approval.
    """

    name: str
    params: str
    arrival_price: Decimal
    end_ns: int


class OrderApproved(AccountEvent, frozen=True, kw_only=True):
    """Risk's permission to trade, and the order itself. Only risk makes one.

    Attributes:
        order: id of the order, derived from its cause.
        cause: id of the signal, or of the market event that triggered a protective exit.
        client_order_id: the handle that the venue will know it by.
        strategy: on whose behalf.
        quantity: in base currency; a positive multiple of the lot size.
        limit_price: for an order with a limit, in quote currency.
        stop_price: what the market must reach first, in quote currency.
        reduce_only: may only bring the position nearer to zero.
        time_in_force: what becomes of what does not trade at once; of limit orders only.
        expires_at_ns: execution must not send it from this time on; 0 = never.
        reason: for people; short.
        algo: what works it; None: it is sent as it is.
    """

    order: EventId
    cause: EventId
    client_order_id: ClientOrderId
    strategy: StrategyId
    instrument: InstrumentId
    side: Side
    quantity: Decimal
    kind: OrderKind = OrderKind.MARKET
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    reduce_only: bool = False
    expires_at_ns: int = 0
    reason: str = ""
    time_in_force: TimeInForce = TimeInForce.UNTIL_CANCELLED
    algo: AlgoOrder | None = None

    def natural_key(self) -> str:
        """The order's id."""
        return self.order


class CancelRequested(AccountEvent, frozen=True, kw_only=True):
    """Risk wants a working order gone."""

    order: EventId
    cause: EventId
    reason: str

    def natural_key(self) -> str:
        """Order and cause."""
        return f"{self.order}|{self.cause}"


class OrderReport(AccountEvent, frozen=True, kw_only=True):
    """Something that execution reports about one order.

    Attributes:
        parent: the order under whose approval this child order works; None: it is no child.
    """

    order: EventId
    instrument: InstrumentId
    parent: EventId | None = None

    def natural_key(self) -> str:
        """The order's id: such a report comes once for each order."""
        return self.order


class OrderIntended(OrderReport, frozen=True, kw_only=True):
    """Execution is about to call the venue: written to the log before the call."""

    client_order_id: ClientOrderId


class OrderAccepted(OrderReport, frozen=True, kw_only=True):
    """The venue has the order."""

    venue_order_id: str


class OrderRejected(OrderReport, frozen=True, kw_only=True):
    """The venue does not want the order, or it can no longer be sent; nothing was traded."""

    reason: str


class Fill(OrderReport, frozen=True, kw_only=True):
    """A trade of one of our orders.

    Attributes:
        trade_id: the venue's id of the trade; a fill is booked once for each.
        venue_time_ns: the venue's time of the trade; may be before `time_ns`.
        quantity: traded now, in base currency; positive.
        price: in quote currency.
        fee: paid, in `fee_currency`; negative for a rebate.
        slippage: cost against the price that the fill model started from, in quote currency;
            0 where the venue is real.
        filled: traded in all so far, in base currency.
        remaining: still to be traded, in base currency.
    """

    strategy: StrategyId
    trade_id: str
    venue_time_ns: int
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    slippage: Decimal
    filled: Decimal
    remaining: Decimal

    def natural_key(self) -> str:
        """Order and the venue's trade id."""
        return f"{self.order}|{self.trade_id}"


class OrderPartiallyFilled(Fill, frozen=True, kw_only=True):
    """Part of an order was traded; more may follow."""


class OrderFilled(Fill, frozen=True, kw_only=True):
    """The last part of an order was traded."""


class OrderCancelled(OrderReport, frozen=True, kw_only=True):
    """The venue took the order out of its book at our wish."""

    filled: Decimal
    reason: str


class OrderExpired(OrderReport, frozen=True, kw_only=True):
    """The venue took the order out of its book by its own rules."""

    filled: Decimal
    reason: str


class OrderUnknown(OrderReport, frozen=True, kw_only=True):
    """Nobody can say whether the venue has the order; only the venue's evidence ends this."""

    reason: str


class OrderWorked(OrderReport, frozen=True, kw_only=True):
    """Nothing of an order that an algo worked is in the market any more: how it went.

    The costs, in quote currency, are the implementation shortfall against the arrival price (A. F.
    Perold, 1988); positive is worse. Should the venue tell of one more trade, it is said again.

    Attributes:
        quantity: approved, in base currency.
        filled: traded of it, in base currency; of a bracket, the entry.
        execution_cost, opportunity_cost: of what was traded, and of what was not.
        shortfall, shortfall_bps: their sum; in basis points of quantity x arrival price.
        fees: paid for all children, by currency.
        volume: that the market was seen to trade meanwhile, in base currency.
        started_ns, duration_ns: when working it began, UTC ns, and for how long.
        children: how many orders were placed.
        leftover: not traded, in base currency.
        leftover_reason: `nothing`, `below_minimum`, `time_up`, `stopped`, `rejected` or
            `participation_cap`.
        exit_filled: of a bracket, what its exits traded, in base currency.
        unprotected: of a bracket, what it has entered and not left, without an exit any more.
        emulated: whether it stands in for an order kind that a venue could have offered itself.
        average_price, exit_average_price: in quote currency; None: nothing was traded.
        participation: our share of the volume; None: no volume was seen.
        detail: why something is left, for people.
    """

    strategy: StrategyId
    algo: str
    side: Side
    quantity: Decimal
    filled: Decimal
    arrival_price: Decimal
    end_price: Decimal
    execution_cost: Decimal
    opportunity_cost: Decimal
    shortfall: Decimal
    shortfall_bps: Decimal
    fees: dict[str, Decimal]
    volume: Decimal
    started_ns: int
    duration_ns: int
    children: int
    leftover: Decimal
    leftover_reason: str
    exit_filled: Decimal
    unprotected: Decimal
    emulated: bool
    average_price: Decimal | None = None
    exit_average_price: Decimal | None = None
    participation: Decimal | None = None
    detail: str = ""

    def natural_key(self) -> str:
        """The order and what was traded for it."""
        return f"{self.order}|{plain(self.filled)}|{plain(self.exit_filled)}"


class PositionChanged(AccountEvent, frozen=True, kw_only=True):
    """The position after a fill.

    Attributes:
        cause: id of the fill.
        quantity: signed, in base currency; negative is short.
        cost: signed cost of the open quantity in quote currency (average price x quantity).
        realised: profit realised so far, before fees, in quote currency.
        fees: paid so far, in quote currency.
    """

    cause: EventId
    instrument: InstrumentId
    quantity: Decimal
    cost: Decimal
    realised: Decimal
    fees: Decimal

    @property
    def average_price(self) -> Decimal | None:
        """Average entry price of the open quantity; None when flat."""
        return self.cost / self.quantity if self.quantity else None

    def natural_key(self) -> str:
        """Account, instrument and cause."""
        return f"{self.account}|{self.instrument}|{self.cause}"


class BalanceChanged(AccountEvent, frozen=True, kw_only=True):
    """Cash after a fill or a transfer.

    Attributes:
        cause: id of what changed it; the account's name for the opening balance.
        currency: which cash.
        total: in that currency; negative is borrowed.
    """

    cause: str
    currency: str
    total: Decimal

    def natural_key(self) -> str:
        """Account, currency and cause."""
        return f"{self.account}|{self.currency}|{self.cause}"


class ExternalOrderSeen(AccountEvent, frozen=True, kw_only=True):
    """The account has an order at the venue that is none of ours. Said once for each; untouched.

    Attributes:
        venue_order_id: the venue's own id of it.
        client_order_id: what whoever placed it calls it; "" where nobody said.
        quantity: all of it, in base currency; 0 where the venue counts it in quote currency.
        filled: traded when it was first seen, in base currency.
        limit_price: in quote currency; None: it has none.
        kind: in the venue's words.
    """

    instrument: InstrumentId
    venue_order_id: str
    client_order_id: str
    side: Side
    quantity: Decimal
    filled: Decimal
    kind: str
    limit_price: Decimal | None = None

    def natural_key(self) -> str:
        """Account, instrument and the venue's order id."""
        return f"{self.account}|{self.instrument}|{self.venue_order_id}"


class ExternalFillSeen(AccountEvent, frozen=True, kw_only=True):
    """An order of the account that is none of ours was traded. Said once for each trade id.

    Attributes:
        venue_order_id: the venue's own id of the order.
        trade_id: the venue's id of the trade.
        venue_time_ns: the venue's time of the trade; may be before `time_ns`.
        quantity: in base currency; positive.
        price: in quote currency.
        fee: paid, in `fee_currency`; negative for a rebate.
    """

    instrument: InstrumentId
    venue_order_id: str
    trade_id: str
    venue_time_ns: int
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str

    def natural_key(self) -> str:
        """Account, instrument and the venue's trade id."""
        return f"{self.account}|{self.instrument}|{self.trade_id}"


class BalanceDiffers(AccountEvent, frozen=True, kw_only=True):
    """The venue holds more or less of a currency than all that is known explains.

    Said when a difference appears, when it changes, and once more when both sides agree again.

    Attributes:
        currency: of what.
        expected: opening holdings, and what all known trades and fees made of them.
        found: what the venue says the account has, free and set aside.
        explained: how far open orders may have moved it without our knowing yet, both ways.
    """

    currency: str
    expected: Decimal
    found: Decimal
    explained: Decimal

    def natural_key(self) -> str:
        """Account, currency and time."""
        return f"{self.account}|{self.currency}|{self.time_ns}"


class KeyRotated(AccountEvent, frozen=True, kw_only=True):
    """The account's key at its venue has turned: nothing uses the old one, which may be revoked.

    Ids say nothing that could be signed with.

    Attributes:
        old: id of the key that was forgotten.
        new: id of the key in use.
        began_ns: when the new key was first used, UTC ns.
        ended_ns: when the old one was forgotten, UTC ns.
    """

    old: str
    new: str
    began_ns: int
    ended_ns: int

    def natural_key(self) -> str:
        """Account, the keys and the time."""
        return f"{self.account}|{self.old}|{self.new}|{self.ended_ns}"


class KeyRefused(AccountEvent, frozen=True, kw_only=True):
    """The account's venue refuses a key. Said once, however often it is tried again.

    Attributes:
        refused: id of the key.
        using: id of the key in use.
    """

    refused: str
    using: str

    def natural_key(self) -> str:
        """Account, the keys and the time."""
        return f"{self.account}|{self.refused}|{self.using}|{self.time_ns}"
