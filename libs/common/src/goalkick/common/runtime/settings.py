"""What can be configured about running a service on Kafka."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from goalkick.common.config.secret import Secret
from goalkick.common.config.types import Duration, Settings
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND


class KafkaSettings(Settings):
    """How the broker is reached and used."""

    bootstrap_servers: str = Field(
        "127.0.0.1:9092", description="where the brokers are: host:port, several with commas"
    )
    security_protocol: Literal["plaintext", "ssl", "sasl_ssl"] = Field(
        "plaintext",
        description="`plaintext`: neither secrecy nor identity, for one machine; `ssl`: TLS, and a "
        "client's certificate says who we are; `sasl_ssl`: TLS, and `username` and `password` do "
        "(SCRAM-SHA-512)",
    )
    ca_file: Path | None = Field(
        None,
        description="PEM of the authorities that vouch for the brokers; none: the system's; read "
        "again when it changes",
    )
    certificate_file: Path | None = Field(
        None,
        description="PEM of our certificate and its chain; read again when it changes; none: we "
        "show none",
    )
    key_file: Path | None = Field(
        None,
        description="PEM of the certificate's private key, without a password; none: it is in "
        "`certificate_file`",
    )
    username: str | None = Field(
        None, min_length=1, description="our name at the brokers, for `sasl_ssl`"
    )
    password: Secret | None = Field(
        None, description="reference to our password, for `sasl_ssl`, such as file:/path"
    )
    installation: str | None = Field(
        None,
        pattern=r"^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$",
        description="a word before every topic, group and user, where several installations share "
        "brokers; none: nothing is put before them",
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

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        protocol = self.security_protocol
        files = (self.ca_file, self.certificate_file, self.key_file)
        if protocol == "plaintext" and any(files):
            raise ValueError(
                "security_protocol: expected ssl or sasl_ssl where certificates are named, "
                "found plaintext"
            )
        if self.key_file is not None and self.certificate_file is None:
            raise ValueError("certificate_file: expected it beside key_file, found none")
        for name, value in (("username", self.username), ("password", self.password)):
            if (value is not None) is not (protocol == "sasl_ssl"):
                expected, found = ("one", "none") if value is None else ("none", "one")
                raise ValueError(f"{name}: expected {expected} with {protocol}, found {found}")
        return self


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
        "copy dies; longer than twice `kafka.session_timeout`",
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
    deployments: tuple[str, ...] = Field(
        ("",),
        description="strategy services that risk waits for from the beginning, by their "
        "`strategy.deployment`; the empty name is the only one's",
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
