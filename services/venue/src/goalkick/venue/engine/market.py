"""All that belongs to one instrument: its rules, its book, who waits, what was traded."""

from decimal import Decimal

from goalkick.common.values.money import ZERO
from goalkick.venue.engine.book import Book
from goalkick.venue.engine.history import History
from goalkick.venue.engine.model import Listing, Order, Ticker
from goalkick.venue.engine.triggers import Triggers

_DAY_NS = 24 * 3600 * 1_000_000_000


class Market:
    """One instrument.

    Attributes:
        listing: its rules now; of a delisted one, the last.
        listed: whether it is there to trade. A later listing goes on with the numbers.
    """

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.listed = True
        self.book = Book(listing.instrument)
        self.triggers = Triggers()
        self.history = History()
        self._range: tuple[Decimal, Decimal] | None = None

    def saw(self, price: Decimal) -> None:
        """A trade of the command under way was at `price`."""
        if self._range is None:
            self._range = (price, price)
        else:
            self._range = (min(self._range[0], price), max(self._range[1], price))

    def take_due(self) -> list[Order]:
        """Takes out the waiting orders that the trades since the last call set off."""
        if self._range is None:
            return []
        low, high = self._range
        self._range = None
        return self.triggers.due(low, high)

    def ticker(self, now_ns: int) -> Ticker:
        """The last 24 hours and the best prices."""
        day = self.history.day(now_ns)
        depth = self.book.depth(1)
        bid, bid_quantity = depth.bids[0] if depth.bids else (ZERO, ZERO)
        ask, ask_quantity = depth.asks[0] if depth.asks else (ZERO, ZERO)
        last_id = self.history.last_id
        return Ticker(
            instrument=self.listing.instrument,
            open_ns=now_ns - _DAY_NS,
            close_ns=now_ns,
            open=day.open,
            high=day.high,
            low=day.low,
            last=self.history.last if self.history.last is not None else ZERO,
            volume=day.volume,
            quote_volume=day.quote_volume,
            trades=day.trades,
            # Trades of a loaded past have no numbers.
            first_id=max(1, last_id - day.trades + 1) if day.trades and last_id else 0,
            last_id=last_id,
            bid=bid,
            bid_quantity=bid_quantity,
            ask=ask,
            ask_quantity=ask_quantity,
        )
