"""What can be configured about the Bybit front end: limits and periods, the real one's first."""

from pydantic import Field

from goalkick.common.config.types import Duration, Settings
from goalkick.common.values.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND
from goalkick.venue.limits import Rate


class BybitSettings(Settings):
    """The Bybit v5 spot front end. Defaults are what Bybit documents."""

    requests_per_5s: int = Field(600, gt=0, description="requests of an address in each 5 seconds")
    ban: Duration = Field(
        10 * NS_PER_MINUTE, gt=0, description="how long an address that exceeds that gets 403"
    )
    orders_per_second: int = Field(
        20, gt=0, description="requests of an account in each second, to place and to cancel apart"
    )
    amends_per_second: int = Field(
        10, gt=0, description="requests of an account in each second to change orders"
    )
    queries_per_second: int = Field(
        50, gt=0, description="signed queries of an account in each second, by kind of query"
    )
    connects_per_5m: int = Field(
        500, gt=0, description="WebSocket handshakes of an address in each 5 minutes"
    )
    topics_per_request: int = Field(
        10, gt=0, description="topics that one subscription may name on the spot stream"
    )
    silence: Duration = Field(
        10 * NS_PER_MINUTE, gt=0, description="a connection that says nothing for so long is cut"
    )
    heartbeat: Duration = Field(
        20 * NS_PER_SECOND,
        gt=0,
        description="a private connection that says nothing for so long counts as gone for the "
        "dead-man timer",
    )
    connection_lifetime: Duration = Field(
        NS_PER_DAY, gt=0, description="a connection is cut when it is so old"
    )
    queue_limit: int = Field(
        10_000, gt=0, description="frames that wait for a slow reader before it is cut off"
    )
    best_interval: Duration = Field(
        10 * NS_PER_MS, gt=0, description="between two updates of orderbook.1"
    )
    book_interval: Duration = Field(
        20 * NS_PER_MS, gt=0, description="between two updates of orderbook.50"
    )
    deep_interval: Duration = Field(
        200 * NS_PER_MS, gt=0, description="between two updates of orderbook.200"
    )
    ticker_interval: Duration = Field(
        50 * NS_PER_MS, gt=0, description="between two updates of tickers"
    )
    kline_interval: Duration = Field(
        NS_PER_SECOND, gt=0, description="between two updates of an unclosed kline"
    )
    quiet_repeat: Duration = Field(
        3 * NS_PER_SECOND, gt=0, description="a best price that stood so long is told again"
    )
    receive_window_ms: int = Field(
        5_000, gt=0, description="milliseconds; age of a signed request that does not say its own"
    )

    @property
    def request_rate(self) -> Rate:
        """Requests by address."""
        return Rate(self.requests_per_5s, 5 * NS_PER_SECOND)

    @property
    def connect_rate(self) -> Rate:
        """Handshakes by address."""
        return Rate(self.connects_per_5m, 5 * NS_PER_MINUTE)
