"""What can be traded, and by which rules of its venue."""

from decimal import Decimal

import msgspec

from goalkick.common.values.ids import InstrumentId, name_of, venue_of
from goalkick.common.values.money import ZERO, is_multiple


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """A tradable thing and its venue's rules.

    Attributes:
        id: `<venue>:<name>`.
        base: currency of quantities (`BTC`).
        quote: currency of prices and cash (`USDT`).
        tick_size: prices are multiples of it, in quote currency; positive.
        lot_size: quantities are multiples of it, in base currency; positive.
        min_quantity: smallest order, in base currency.
        min_notional: smallest price x quantity of an order, in quote currency.
        maker_fee: fee of a resting order as a fraction of notional (0.001 = 10 bps).
        taker_fee: fee of a taking order as a fraction of notional.
    """

    id: InstrumentId
    base: str
    quote: str
    tick_size: Decimal = Decimal("0.01")
    lot_size: Decimal = Decimal("0.00000001")
    min_quantity: Decimal = ZERO
    min_notional: Decimal = ZERO
    maker_fee: Decimal = Decimal("0.001")
    taker_fee: Decimal = Decimal("0.001")

    def __post_init__(self) -> None:
        """Refuses rules that no order could meet."""
        if self.tick_size <= 0 or self.lot_size <= 0:
            raise ValueError(
                f"{self.id}: tick and lot size must be positive, "
                f"found {self.tick_size} and {self.lot_size}"
            )

    @property
    def venue(self) -> str:
        """The venue's name."""
        return venue_of(self.id)

    @property
    def name(self) -> str:
        """The name on the venue (`BTC/USDT`)."""
        return name_of(self.id)

    def accepts_quantity(self, quantity: Decimal) -> bool:
        """Whether `quantity` is a positive multiple of the lot and not below the minimum."""
        return (
            quantity > 0 and quantity >= self.min_quantity and is_multiple(quantity, self.lot_size)
        )
