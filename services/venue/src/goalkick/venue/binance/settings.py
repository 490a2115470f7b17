"""What can be configured about the Binance front end: limits and periods, the real one's first."""

from pydantic import Field

from goalkick.common.config.types import Duration, Settings
from goalkick.common.values.time import (
    NS_PER_DAY,
    NS_PER_MINUTE,
    NS_PER_MS,
    NS_PER_SECOND,
)
from goalkick.venue.limits import BanRule, Rate


class BinanceSettings(Settings):
    """The Binance spot front end. Defaults are what Binance documents."""

    weight_limit: int = Field(
        6_000, gt=0, description="request weight of an address in each minute"
    )
    ban_patience: int = Field(
        10, ge=0, description="requests answered with 429, one after another, before a ban"
    )
    first_ban: Duration = Field(
        2 * NS_PER_MINUTE, gt=0, description="length of the first ban; each next is twice as long"
    )
    longest_ban: Duration = Field(3 * NS_PER_DAY, gt=0, description="no ban is longer")
    orders_per_10s: int = Field(
        100, gt=0, description="unfilled new orders of an account in each 10 seconds"
    )
    orders_per_day: int = Field(
        200_000, gt=0, description="unfilled new orders of an account in each day"
    )
    connects_per_5m: int = Field(
        300, gt=0, description="WebSocket handshakes of an address in each 5 minutes"
    )
    messages_per_second: int = Field(
        5,
        gt=0,
        description="messages, pings and pongs that a market stream connection may send in a "
        "second; one more ends it",
    )
    streams_per_connection: int = Field(
        1_024, gt=0, description="streams that one connection may listen to"
    )
    ping_interval: Duration = Field(
        20 * NS_PER_SECOND, gt=0, description="between two pings to a connection"
    )
    pong_timeout: Duration = Field(
        NS_PER_MINUTE, gt=0, description="a connection without a pong for so long is ended"
    )
    connection_lifetime: Duration = Field(
        NS_PER_DAY, gt=0, description="a connection is cut when it is so old"
    )
    shutdown_notice: Duration = Field(
        10 * NS_PER_SECOND, ge=0, description="how long before the cut `serverShutdown` is sent"
    )
    queue_limit: int = Field(
        10_000, gt=0, description="frames that wait for a slow reader before it is cut off"
    )
    fast_interval: Duration = Field(
        100 * NS_PER_MS, gt=0, description="between two updates of the @100ms streams"
    )
    slow_interval: Duration = Field(
        NS_PER_SECOND, gt=0, description="between two updates of depth and ticker streams"
    )
    kline_interval: Duration = Field(
        2 * NS_PER_SECOND, gt=0, description="between two updates of an unclosed kline"
    )
    kline_second_interval: Duration = Field(
        NS_PER_SECOND, gt=0, description="the same for klines of one second"
    )
    receive_window: Duration = Field(
        5 * NS_PER_SECOND, gt=0, description="age of a signed request that does not say its own"
    )
    history_window: Duration = Field(
        NS_PER_DAY,
        gt=0,
        le=30 * NS_PER_DAY,
        description="longest span between startTime and endTime of an account's history",
    )

    @property
    def weight_rate(self) -> Rate:
        """Request weight by address."""
        return Rate(self.weight_limit, NS_PER_MINUTE)

    @property
    def bans(self) -> BanRule:
        """What follows on requests after 429."""
        return BanRule(
            patience=self.ban_patience, first_ns=self.first_ban, longest_ns=self.longest_ban
        )

    @property
    def order_rates(self) -> tuple[Rate, Rate]:
        """Unfilled orders by account, the shorter window first."""
        return (
            Rate(self.orders_per_10s, 10 * NS_PER_SECOND),
            Rate(self.orders_per_day, NS_PER_DAY),
        )

    @property
    def connect_rate(self) -> Rate:
        """Handshakes by address."""
        return Rate(self.connects_per_5m, 5 * NS_PER_MINUTE)

    @property
    def message_rate(self) -> Rate:
        """Inbound messages by market stream connection."""
        return Rate(self.messages_per_second, NS_PER_SECOND)
