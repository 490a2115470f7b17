"""What exchanges in a box list and offer, as our events and the router say it."""

from collections.abc import Mapping

from goalkick.common.events.base import Side
from goalkick.common.values.ids import InstrumentId, name_of
from goalkick.common.values.instruments import Instrument
from goalkick.execution.routing import VenueBook
from goalkick.venue.server import VenueServer


def rules_on(server: VenueServer, instrument: InstrumentId) -> Instrument:
    """An instrument's rules on an exchange, by the name that we have for it."""
    listing = server.exchange.listings[name_of(instrument)]
    return Instrument(
        id=instrument,
        base=listing.base,
        quote=listing.quote,
        tick_size=listing.tick_size,
        lot_size=listing.lot_size,
        min_quantity=listing.min_quantity,
        min_notional=listing.min_notional,
        taker_fee=listing.taker_fee,
    )


def books_on(
    servers: Mapping[str, VenueServer], instrument: InstrumentId, side: Side
) -> list[VenueBook]:
    """What several exchanges offer now to whoever takes on a side."""
    found = []
    for name, server in servers.items():
        depth = server.exchange.depth(name_of(instrument))
        levels = depth.asks if side is Side.BUY else depth.bids
        rules = rules_on(server, instrument)
        found.append(VenueBook(venue=name, rules=rules, levels=levels))
    return found
