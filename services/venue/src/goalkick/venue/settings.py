"""What can be configured about the exchange in a box."""

from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from goalkick.common.config.types import Duration, Exact, Settings
from goalkick.common.values.money import ONE, ZERO
from goalkick.common.values.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_MS
from goalkick.venue.binance.settings import BinanceSettings
from goalkick.venue.bybit.settings import BybitSettings
from goalkick.venue.engine.model import Listing

FrontEnd = Literal["binance", "bybit"]

HOUSE = "house"
"""The account that control orders come from, so that fills can be made to happen."""


class MarketSettings(Settings):
    """An instrument and its rules; the rest of the rules are the engine's defaults."""

    price: Exact = Field(Exact(100), gt=ZERO, description="where it starts, in quote")
    tick_size: Exact = Field(Exact("0.01"), gt=ZERO, description="step of prices, in quote")
    lot_size: Exact = Field(Exact("0.00001"), gt=ZERO, description="step of quantities, in base")
    min_price: Exact = Field(Exact("0.01"), gt=ZERO, description="lowest price, in quote")
    max_price: Exact = Field(Exact(1_000_000), gt=ZERO, description="highest price, in quote")
    min_quantity: Exact = Field(Exact("0.00001"), gt=ZERO, description="smallest order, in base")
    max_quantity: Exact = Field(Exact(9_000), gt=ZERO, description="largest order, in base")
    max_market_quantity: Exact = Field(
        Exact(100), gt=ZERO, description="largest market order, in base"
    )
    min_notional: Exact = Field(Exact(5), ge=ZERO, description="smallest order, in quote")
    max_notional: Exact = Field(Exact(9_000_000), gt=ZERO, description="largest order, in quote")
    maker_fee: Exact = Field(
        Exact("0.001"), ge=ZERO, lt=ONE, description="fraction of what a resting order receives"
    )
    taker_fee: Exact = Field(
        Exact("0.001"), ge=ZERO, lt=ONE, description="fraction of what a crossing order receives"
    )
    max_orders: int = Field(200, ge=1, description="open orders of an account")
    max_algo_orders: int = Field(5, ge=0, description="untriggered stop orders of an account")

    def listing(self, instrument: str) -> Listing:
        """The engine's word for it."""
        base, quote = instrument.split("/")
        rules = self.model_dump(exclude={"price"})
        return Listing(instrument=instrument, base=base, quote=quote, **rules)


class AccountSettings(Settings):
    """An account, what it starts with, and its key."""

    balances: dict[str, Exact] = Field(
        {"USDT": Exact(1_000_000), "BTC": Exact(10), "ETH": Exact(100), "BNB": Exact(100)},
        description="what it starts with, by asset",
    )
    key: str = Field("", description="API key; generated and printed if empty")
    secret: str = Field(
        "", description="secret of the key, for evaluation only; generated and printed if empty"
    )


class FlowSettings(Settings):
    """The market maker and the noise traders that keep the books alive."""

    enabled: bool = Field(True, description="whether anybody trades beside the accounts")
    seed: int = Field(1, description="same seed and same times: the same market")
    interval: Duration = Field(
        50 * NS_PER_MS, gt=0, description="time between two rounds of the flow"
    )
    trades_per_second: float = Field(
        2.0, ge=0, le=1000, description="trades a second on each instrument, on average"
    )
    quotes_per_second: float = Field(
        10.0, ge=0, le=1000, description="changes of the maker's quotes a second on each instrument"
    )
    levels: int = Field(
        25, ge=1, le=1000, description="price levels that the maker quotes on each side"
    )
    spread_bps: float = Field(
        2.0, gt=0, le=1000, description="distance of the maker's best quotes, in basis points"
    )
    volatility: float = Field(
        0.5, ge=0, le=10, description="annualised volatility of the fair price; 0.5 is 50 %"
    )
    history: Duration = Field(
        1000 * NS_PER_MINUTE,
        ge=0,
        le=60 * NS_PER_DAY,
        description="one-minute candles before the start, as a duration",
    )


class TlsSettings(Settings):
    """Certificates that the venue makes for itself."""

    enabled: bool = Field(False, description="whether the front ends speak TLS")
    folder: Path = Field(
        Path("venue-ca"), description="where ca.pem is written, for clients to trust"
    )
    names: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1", "demo-api", "demo-stream", "demo-ws-api"),
        description="host names and addresses that the certificate is for",
    )


def _markets() -> dict[str, MarketSettings]:
    return {
        "BTC/USDT": MarketSettings(price=Decimal(60_000)),
        "ETH/USDT": MarketSettings(
            price=Decimal(3_000), lot_size=Decimal("0.0001"), min_quantity=Decimal("0.0001")
        ),
        "BNB/USDT": MarketSettings(
            price=Decimal(500), lot_size=Decimal("0.001"), min_quantity=Decimal("0.001")
        ),
        "币安人生/USDT": MarketSettings(
            price=Decimal("0.15"),
            tick_size=Decimal("0.0001"),
            min_price=Decimal("0.0001"),
            lot_size=Decimal("0.1"),
            min_quantity=Decimal("0.1"),
            max_quantity=Decimal(10_000_000),
            max_market_quantity=Decimal(100_000),
        ),
    }


class VenueSettings(Settings):
    """The exchange in a box."""

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    front_ends: tuple[FrontEnd, ...] = Field(
        ("binance", "bybit"), description="the protocols that are spoken"
    )
    binance_port: int = Field(8080, ge=0, le=65535, description="port of Binance; 0: any free one")
    bybit_port: int = Field(8081, ge=0, le=65535, description="port of Bybit; 0: any free one")
    control_port: int = Field(
        8082, ge=0, le=65535, description="port of the control API; 0: any free one"
    )
    seed: int = Field(1, description="of the jitter of faults")
    markets: dict[str, MarketSettings] = Field(
        default_factory=_markets, description="instruments, by name such as BTC/USDT"
    )
    accounts: dict[str, AccountSettings] = Field(
        {"main": AccountSettings()}, description="accounts, by name"
    )
    flow: FlowSettings = FlowSettings()
    binance: BinanceSettings = BinanceSettings()
    bybit: BybitSettings = BybitSettings()
    tls: TlsSettings = TlsSettings()

    @field_validator("markets")
    @classmethod
    def _named_by_pair(cls, markets: dict[str, MarketSettings]) -> dict[str, MarketSettings]:
        for name in markets:
            base, slash, quote = name.partition("/")
            if not (base and slash and quote) or "/" in quote:
                raise ValueError(f"expected a name such as BTC/USDT, found {name!r}")
        return markets

    @field_validator("accounts")
    @classmethod
    def _keys_are_whole(cls, accounts: dict[str, AccountSettings]) -> dict[str, AccountSettings]:
        for name, account in accounts.items():
            if bool(account.key) != bool(account.secret):
                raise ValueError(f"expected key and secret of {name} together, found one of them")
        if HOUSE in accounts:
            raise ValueError(f"expected another name than {HOUSE}, which is the venue's own")
        return accounts
