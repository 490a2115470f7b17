"""What risk knows: one book for each instrument, one slot for each strategy on it. Data only."""

import math
from collections.abc import Iterator
from decimal import Decimal

import msgspec

from goalkick.common.events.market import BarClosed, VenueStatus
from goalkick.common.events.order import ExternalFillSeen, Fill, PositionChanged, RefusalCode
from goalkick.common.values.ids import EventId, InstrumentId, StrategyId, name_of
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.money import ZERO, is_multiple, round_down
from goalkick.common.values.time import NS_PER_YEAR

VOLATILITY_DECAY = 0.94
"""Weight of the past in the variance of returns (RiskMetrics 1996, daily data)."""

VOLATILITY_READY = 20
"""Returns to see before the variance is believed."""


class Slot(msgspec.Struct):
    """What one strategy wants of one instrument.

    Attributes:
        target: the target last acted upon, in [-1, 1].
        wanted: signed quantity that it was sized to; kept until the target changes.
        refused: why the latest change was refused; None if it was not.
        blocked: sign of the target that a protective exit blocks until the target changes.
    """

    target: float = 0.0
    wanted: Decimal = ZERO
    refused: RefusalCode | None = None
    blocked: int = 0


class Book(msgspec.Struct):
    """One instrument.

    Attributes:
        rules: its venue's rules; None before they are known.
        price: last close, quote currency; None before the first bar.
        bar_ns: close of the last bar; 0 before the first.
        interval_ns: length of the last bar. Of bars of several lengths only the shortest counts.
        stale: whether the feed says that it is silent.
        status: what the venue allows.
        position: signed, base currency.
        average: average entry price of the position; None when flat.
        best: most favourable price since entry; None when flat.
        working: signed quantity still to be traded, by order.
        working_sum: their sum, without those that are being taken back.
        recalled: working orders that are being taken back: nobody wants them any more, but they
            may trade until the venue says that they are gone.
        unknown: orders whose fate nobody knows, children of orders that are worked too.
        unknown_ns: since when, by order.
        unknown_under: of the children among them, the orders that they work for.
        worked: orders that an algo works -> sign of the trades that enter a position, 0 of what
            only leaves one; all else that trades for them leaves what was entered.
        external: signed base currency that trades of others made of the account.
        external_price: of the last of them; None before the first.
        slots: by strategy.
        wanted: sum of what the strategies want.
        variance: of log returns per bar, exponentially weighted.
        returns: how many returns are in it.
    """

    rules: Instrument | None = None
    price: Decimal | None = None
    bar_ns: int = 0
    interval_ns: int = 0
    stale: bool = False
    status: VenueStatus = VenueStatus.TRADING
    position: Decimal = ZERO
    average: Decimal | None = None
    best: Decimal | None = None
    working: dict[EventId, Decimal] = msgspec.field(default_factory=dict)
    working_sum: Decimal = ZERO
    recalled: list[EventId] = msgspec.field(default_factory=list)
    unknown: list[EventId] = msgspec.field(default_factory=list)
    slots: dict[StrategyId, Slot] = msgspec.field(default_factory=dict)
    wanted: Decimal = ZERO
    variance: float = 0.0
    returns: int = 0
    unknown_ns: dict[EventId, int] = msgspec.field(default_factory=dict)
    external: Decimal = ZERO
    external_price: Decimal | None = None
    worked: dict[EventId, int] = msgspec.field(default_factory=dict)
    unknown_under: dict[EventId, EventId] = msgspec.field(default_factory=dict)

    @property
    def mark(self) -> Decimal:
        """What one unit is worth, quote currency; 0 where nobody has said."""
        return self.price or self.external_price or ZERO

    @property
    def expected(self) -> Decimal:
        """The position once all working orders that are still wanted have traded."""
        return self.position + self.working_sum

    @property
    def buying(self) -> Iterator[Decimal]:
        """Quantities of the working buys."""
        return (quantity for quantity in self.working.values() if quantity > ZERO)

    @property
    def worst(self) -> Decimal:
        """The largest position, in absolute value, that working orders can lead to."""
        return self.worst_with(ZERO)

    def worst_with(self, quantity: Decimal) -> Decimal:
        """The same with one more order of a signed `quantity`.

        Any part of the orders may trade, in any order: all buys and no sell, or the reverse. What
        others did on the account is as much at risk as what we hold.
        """
        up = down = self.position + self.external
        if quantity > ZERO:
            up += quantity
        else:
            down += quantity
        for working in self.working.values():
            if working > ZERO:
                up += working
            else:
                down += working
        return max(abs(up), abs(down))

    @property
    def volatility(self) -> float | None:
        """Annualised volatility of the instrument's returns; None before it is believable."""
        if self.returns < VOLATILITY_READY or not self.interval_ns:
            return None
        return math.sqrt(self.variance * NS_PER_YEAR / self.interval_ns)

    def learn_return(self, price: Decimal) -> None:
        """Adds the log return from the last price to `price` to the variance."""
        if self.price:
            squared = math.log(float(price) / float(self.price)) ** 2
            if self.returns:
                squared += VOLATILITY_DECAY * (self.variance - squared)
            self.variance = squared
            self.returns += 1

    def whole_lots(self, quantity: Decimal) -> Decimal:
        """What of a signed quantity can be ordered: fees in kind leave parts of a lot behind."""
        if self.rules is None or is_multiple(quantity, self.rules.lot_size):
            return quantity
        return round_down(quantity, self.rules.lot_size)

    def paid_in_kind(self, fill: Fill) -> None:
        """A fee was taken out of what was traded: who wanted it has to do with so much less."""
        slot = self.slots.get(fill.strategy)
        if slot is not None and self.rules and fill.fee_currency == self.rules.base:
            slot.wanted -= fill.fee
            self.sum_wanted()

    def sum_wanted(self) -> None:
        """Brings `wanted` up to date with the slots."""
        self.wanted = sum((slot.wanted for slot in self.slots.values()), ZERO)

    def outlasts(self, bar: BarClosed) -> bool:
        """Whether `bar` is a longer one that only sums up what shorter ones have told already."""
        return bar.interval_ns > self.interval_ns and bar.time_ns - bar.interval_ns < self.bar_ns

    @property
    def owner(self) -> StrategyId:
        """The first strategy that wants the side that is held; "" if none does."""
        sign = 1 if self.position > 0 else -1
        for name, slot in self.slots.items():
            if (slot.target > 0) - (slot.target < 0) == sign:
                return name
        return StrategyId("")

    def reserve(self, order: EventId, quantity: Decimal, enters: int | None = None) -> None:
        """An order is on its way; see `worked` for what it `enters` where an algo works it."""
        self.working[order] = quantity
        self.working_sum += quantity
        if enters is not None:
            self.worked[order] = enters

    def recall(self, order: EventId) -> None:
        """A working order is being taken back; until it has ended its worst case stays reserved."""
        self.recalled.append(order)
        self.working_sum -= self.working[order]

    def to_recall(self) -> list[EventId]:
        """Working orders that stand in the way of a flat position.

        Those of the position's own side would open it again. Those of the other side may stay as
        long as together they do not turn it round, and are not worked slowly.
        """
        wanted = {o: q for o, q in self.working.items() if o not in self.recalled}
        against = sum((q for q in wanted.values() if q * self.position < ZERO), ZERO)
        if abs(against) > abs(self.position):
            return list(wanted)
        return [o for o, q in wanted.items() if q * self.position >= ZERO or o in self.worked]

    def in_the_way(self, quantity: Decimal) -> list[EventId]:
        """Working orders that a signed order cannot stand beside.

        Of those that are worked: what leaves the position at a stop would leave again what the
        order leaves, and does not know of what it adds. A bracket stays beside an order that adds
        to the position. Where an order would reduce what is only on its way: all that is.
        """
        if not self.working:
            return []
        if self.reduces(quantity) and not self.carries(quantity):
            return [order for order in self.working if order not in self.recalled]
        sign = 1 if quantity > ZERO else -1
        return [o for o, enters in self.worked.items() if enters != sign and o not in self.recalled]

    def carries(self, quantity: Decimal) -> bool:
        """Whether the position is large enough for a signed order that only reduces it.

        With all that already trades the same way; a venue lets the rest of such an order expire.
        """
        same = (working for working in self.working.values() if working * quantity > ZERO)
        total = sum(same, quantity)
        return self.position * quantity < ZERO and abs(total) <= abs(self.position)

    def reduces(self, quantity: Decimal) -> bool:
        """Whether a signed order only brings the expected position nearer to zero."""
        expected = self.expected
        return expected * quantity < ZERO and abs(quantity) <= abs(expected)

    def drop(self, order: EventId) -> None:
        """An order has ended: nothing of it is working any more."""
        left = self.working.pop(order, ZERO)
        self.worked.pop(order, None)
        if order in self.recalled:
            self.recalled.remove(order)
        else:
            self.working_sum -= left
        self.found(order)

    def doubt(self, order: EventId, now_ns: int, parent: EventId | None = None) -> None:
        """Nobody knows an order's fate; what is reserved for it stays reserved."""
        if order not in self.unknown:
            self.unknown.append(order)
            self.unknown_ns[order] = now_ns
            if parent is not None:
                self.unknown_under[order] = parent

    def in_doubt(self, order: EventId) -> bool:
        """Whether nobody knows the fate of an order, or of a child of it."""
        return order in self.unknown or order in self.unknown_under.values()

    def found(self, order: EventId) -> None:
        """The venue's evidence has ended the doubt about an order."""
        if order in self.unknown:
            self.unknown.remove(order)
            self.unknown_ns.pop(order, None)
            self.unknown_under.pop(order, None)

    def filled(self, fill: Fill, currency: str) -> None:
        """An order of ours was traded; the position is reported separately.

        Args:
            fill: the trade.
            currency: the account's cash.
        """
        if fill.fee_currency != currency:
            self.paid_in_kind(fill)
        if fill.parent is not None:
            self.child_traded(fill.parent, fill)
        elif not fill.remaining:
            self.drop(fill.order)
            return
        else:
            self.traded(fill.order, fill.side.sign * fill.quantity)
        self.found(fill.order)

    def moved(self, event: PositionChanged) -> None:
        """The position is another one."""
        before, self.position = self.position, event.quantity
        self.average = event.average_price
        if not event.quantity:
            self.best = None
        elif self.best is None or (before > 0) != (event.quantity > 0):
            self.best = self.average

    def child_traded(self, parent: EventId, fill: Fill) -> None:
        """A child has traded for an order that is worked; the position is reported separately."""
        enters, sign = self.worked.get(parent), fill.side.sign
        if enters == sign:
            self.traded(parent, sign * fill.quantity)
        elif enters is not None:
            self.exited(fill.strategy, sign * fill.quantity)

    def exited(self, strategy: StrategyId, signed: Decimal) -> None:
        """A stop or a take-profit has traded: who wanted that wants it no more, until it changes.

        Args:
            strategy: for whom first.
            signed: base currency.
        """
        for name in (strategy, *(other for other in self.slots if other != strategy)):
            slot = self.slots.get(name)
            if slot is not None and slot.wanted * signed < ZERO:
                part = min(abs(signed), abs(slot.wanted)).copy_sign(signed)
                slot.wanted += part
                slot.blocked = (slot.target > 0) - (slot.target < 0)
                signed -= part
        self.sum_wanted()

    def traded(self, order: EventId, signed: Decimal) -> None:
        """Part of a working order has traded; the position is reported separately."""
        if order in self.working:
            self.working[order] -= signed
            if order not in self.recalled:
                self.working_sum -= signed


class Halts(msgspec.Struct):
    """What stops new risk in the whole account.

    Attributes:
        operator: scopes that a person has halted.
        daily: the day's loss limit was reached.
        drawdown: the drawdown limit was reached.
    """

    operator: list[str] = msgspec.field(default_factory=list)
    daily: bool = False
    drawdown: bool = False


class Account(msgspec.Struct):
    """The account as a whole.

    Attributes:
        now_ns: the latest event time that was seen.
        cash: quote currency; 0 before the opening balance is reported.
        opened: whether a balance was reported.
        books: by instrument.
        day_ns: start of the present UTC day.
        day_equity: equity at the start of the day.
        peak: highest equity.
        floor: equity at which a limit is reached; below it nothing new is risked.
        halts: what stops new risk.
        external_cash: quote currency that trades of others made of the account.
        external_orders: orders of others that were seen.
        external_fills: trades of others that were seen.
    """

    now_ns: int = 0
    cash: Decimal = ZERO
    opened: bool = False
    books: dict[InstrumentId, Book] = msgspec.field(default_factory=dict)
    day_ns: int = 0
    day_equity: Decimal = ZERO
    peak: Decimal = ZERO
    floor: Decimal | None = None
    halts: Halts = msgspec.field(default_factory=Halts)
    external_cash: Decimal = ZERO
    external_orders: int = 0
    external_fills: int = 0

    @property
    def equity(self) -> Decimal:
        """Cash and positions at the last closes, those of others too; quote currency."""
        total = self.cash
        for book in self.books.values():
            if book.position and book.price is not None:
                total += book.position * book.price
            if book.external:
                total += book.external * book.mark
        return total + self.external_cash

    def saw(self, fill: ExternalFillSeen, book: Book, currency: str) -> None:
        """Books a trade that is none of ours: it is at risk like ours.

        Args:
            fill: the trade.
            book: of its instrument.
            currency: the account's cash; what is paid in another cannot be valued, and is counted.
        """
        self.external_fills += 1
        base, _, quote = name_of(fill.instrument).partition("/")
        if book.rules is not None:
            base, quote = book.rules.base, book.rules.quote
        if quote != currency:
            return
        signed = fill.side.sign * fill.quantity
        book.external += signed
        book.external_price = fill.price
        self.external_cash -= signed * fill.price
        if fill.fee_currency == currency:
            self.external_cash -= fill.fee
        elif fill.fee_currency == base:
            book.external -= fill.fee
