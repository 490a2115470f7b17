"""Venues' wire messages to market events: the protocol, and which parser understands which venue.

A parser is pure: it takes what a venue said and when it arrived, and gives events. It never
dials, waits or logs. What it leaves out it counts; what is wrong it refuses by an error.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from goalkick.common.core.errors import SettingsError
from goalkick.common.events.base import Event
from goalkick.common.values.ids import InstrumentId
from goalkick.ingest.wire.base import BaseParser, WireInstrument, WireSettings
from goalkick.ingest.wire.binance import (
    BinanceFuturesParser,
    BinanceParser,
    binance_instruments,
)
from goalkick.ingest.wire.bybit import BybitParser, bybit_instruments
from goalkick.ingest.wire.bybit_v2 import BybitV2Parser, bybit_v2_instruments
from goalkick.ingest.wire.coinbase import CoinbaseParser, coinbase_instruments
from goalkick.ingest.wire.kraken import KrakenParser, kraken_instruments
from goalkick.ingest.wire.okx import OkxParser, okx_instruments

__all__ = [
    "INSTRUMENT_LISTS",
    "PARSERS",
    "WireInstrument",
    "WireParser",
    "WireSettings",
    "instruments_of",
    "parser_for",
]

Entry = TypeVar("Entry")


class WireParser(Protocol):
    """Turns one venue's messages into events; holds a book per instrument.

    Messages of one connection, in their order; a parser may serve several connections as long as
    each instrument's stream comes over one of them.
    """

    @property
    def venue(self) -> str:
        """The venue's name, as in instrument ids."""

    @property
    def counts(self) -> Mapping[str, int]:
        """What became of messages: by kind taken, ignored, old, lost, ..."""

    @property
    def needs_snapshot(self) -> tuple[InstrumentId, ...]:
        """Instruments whose book is invalid and had messages: fetch a snapshot or subscribe anew.

        Where `snapshots_by_request` is true, hand the answer to `book`; else renew the
        subscription, and the snapshot comes as its first message.
        """

    @property
    def snapshots_by_request(self) -> bool:
        """Whether snapshots are asked for (Binance), not streamed (all others)."""

    def parse(self, message: Any, received_ns: int) -> Sequence[Event]:
        """The events that a decoded stream message leads to, in order; often none.

        Raises:
            InvalidDataError: the message is wrong; says venue, what was expected and found. As
                `RefusedMessageError` it carries events that are to be published all the same.
        """

    def parse_text(self, text: bytes | str, received_ns: int) -> Sequence[Event]:
        """The same from JSON text.

        Raises:
            InvalidDataError: as `parse`, or the text is no JSON.
        """

    def book(self, instrument: InstrumentId, body: Any, received_ns: int) -> Sequence[Event]:
        """Takes the decoded answer to a request for the book.

        Raises:
            InvalidDataError: as `parse`.
        """

    def trades(self, instrument: InstrumentId, body: Any, received_ns: int) -> Sequence[Event]:
        """The trades of the decoded answer to a request, oldest first.

        Raises:
            InvalidDataError: as `parse`.
        """

    def bars(
        self, instrument: InstrumentId, body: Any, received_ns: int, interval_ns: int
    ) -> Sequence[Event]:
        """The closed bars of the decoded answer to a request, oldest first.

        Raises:
            InvalidDataError: as `parse`.
        """

    def disconnected(self, time_ns: int) -> Sequence[Event]:
        """The connection broke: all books are invalid until there are new snapshots.

        Args:
            time_ns: when it was noticed, UTC ns.
        """

    def flush(self) -> Sequence[Event]:
        """Tops of books that changed since they were last published."""


PARSERS: Final[Mapping[str, type[BaseParser]]] = {
    "binance": BinanceParser,
    "binanceusdm": BinanceFuturesParser,
    "binancecoinm": BinanceFuturesParser,
    "bybit": BybitParser,
    "bybitv2": BybitV2Parser,
    "coinbase": CoinbaseParser,
    "coinbaseexchange": CoinbaseParser,
    "kraken": KrakenParser,
    "okx": OkxParser,
}
"""The parser of each venue, by ccxt's name of the venue."""

INSTRUMENT_LISTS: Final[Mapping[str, Callable[[Any, str], list[WireInstrument]]]] = {
    "binance": binance_instruments,
    "binanceusdm": binance_instruments,
    "binancecoinm": binance_instruments,
    "bybit": bybit_instruments,
    "bybitv2": bybit_v2_instruments,
    "coinbase": coinbase_instruments,
    "coinbaseexchange": coinbase_instruments,
    "kraken": kraken_instruments,
    "okx": okx_instruments,
}
"""What reads a venue's answer with its instruments."""


def parser_for(
    venue: str, instruments: Iterable[WireInstrument], settings: WireSettings | None = None
) -> WireParser:
    """A parser of a venue's messages that knows these instruments.

    Raises:
        SettingsError: no parser understands this venue.
        ValueError: no instruments.
    """
    return _found(PARSERS, venue)(instruments, settings, venue)


def instruments_of(venue: str, body: Any) -> list[WireInstrument]:
    """The instruments in a venue's decoded answer, with their rules, in its order.

    Raises:
        SettingsError: no parser understands this venue.
        InvalidDataError: it is no such answer, or an instrument has no steps.
    """
    return _found(INSTRUMENT_LISTS, venue)(body, venue)


def _found(table: Mapping[str, Entry], venue: str) -> Entry:
    if venue not in table:
        raise SettingsError(f"expected one of the venues {', '.join(table)}, found {venue!r}")
    return table[venue]
