"""A market that happened: the book follows recorded depth, the recorded trades print.

It reads what a recorder of Binance's streams wrote, line by line: `<recv_ns> <JSON>`, the JSON
being a message of a combined stream (`@depth`, `@trade`; others are passed over) or once the REST
snapshot of the book. House orders make up each level; clients trade with them and among them.
Between two changes of a level its recorded quantity is what a client may still take, once.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.money import ZERO, parse_decimal
from goalkick.venue.engine.exchange import Exchange
from goalkick.venue.engine.model import (
    Depth,
    Kind,
    NewOrder,
    Refused,
    SelfTrade,
    Side,
    TimeInForce,
)
from goalkick.venue.flow.traders import tradable

BOOK = "recorded-book"
TAKER = "recorded-taker"
FUNDS = Decimal(10) ** 15
"""What each of the two accounts has of each asset."""

_NEAR = 20
"""Levels looked at first for what stands in a trade's way; beyond them all are."""

_Place = tuple[Side, Decimal]


class _Snapshot(msgspec.Struct):
    last_update_id: int = msgspec.field(name="lastUpdateId")
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class _Update(msgspec.Struct, kw_only=True):
    first: int = msgspec.field(name="U")
    last: int = msgspec.field(name="u")
    previous: int | None = msgspec.field(name="pu", default=None)
    bids: list[tuple[str, str]] = msgspec.field(name="b")
    asks: list[tuple[str, str]] = msgspec.field(name="a")

    @property
    def follows(self) -> int:
        """The update before it: futures name it, their ids leap."""
        return self.first - 1 if self.previous is None else self.previous


class _Trade(msgspec.Struct):
    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    buyer_is_maker: bool = msgspec.field(name="m")


class _Envelope(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()


_envelopes = msgspec.json.Decoder(_Envelope)
_snapshots = msgspec.json.Decoder(_Snapshot)
_updates = msgspec.json.Decoder(_Update)
_trades = msgspec.json.Decoder(_Trade)


class RecordedFlow:
    """Plays a recording on one instrument.

    Args:
        instrument: what it is played on.
        lines: of the recorder, oldest first; read as they are due.

    Attributes:
        update_id: the recording's number of the last change that the book has; 0: no book yet.
        done: whether all has been played.
    """

    def __init__(self, instrument: str, lines: Iterable[bytes]) -> None:
        self.instrument = instrument
        self.update_id = 0
        self._lines = iter(lines)
        self._next = _next(self._lines)
        self._offset_ns = 0
        self._early: list[_Update] = []
        self._recorded: dict[_Place, Decimal] = {}
        self._orders: dict[_Place, int] = {}
        self._behind = False  # whether the market was closed when something changed

    @property
    def done(self) -> bool:
        """Whether all has been played."""
        return self._next is None

    def open(self, exchange: Exchange) -> None:
        """Opens the accounts; the first line is due at the exchange's time.

        Raises:
            InvalidDataError: the exchange has a recording already.
            Refused: the instrument is not listed.
        """
        exchange.depth(self.instrument, 1)
        listing = exchange.listings[self.instrument]
        for account in (BOOK, TAKER):
            funds = {listing.base: FUNDS, listing.quote: FUNDS}
            exchange.open_account(account, funds, house=True)
        if self._next is not None:
            self._offset_ns = exchange.now_ns - self._next[0]

    def step(self, exchange: Exchange, now_ns: int) -> None:
        """Plays all that is due until `now_ns`, each line at its own time.

        Raises:
            InvalidDataError: a line cannot be read, or updates of the book are missing.
        """
        while self._next is not None and self._next[0] + self._offset_ns <= now_ns:
            recv_ns, text = self._next
            exchange.advance(recv_ns + self._offset_ns)
            try:
                self._take(exchange, text)
            except (msgspec.DecodeError, ValueError) as error:
                raise InvalidDataError(f"line received at {recv_ns}: {error}") from error
            self._next = _next(self._lines)
        exchange.advance(now_ns)

    def _take(self, exchange: Exchange, text: bytes) -> None:
        envelope = _envelopes.decode(text)
        if not envelope.stream:
            self._on_snapshot(exchange, _snapshots.decode(text))
        elif "@depth" in envelope.stream:
            self._on_update(exchange, _updates.decode(envelope.data))
        elif envelope.stream.endswith("@trade"):
            self._on_trade(exchange, _trades.decode(envelope.data))

    def _on_snapshot(self, exchange: Exchange, snapshot: _Snapshot) -> None:
        fresh = _levels(snapshot.bids, snapshot.asks)
        gone = {place: ZERO for place in self._recorded if place not in fresh}
        self.update_id = snapshot.last_update_id
        self._change(exchange, {**gone, **fresh})
        early, self._early = self._early, []
        for update in early:
            self._on_update(exchange, update)

    def _on_update(self, exchange: Exchange, update: _Update) -> None:
        if not self.update_id:
            self._early.append(update)
        elif update.last > self.update_id:
            if update.follows > self.update_id:
                raise InvalidDataError(
                    f"expected the depth update after {self.update_id}, found the one after "
                    f"{update.follows}"
                )
            self.update_id = update.last
            self._change(exchange, _levels(update.bids, update.asks))

    def _on_trade(self, exchange: Exchange, trade: _Trade) -> None:
        if not self.update_id or not self._ready(exchange):
            return
        price, quantity = _exact(trade.price), _exact(trade.quantity)
        taker = Side.SELL if trade.buyer_is_maker else Side.BUY
        maker = Side.BUY if trade.buyer_is_maker else Side.SELL
        # Trades and depth come on two streams, a tenth of a second apart. The depth has the last
        # word: what stands in the way of the trade goes, and comes back after it.
        lifted = self._in_the_way(exchange.depth(self.instrument, _NEAR), maker, price)
        if len(lifted) >= _NEAR:
            lifted = self._in_the_way(exchange.depth(self.instrument), maker, price)
        held = {place: self._left(exchange, place) for place in lifted}
        for place in lifted:
            self._cancel(exchange, place)
        self._place(exchange, maker, price, quantity)
        self._order(exchange, TAKER, taker, price, quantity, TimeInForce.IOC)
        self._cancel(exchange, (maker, price))
        for (side, at), left in held.items():
            if left:
                self._place(exchange, side, at, left)

    def _in_the_way(self, depth: Depth, maker: Side, price: Decimal) -> list[_Place]:
        """Where our orders would trade before, or with, one of `maker`'s side at `price`."""
        found = [(Side.SELL, at) for at, _ in depth.asks if at <= price]
        found += [(Side.BUY, at) for at, _ in depth.bids if at >= price]
        if (maker, price) not in found:
            found.append((maker, price))
        return [place for place in found if place in self._orders]

    def _change(self, exchange: Exchange, levels: dict[_Place, Decimal]) -> None:
        for place, quantity in levels.items():
            if quantity:
                self._recorded[place] = quantity
            else:
                self._recorded.pop(place, None)
        if not self._ready(exchange):
            return
        for place in levels:
            self._cancel(exchange, place)
        for (side, price), quantity in levels.items():
            if quantity:
                self._place(exchange, side, price, quantity)

    def _ready(self, exchange: Exchange) -> bool:
        """Whether orders can be placed; the book catches up with what it missed."""
        if tradable(exchange, self.instrument) is None:
            self._behind = True
            return False
        if self._behind:
            self._behind = False
            exchange.cancel_all(BOOK, self.instrument)
            self._orders.clear()
            for (side, price), quantity in self._recorded.items():
                self._place(exchange, side, price, quantity)
        return True

    def _left(self, exchange: Exchange, place: _Place) -> Decimal:
        try:
            order = exchange.order(BOOK, self.instrument, order_id=self._orders[place])
        except Refused:  # filled by a client, and forgotten
            return ZERO
        return order.left

    def _place(self, exchange: Exchange, side: Side, price: Decimal, quantity: Decimal) -> None:
        order_id = self._order(exchange, BOOK, side, price, quantity, TimeInForce.GTC)
        self._orders[side, price] = order_id

    def _cancel(self, exchange: Exchange, place: _Place) -> None:
        order_id = self._orders.pop(place, None)
        if order_id is None:
            return
        try:
            exchange.cancel(BOOK, self.instrument, order_id=order_id)
        except Refused:  # filled, by a client or by the trade that was printed
            return

    def _order(
        self,
        exchange: Exchange,
        account: str,
        side: Side,
        price: Decimal,
        quantity: Decimal,
        time_in_force: TimeInForce,
    ) -> int:
        request = NewOrder(
            instrument=self.instrument,
            side=side,
            kind=Kind.LIMIT,
            quantity=quantity,
            price=price,
            time_in_force=time_in_force,
            # What is newer is right.
            self_trade=SelfTrade.EXPIRE_MAKER,
        )
        return exchange.place(account, request).order_id


def _next(lines: Iterator[bytes]) -> tuple[int, bytes] | None:
    """The next line's receive time and message; None: there is none."""
    for line in lines:
        if not line.strip():
            continue
        time_text, _, text = line.partition(b" ")
        if not time_text.isdigit():
            raise InvalidDataError(f"expected `<recv_ns> <JSON>`, found {line[:80]!r}")
        return int(time_text), text
    return None


def _levels(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> dict[_Place, Decimal]:
    return {
        (side, _exact(price)): _exact(quantity)
        for side, rows in ((Side.BUY, bids), (Side.SELL, asks))
        for price, quantity in rows
    }


def _exact(text: str) -> Decimal:
    # Without the zeros at the end, so that the book shows what a client would have written.
    return parse_decimal(text.rstrip("0").rstrip(".") or "0" if "." in text else text)
