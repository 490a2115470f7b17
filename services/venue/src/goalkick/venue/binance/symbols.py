"""Symbols: Binance's names of the exchange's instruments, `BTCUSDT` for `BTC/USDT`."""

from collections.abc import Iterable, Iterator

from goalkick.venue.binance import errors
from goalkick.venue.engine.exchange import Exchange
from goalkick.venue.engine.model import Listing, Phase

STATUS = {
    Phase.TRADING: "TRADING",
    Phase.HALT: "HALT",
    Phase.BREAK: "BREAK",
    Phase.CANCEL_ONLY: "CANCEL_ONLY",
}


def symbol_of(listing: Listing) -> str:
    """An instrument's symbol."""
    return f"{listing.base}{listing.quote}"


class Symbols:
    """What is listed now, by symbol."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._instruments: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self.refresh()

    def refresh(self) -> None:
        """Looks again; to be called after each change of what is listed."""
        listings = self._exchange.listings.values()
        self._instruments = {symbol_of(listing): listing.instrument for listing in listings}
        # Names of what is no longer listed are kept: its orders and trades still have one.
        self._names.update({name: symbol for symbol, name in self._instruments.items()})

    def __iter__(self) -> Iterator[Listing]:
        return iter(list(self._exchange.listings.values()))

    def find(self, symbol: str) -> Listing | None:
        """The listing of a symbol; None if there is none."""
        instrument = self._instruments.get(symbol)
        return None if instrument is None else self._exchange.listings.get(instrument)

    def listing(self, symbol: str) -> Listing:
        """The listing of a symbol.

        Raises:
            ApiError: there is none.
        """
        if (listing := self.find(symbol)) is None:
            raise errors.bad_symbol()
        return listing

    def chosen(self, symbols: Iterable[str]) -> list[Listing]:
        """The listings of symbols, in their order."""
        return [self.listing(symbol) for symbol in symbols]

    def name(self, instrument: str) -> str:
        """The symbol of an instrument that is or was listed."""
        return self._names.get(instrument) or instrument.replace("/", "")
