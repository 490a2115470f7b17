"""The risk core: signals in, approved or refused orders out. Nothing trades without it.

Signals say levels, again with every look at the market. Risk remembers the level that it acted
upon and orders only the difference between what all strategies want and what is held or on its
way. It never answers a report with an order: reports only bring its books up to date.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from goalkick.common.core.machine import Handler
from goalkick.common.core.snapshot import decode_snapshot, encode_snapshot
from goalkick.common.events.base import Event, Side
from goalkick.common.events.control import (
    Halt,
    Resume,
    TimeAdvanced,
    TradingHalted,
    TradingResumed,
)
from goalkick.common.events.market import (
    BarClosed,
    FeedRecovered,
    FeedStale,
    InstrumentListed,
    VenueStatus,
    VenueStatusChanged,
)
from goalkick.common.events.order import (
    BalanceChanged,
    CancelRequested,
    ExternalFillSeen,
    ExternalOrderSeen,
    Fill,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderPartiallyFilled,
    OrderRefused,
    OrderRejected,
    OrderReport,
    OrderUnknown,
    OrderWorked,
    PositionChanged,
    RefusalCode,
)
from goalkick.common.events.signal import Signal
from goalkick.common.values.ids import EventId, InstrumentId
from goalkick.common.values.money import ZERO
from goalkick.common.values.time import NS_PER_DAY
from goalkick.risk import halts
from goalkick.risk.approval import approve
from goalkick.risk.checks import Proposal, Refusal, first_refusal, readiness
from goalkick.risk.order_rules import Orders
from goalkick.risk.protection import exit_reason
from goalkick.risk.settings import RiskSettings, StrategyLimits
from goalkick.risk.sizing import sized
from goalkick.risk.stages import beyond_limit, not_traded, share_of
from goalkick.risk.state import Account, Book, Slot
from goalkick.risk.work import guard, turns, work_for

_CORE = "risk/2"


class RiskCore:
    """Guards one account."""

    def __init__(self, settings: RiskSettings, *, live: bool = False) -> None:
        """Knows nothing yet: no instrument, no price, no balance, so nothing may be risked.

        Args:
            settings: sizes and limits.
            live: whether money is real, which not every strategy may trade.
        """
        self._settings = settings
        self._live = live
        stage = settings.stage
        self._unnamed = None if stage == "live" else StrategyLimits(stage=stage)
        self._fingerprint = f"{settings.account}|{settings.currency}"
        self._account = Account()
        self._learns = settings.sizing == "volatility_target"
        self._watches = settings.max_daily_loss is not None or settings.max_drawdown is not None
        self._works = bool(settings.orders)
        guards = any(rule.algo == "oco" for rule in settings.orders.values())
        self._protects = any(
            limit is not None
            for limit in (settings.stop_loss, settings.take_profit, settings.trailing_stop)
        )
        self.handlers: Mapping[type[Event], Handler] = {
            InstrumentListed: self._on_listed,
            BarClosed: self._on_guarded_bar if guards else self._on_bar,
            FeedStale: self._on_stale,
            FeedRecovered: self._on_recovered,
            VenueStatusChanged: self._on_status,
            TimeAdvanced: self._on_time,
            Signal: self._on_signal,
            Halt: self._on_halt,
            Resume: self._on_resume,
            OrderPartiallyFilled: self._on_fill,
            OrderFilled: self._on_fill,
            OrderRejected: self._on_ended,
            OrderCancelled: self._on_ended,
            OrderExpired: self._on_ended,
            OrderWorked: self._on_ended,
            OrderUnknown: self._on_unknown,
            OrderAccepted: self._on_accepted,
            PositionChanged: self._on_position,
            BalanceChanged: self._on_balance,
            ExternalOrderSeen: self._on_external_order,
            ExternalFillSeen: self._on_external_fill,
        }

    @property
    def account(self) -> Account:
        """What risk knows; to be read, not changed."""
        return self._account

    @property
    def awaits_reports(self) -> bool:
        """Whether execution may still have something to say about what was decided."""
        account = self._account
        return not account.opened or any(book.working for book in account.books.values())

    def snapshot(self) -> bytes:
        """The whole account."""
        return encode_snapshot(_CORE, self._fingerprint, self._account)

    def restore(self, data: bytes) -> None:
        """Takes over a snapshot; limits are those of the present settings.

        Raises:
            InvalidDataError: it is of another account or currency.
        """
        self._account = decode_snapshot(data, _CORE, self._fingerprint, Account)
        halts.set_floor(self._account, self._settings)

    def _book(self, instrument: InstrumentId) -> Book:
        book = self._account.books.get(instrument)
        if book is None:
            book = self._account.books[instrument] = Book()
        return book

    def _on_listed(self, event: InstrumentListed) -> Sequence[Event]:
        self._book(event.instrument).rules = event.rules
        return ()

    def _on_bar(self, bar: BarClosed) -> Sequence[Event]:
        account = self._account
        if bar.time_ns > account.now_ns:  # noqa: PLR1730 - a call would cost more than the rest
            account.now_ns = bar.time_ns
        book = account.books.get(bar.instrument) or self._book(bar.instrument)
        if bar.interval_ns != book.interval_ns:
            if book.outlasts(bar):
                return ()
            # Returns over another length of time say nothing about these.
            book.returns, book.price = 0, None
        if self._learns:
            book.learn_return(bar.close)
        book.price = bar.close
        book.bar_ns = bar.time_ns
        book.interval_ns = bar.interval_ns
        events: Sequence[Event] = ()
        if self._watches:
            events = self._watch(bar)
        if self._protects and book.position:
            reason = exit_reason(book, bar, self._settings)
            if reason:
                events = [*events, *self._protect(book, bar, reason)]
        return events

    def _on_guarded_bar(self, bar: BarClosed) -> Sequence[Event]:
        events, book = self._on_bar(bar), self._book(bar.instrument)
        if book.position and not book.working and book.bar_ns == bar.time_ns:
            return [*events, *guard(self._settings, book, bar)]
        return events

    def _on_time(self, event: TimeAdvanced) -> Sequence[Event]:
        self._account.now_ns = max(self._account.now_ns, event.time_ns)
        return self._watch(event) if self._watches else ()

    def _on_stale(self, event: FeedStale) -> Sequence[Event]:
        # Prices come from bars: a silent book or tape says nothing about them, nor does its return.
        if event.stream == "bar":
            self._book(event.instrument).stale = True
        return ()

    def _on_recovered(self, event: FeedRecovered) -> Sequence[Event]:
        if event.stream == "bar":
            self._book(event.instrument).stale = False
        return ()

    def _on_status(self, event: VenueStatusChanged) -> Sequence[Event]:
        self._book(event.instrument).status = event.status
        return ()

    def _on_fill(self, fill: Fill) -> Sequence[Event]:
        self._book(fill.instrument).filled(fill, self._settings.currency)
        return ()

    def _on_ended(self, report: OrderReport) -> Sequence[Event]:
        self._book(report.instrument).drop(report.order)
        return ()

    def _on_unknown(self, report: OrderUnknown) -> Sequence[Event]:
        self._book(report.instrument).doubt(report.order, report.time_ns, report.parent)
        return ()

    def _on_accepted(self, report: OrderAccepted) -> Sequence[Event]:
        self._book(report.instrument).found(report.order)
        return ()

    def _on_external_order(self, event: ExternalOrderSeen) -> Sequence[Event]:
        self._account.external_orders += 1
        return ()

    def _on_external_fill(self, fill: ExternalFillSeen) -> Sequence[Event]:
        self._account.saw(fill, self._book(fill.instrument), self._settings.currency)
        return ()

    def _on_position(self, event: PositionChanged) -> Sequence[Event]:
        self._book(event.instrument).moved(event)
        return ()

    def _on_balance(self, event: BalanceChanged) -> Sequence[Event]:
        account = self._account
        if event.currency != self._settings.currency:
            return ()
        account.cash = event.total
        if not account.opened:
            account.opened = True
            account.peak = account.day_equity = account.equity
            halts.set_floor(account, self._settings)
        return ()

    def _on_halt(self, command: Halt) -> Sequence[Event]:
        scopes = self._account.halts.operator
        if command.scope not in ("*", self._settings.account) or command.scope in scopes:
            return ()
        scopes.append(command.scope)
        return (self._halted(command.time_ns, command.reason or "halted by command"),)

    def _on_resume(self, command: Resume) -> Sequence[Event]:
        if command.scope not in ("*", self._settings.account):
            return ()
        halts.resume(self._account, self._settings)
        return (self._resumed(command.time_ns, command.reason or "resumed by command"),)

    def _on_signal(self, signal: Signal) -> Sequence[Event]:
        """Acts on a level; the common case, nothing to do, is decided first."""
        book = self._account.books.get(signal.instrument) or self._book(signal.instrument)
        slot = book.slots.get(signal.strategy)
        if slot is None:
            slot = book.slots[signal.strategy] = Slot()
        if (
            signal.target == slot.target
            and slot.refused is None
            and book.wanted == (book.expected if book.working else book.position)
        ):
            return ()
        return self._act(signal, book, slot)

    def _act(self, signal: Signal, book: Book, slot: Slot) -> Sequence[Event]:
        if not -1.0 <= signal.target <= 1.0:
            detail = f"expected a target in [-1, 1], found {signal.target}"
            return self._refuse(signal, slot, ZERO, Refusal(RefusalCode.INVALID_SIGNAL, detail, {}))
        refusal = readiness(self._account, book, signal.expires_at_ns, self._settings)
        if refusal is not None:
            return self._refuse(signal, slot, ZERO, refusal)
        if slot.blocked:
            if _sign(signal.target) == slot.blocked:
                if book.wanted - slot.wanted != book.expected:
                    # The exit did not trade, or not all of it: it is due again.
                    return self._order(signal, book, slot, ZERO)
                detail = "a protective exit ended this target; expected another one first"
                stopped = Refusal(RefusalCode.STOPPED_OUT, detail, {})
                return self._refuse(signal, slot, ZERO, stopped)
            slot.blocked = 0
        return self._size(signal, book, slot)

    def _size(self, signal: Signal, book: Book, slot: Slot) -> Sequence[Event]:
        """Orders what a target means for a strategy of this size, stage and limits."""
        limits = self._settings.strategies.get(signal.strategy, self._unnamed)
        if limits is not None and signal.target and (no := not_traded(limits, self._live)):
            gone = self._order(signal, book, slot, ZERO) if slot.wanted else ()
            return (*gone, *self._refuse(signal, slot, ZERO, no))
        wanted = slot.wanted
        if signal.target != slot.target or slot.refused is not None:
            found = sized(signal.target, book, self._account.equity, self._settings)
            if found is None:
                detail = "expected the instrument's volatility to be known; it needs more bars"
                no_size = Refusal(RefusalCode.NO_PRICE, detail, {})
                return self._refuse(signal, slot, ZERO, no_size)
            wanted = found if limits is None else share_of(limits, found, book)
        if limits is not None and abs(wanted) > abs(slot.wanted):
            too_much = beyond_limit(limits, signal.strategy, wanted, book, self._account)
            if too_much is not None:
                return self._refuse(signal, slot, wanted - slot.wanted, too_much)
        return self._order(signal, book, slot, wanted)

    def _order(self, signal: Signal, book: Book, slot: Slot, wanted: Decimal) -> Sequence[Event]:
        """Orders what is missing; in doubt only the part that takes risk away."""
        expected = book.expected
        missing = book.whole_lots(book.wanted - slot.wanted + wanted - expected)
        if not missing:
            if signal.target and not wanted:
                # A target so small that not a single lot is left of it.
                lot = book.rules.lot_size if book.rules else ZERO
                too_small = Refusal(
                    RefusalCode.BELOW_MIN_QUANTITY, "less than one lot", {"lot_size": lot}
                )
                return self._refuse(signal, slot, ZERO, too_small)
            self._settle(signal, book, slot, wanted)
            return ()
        reducing = book.reduces(missing)
        refusal = first_refusal(self._proposal(book, missing, reducing))
        if refusal is None:
            self._settle(signal, book, slot, wanted)
            return self._send(signal, book, missing, reducing)
        refused = self._refuse(signal, slot, missing, refusal)
        if reducing or expected * missing >= 0:
            return refused
        # A reversal that may not be: at least go flat.
        if first_refusal(self._proposal(book, -expected, True)) is not None:
            return refused
        slot.wanted -= expected
        book.sum_wanted()
        return (*refused, *self._flatten(signal, book, "flat instead of reversed"))

    def _send(
        self, signal: Signal, book: Book, missing: Decimal, reducing: bool
    ) -> Sequence[Event]:
        """Orders what is missing, with nothing in its way that would trade against it."""
        if not book.wanted:
            return self._flatten(signal, book, signal.reason)
        way = book.in_the_way(missing)
        recalled = self._recall(book, way, self._account.now_ns, signal, signal.reason)
        if recalled:
            # What was still to be entered is not any more.
            missing = book.whole_lots(book.wanted - book.expected)
            reducing = book.reduces(missing)
            if not missing or first_refusal(self._proposal(book, missing, reducing)) is not None:
                return recalled
            if not reducing and any(order not in book.worked for order in way):
                # What is taken back may trade on its way: what is then lacking is due next time.
                return recalled
        if turns(self._settings, signal, book, missing, reducing):
            return (*recalled, *self._flatten(signal, book, "flat first, then the other way"))
        return (*recalled, self._approve(signal, book, missing, reducing, signal.reason))

    def _proposal(self, book: Book, quantity: Decimal, reducing: bool) -> Proposal:
        return Proposal(self._account, book, quantity, reducing, self._settings)

    def _settle(self, signal: Signal, book: Book, slot: Slot, wanted: Decimal) -> None:
        slot.target = signal.target
        slot.wanted = wanted
        slot.refused = None
        book.sum_wanted()

    def _flatten(self, signal: Signal, book: Book, reason: str) -> Sequence[Event]:
        """Ends the position and all that is on its way to another one."""
        recalled = self._recall(book, book.to_recall(), self._account.now_ns, signal, reason)
        quantity = book.whole_lots(-book.expected)
        if not quantity:
            return recalled
        return (*recalled, self._approve(signal, book, quantity, True, reason))

    def _recall(
        self, book: Book, orders: Sequence[EventId], time_ns: int, cause: Event, reason: str
    ) -> Sequence[CancelRequested]:
        """Takes back working orders that would stand in the way of what is wanted now.

        After it `book.expected` is the part of the position that nothing changes yet.
        """
        for order in orders:
            book.recall(order)
        return tuple(
            CancelRequested(
                time_ns=time_ns,
                account=self._settings.account,
                order=order,
                cause=cause.id,
                reason=reason,
            )
            for order in orders
        )

    def _approve(
        self, signal: Signal, book: Book, quantity: Decimal, reduce_only: bool, reason: str
    ) -> Event:
        work = None
        # What a protective exit left over is as urgent as the exit was.
        if self._works and not book.slots[signal.strategy].blocked:
            orders: Orders = "exits" if reduce_only else "entries"
            work = work_for(self._settings, signal, book, quantity, orders, self._account.now_ns)
        approved = approve(
            time_ns=self._account.now_ns,
            account=self._settings.account,
            cause=signal.id,
            strategy=signal.strategy,
            instrument=signal.instrument,
            quantity=quantity,
            reduce_only=reduce_only,
            expires_at_ns=signal.expires_at_ns,
            reason=reason,
            work=work,
        )
        book.reserve(approved.order, quantity, work.enters if work is not None else None)
        return approved

    def _refuse(
        self, signal: Signal, slot: Slot, quantity: Decimal, refusal: Refusal
    ) -> Sequence[Event]:
        """Says "no" once for each change of reason or target, not with every bar."""
        if slot.refused is refusal.code and slot.target == signal.target:
            return ()
        slot.refused = refusal.code
        slot.target = signal.target
        side = Side.BUY if (quantity or signal.target) >= 0 else Side.SELL
        return (
            OrderRefused(
                time_ns=self._account.now_ns,
                account=self._settings.account,
                cause=signal.id,
                strategy=signal.strategy,
                instrument=signal.instrument,
                side=side,
                quantity=abs(quantity),
                code=refusal.code,
                detail=refusal.detail,
                numbers=refusal.numbers,
            ),
        )

    def _watch(self, event: Event) -> Sequence[Event]:
        """Looks at the account's losses."""
        account = self._account
        if not account.opened:
            return ()
        events: list[Event] = []
        if account.now_ns >= account.day_ns + NS_PER_DAY and halts.begin_day(
            account, self._settings
        ):
            events.append(self._resumed(event.time_ns, "a new day"))
        events += [
            self._halted(event.time_ns, f"{limit} reached")
            for limit in halts.new_halts(account, self._settings)
        ]
        return events

    def _protect(self, book: Book, bar: BarClosed, reason: str) -> Sequence[Event]:
        """Ends a position; its strategies stay out until they want something else."""
        if book.expected * book.position <= 0:
            # What is on its way ends the position already.
            return ()
        if book.status is not VenueStatus.TRADING or book.unknown:
            return ()
        sign = 1 if book.position > 0 else -1
        owner = book.owner
        for slot in book.slots.values():
            if _sign(slot.target) == sign:
                slot.blocked = sign
            slot.wanted = ZERO
        book.wanted = ZERO
        recalled = self._recall(book, book.to_recall(), bar.time_ns, bar, reason)
        quantity = book.whole_lots(-book.expected)
        if not quantity:
            return recalled
        approved = approve(
            time_ns=bar.time_ns,
            account=self._settings.account,
            cause=bar.id,
            strategy=owner,
            instrument=bar.instrument,
            quantity=quantity,
            reduce_only=True,
            expires_at_ns=0,
            reason=reason,
        )
        book.reserve(approved.order, quantity)
        return (*recalled, approved)

    def _halted(self, time_ns: int, reason: str) -> Event:
        scope = self._settings.account
        return TradingHalted(time_ns=time_ns, scope=scope, issuer="risk", reason=reason)

    def _resumed(self, time_ns: int, reason: str) -> Event:
        scope = self._settings.account
        return TradingResumed(time_ns=time_ns, scope=scope, issuer="risk", reason=reason)


def _sign(target: float) -> int:
    return (target > 0) - (target < 0)
