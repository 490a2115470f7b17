"""What all Bybit calls share: the exchange, its symbols, limits, and who asks."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from goalkick.common.values.time import NS_PER_SECOND
from goalkick.venue.accounts import ApiKey
from goalkick.venue.bybit import errors
from goalkick.venue.bybit.dead_man import DeadMan
from goalkick.venue.bybit.forms import symbol_of
from goalkick.venue.bybit.settings import BybitSettings
from goalkick.venue.context import Context
from goalkick.venue.engine.exchange import Exchange
from goalkick.venue.engine.model import Listing
from goalkick.venue.limits import AddressLimit, BanRule, ConnectionLimit, Usage


@dataclass(frozen=True)
class Quota:
    """What is left of an account's second, as reply headers tell it.

    Attributes:
        limit: requests a second.
        left: of them.
        reset_ms: when the second ends.
    """

    limit: int
    left: int
    reset_ms: int

    @property
    def headers(self) -> dict[str, str]:
        """As headers."""
        return {
            "X-Bapi-Limit": str(self.limit),
            "X-Bapi-Limit-Status": str(self.left),
            "X-Bapi-Limit-Reset-Timestamp": str(self.reset_ms),
        }


@dataclass
class Front:
    """The Bybit front end's state."""

    context: Context
    addresses: AddressLimit = field(init=False)
    connections: ConnectionLimit = field(init=False)
    dead_man: DeadMan = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        bans = BanRule(patience=0, first_ns=settings.ban, longest_ns=settings.ban)
        self.addresses = AddressLimit(settings.request_rate, bans)
        self.connections = ConnectionLimit(settings.connect_rate)
        self.dead_man = DeadMan(self.context, settings.heartbeat)
        self.context.shown["dead_man"] = self.dead_man.state
        self._usage: Usage[tuple[str, str]] = Usage(NS_PER_SECOND)

    @property
    def settings(self) -> BybitSettings:
        """As configured."""
        return self.context.settings.bybit

    @property
    def exchange(self) -> Exchange:
        """The deterministic core."""
        return self.context.exchange

    def now_ms(self) -> int:
        """The time that clients are told."""
        return self.context.clock.now_ms()

    def listings(self) -> Iterator[tuple[str, Listing]]:
        """Symbols and what they stand for, in the order of listing."""
        for listing in self.exchange.listings.values():
            yield symbol_of(listing), listing

    def find(self, symbol: str) -> Listing | None:
        """What a symbol stands for; None if it is not listed."""
        return next((each for name, each in self.listings() if name == symbol), None)

    def listing(self, symbol: str) -> Listing:
        """What a symbol stands for.

        Raises:
            ApiError: it is not listed.
        """
        found = self.find(symbol)
        if found is None:
            raise errors.bad_symbol()
        return found

    def symbol(self, instrument: str) -> str:
        """The symbol of an instrument, listed or not."""
        return instrument.replace("/", "")

    def check_address(self, address: str) -> None:
        """Counts a request of an address.

        Raises:
            ApiError: there were too many.
        """
        if self.addresses.spend(address, 1, self.context.clock.now_ns()) is not None:
            raise errors.access_too_frequent()

    def spend(self, key: ApiKey, call: str, limit: int) -> Quota:
        """Counts an account's request.

        Args:
            key: of the account.
            call: what is asked; each is counted apart.
            limit: requests a second.

        Raises:
            ApiError: there were too many in this second.
        """
        now_ns = self.context.clock.now_ns()
        used = self._usage.add((key.account, call), 1, now_ns)
        if used > limit:
            raise errors.too_many_visits()
        return Quota(limit, limit - used, self._usage.end_ns(now_ns) // 1_000_000)
