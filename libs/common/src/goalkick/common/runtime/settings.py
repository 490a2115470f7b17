"""What can be configured about running a service on Kafka."""

from typing import Literal

from pydantic import Field

from goalkick.common.config.types import Duration, Settings
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND


class KafkaSettings(Settings):
    """How the broker is reached and used."""

    bootstrap_servers: str = Field(
        "127.0.0.1:9092", description="where the brokers are: host:port, several with commas"
    )
    partitions: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="partitions of each instrument-keyed topic when topics are made; none: as "
        "`goalkick topics` says",
    )
    replication: int = Field(
        1, ge=1, le=9, description="copies of each partition when topics are made"
    )
    compression: Literal["none", "lz4"] = Field("lz4", description="of what is sent")
    linger: Duration = Field(
        0, ge=0, description="how long a batch waits for more before it is sent; 0: not at all"
    )
    request_timeout: Duration = Field(
        40 * NS_PER_SECOND,
        description="how long a request may take, retries included, before the service gives up",
    )
    session_timeout: Duration = Field(
        10 * NS_PER_SECOND,
        description="silence after which a copy of a service is taken for dead and its "
        "partitions are given to others",
    )
    instance: str | None = Field(
        None,
        description="a name of this copy that outlives restarts (static membership): a restart "
        "within `session_timeout` moves no partition",
    )


class HttpSettings(Settings):
    """Health, metrics and information over HTTP."""

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 in a container")
    port: int = Field(0, ge=0, le=65535, description="port; 0: any free one, see the log")


class RuntimeSettings(Settings):
    """What surrounds a core when it runs as a service."""

    clock: Literal["event", "wall"] = Field(
        "wall",
        description="`wall`: time goes on without data, and an input that is silent for "
        "`stall_after` is not waited for; `event`: time is what the data says, for replays",
    )
    stall_after: Duration = Field(
        2 * NS_PER_SECOND,
        description="how long an input may hold up the others; only with clock `wall`",
    )
    snapshot_every: Duration = Field(
        NS_PER_SECOND, description="how often state is saved, and so how much is done again at most"
    )
    handover: Duration = Field(
        30 * NS_PER_SECOND,
        description="how much of a live feed each copy of ingest keeps, to say it when another "
        "copy dies; longer than `kafka.session_timeout`",
    )
    poll_for: Duration = Field(
        200 * NS_PER_MS, description="how long to wait for records before looking at the time"
    )
    max_waiting: int = Field(
        20_000, ge=100, description="records of one partition that may wait in memory"
    )
    quotes: bool = Field(
        False, description="whether ingest publishes quotes, and execution waits for them"
    )
    forecasts: bool = Field(
        True, description="whether a prediction service runs, and strategies wait for it"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe messages that are written"
    )
    log_form: Literal["auto", "json", "text"] = Field(
        "auto", description="of messages; auto: text on a terminal, else JSON lines"
    )
    traces: Literal["none", "otlp"] = Field("none", description="where traces are exported to")
    traces_endpoint: str | None = Field(
        None, description="URL of the OTLP/HTTP collector, for traces = otlp"
    )
    kafka: KafkaSettings = Field(default_factory=KafkaSettings, description="the broker")
    http: HttpSettings = Field(default_factory=HttpSettings, description="health over HTTP")
