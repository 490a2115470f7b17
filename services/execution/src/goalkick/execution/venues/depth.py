"""One look at an instrument on one venue: its book and its rules, for whoever splits an order."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from goalkick.common.adapters.budget.metered import prioritised
from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.ids import InstrumentId, name_of
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.money import ZERO, decimal_from_float, parse_decimal
from goalkick.execution.routing import Level
from goalkick.execution.venues.client import VenueClient
from goalkick.execution.venues.dialect import Dialect

LEVELS = 50
"""Of each side that are asked for: what venues answer with one request's cheapest weight."""


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """What one venue offers now.

    Attributes:
        rules: the instrument's rules there, with the taker's fee.
        bids, asks: best first.
    """

    rules: Instrument
    bids: Sequence[Level]
    asks: Sequence[Level]


class Look(Protocol):
    """Asks a venue."""

    async def __call__(self, instrument: InstrumentId) -> Depth:
        """What it offers now, in its own name of the instrument.

        Raises:
            TransientError: it does not answer.
            InvalidDataError: it does not list the instrument.
        """
        ...


class CcxtLook:
    """Asks a venue that ccxt connects to, over the client of an account there."""

    def __init__(self, client: VenueClient, dialect: Dialect, taker_fee: Decimal | None) -> None:
        """Asks nothing yet.

        Args:
            client: that has loaded.
            dialect: the venue's own language.
            taker_fee: as a fraction of notional; None: what the venue lists for everybody.
        """
        self._client = client
        self._dialect = dialect
        self._taker_fee = taker_fee

    async def __call__(self, instrument: InstrumentId) -> Depth:
        """See the protocol."""
        client = self._client
        symbol = await client.symbol(instrument)
        # An order waits for it: it takes no turns with questions.
        with prioritised("open"):
            bids, asks = await client.answer_to(self._dialect.book(client.rest, symbol, LEVELS))
        market = client.rest.markets[name_of(instrument)]
        return Depth(rules=self._rules(instrument, market), bids=_levels(bids), asks=_levels(asks))

    def _rules(self, instrument: InstrumentId, market: Mapping[str, Any]) -> Instrument:
        limits, precision = market["limits"], market["precision"]
        fee = self._taker_fee
        return Instrument(
            id=instrument,
            base=market["base"],
            quote=market["quote"],
            tick_size=_exact(precision["price"]),
            lot_size=_exact(precision["amount"]),
            min_quantity=_exact(limits["amount"]["min"] or 0),
            min_notional=_exact(limits["cost"]["min"] or 0),
            taker_fee=_exact(market["taker"]) if fee is None else fee,
        )


def _levels(rows: Sequence[Sequence[str]]) -> Sequence[Level]:
    levels = [(parse_decimal(price), parse_decimal(quantity)) for price, quantity, *_ in rows]
    return [level for level in levels if level[1] > ZERO]


def _exact(value: object) -> Decimal:
    if isinstance(value, float | int):
        return decimal_from_float(value)
    if isinstance(value, str):
        return parse_decimal(value)
    raise InvalidDataError(f"expected a number in a venue's rules, found {value!r}")
