"""Every metric, once: its name with its unit, what it means, its labels and its buckets.

Names follow Prometheus: base units (seconds, bytes), counters end in `_total`. Every metric has
the label `service`, which `Metrics` fills in. Labels never carry ids or texts of free choice: each
value is a time series that is kept for ever.
"""

from dataclasses import dataclass, field

SERVICE = "service"

SECONDS_BUCKETS = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)
"""From the 10 µs of one indicator chain to the 10 s at which something is badly wrong; half a
decade a bucket, so that a quantile is right within a factor of two."""

COUNT_BUCKETS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
"""From a quiet market's single event to the largest batch that the runtime polls."""


SHORTFALL_BUCKETS = (-100.0, -30.0, -10.0, -3.0, 0.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Basis points of cost: from a market that came towards us to an order that missed its market."""


@dataclass(frozen=True)
class Metric:
    """What all kinds have.

    Attributes:
        name: as Prometheus shows it, with unit and, for a counter, `_total`.
        help: one line: what one unit of it means.
        labels: besides `service`.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class CounterMetric(Metric):
    """Only grows."""


@dataclass(frozen=True)
class GaugeMetric(Metric):
    """Goes up and down."""


@dataclass(frozen=True)
class HistogramMetric(Metric):
    """Counts observations by size.

    Attributes:
        buckets: upper bounds in the metric's unit, rising; infinity is added.
    """

    buckets: tuple[float, ...] = field(kw_only=True)


BUILD_INFO = GaugeMetric("goalkick_build_info", "Always 1; tells the version.", ("version",))
READY = GaugeMetric(
    "goalkick_ready", "1: this copy works or can take over, as /readyz says; 0: it cannot."
)

EVENTS_CONSUMED = CounterMetric(
    "goalkick_events_consumed_total", "Events that were read and handled.", ("topic",)
)
EVENTS_PRODUCED = CounterMetric(
    "goalkick_events_produced_total", "Events that were written.", ("topic",)
)
EVENTS_DUPLICATE = CounterMetric(
    "goalkick_events_duplicate_total", "Events that came again and were dropped.", ("topic",)
)
EVENTS_DEAD_LETTERED = CounterMetric(
    "goalkick_events_dead_lettered_total",
    "Records that could not be used and were set aside.",
    ("topic", "reason"),
)
HANDLE_SECONDS = HistogramMetric(
    "goalkick_handle_seconds",
    "Time that the core took for one batch, in seconds.",
    buckets=SECONDS_BUCKETS,
)
BATCH_EVENTS = HistogramMetric(
    "goalkick_batch_events", "Events in one batch.", buckets=COUNT_BUCKETS
)
INPUT_LAG_SECONDS = GaugeMetric(
    "goalkick_input_lag_seconds",
    "How far the last event's time lies behind the clock, in seconds.",
    ("topic",),
)
SNAPSHOT_SECONDS = HistogramMetric(
    "goalkick_snapshot_seconds",
    "Time to make and store one snapshot, in seconds.",
    buckets=SECONDS_BUCKETS,
)
SNAPSHOT_BYTES = GaugeMetric("goalkick_snapshot_bytes", "Size of the last snapshot, in bytes.")
TASKS_ASSIGNED = GaugeMetric(
    "goalkick_tasks_assigned", "Cores (one a partition) that run in this process."
)
REBALANCES = CounterMetric(
    "goalkick_rebalances_total", "Times that partitions were handed out anew."
)
STALLS = CounterMetric(
    "goalkick_stalls_total", "Times that an input stayed away for longer than is allowed."
)
FEED_STALE = GaugeMetric("goalkick_feed_stale", "Instruments without fresh data now.")
ORDERS = CounterMetric(
    "goalkick_orders_total", "Orders that came to an outcome (filled, rejected, ...).", ("outcome",)
)
FILLS = CounterMetric("goalkick_fills_total", "Trades of our orders.")
ANSWER_SECONDS = HistogramMetric(
    "goalkick_order_answer_seconds",
    "Time from an order's intent to the first that is known of it, in seconds; 0 on paper.",
    buckets=SECONDS_BUCKETS,
)
SHORTFALL_BPS = HistogramMetric(
    "goalkick_shortfall_bps",
    "Implementation shortfall of an order that an algo worked, in basis points; positive: cost.",
    ("algo",),
    buckets=SHORTFALL_BUCKETS,
)
LEASE_SECONDS = GaugeMetric(
    "goalkick_lease_seconds",
    "Time for which this copy may act at the venue, in seconds; 0: it stands by, or has lost it.",
)
EQUITY = GaugeMetric(
    "goalkick_equity_cash", "Equity of the account at the last prices, in its cash."
)
DAY_PROFIT = GaugeMetric(
    "goalkick_day_profit_cash",
    "Equity less that from which the daily loss limit counts, in the account's cash.",
)
DRAWDOWN = GaugeMetric(
    "goalkick_drawdown_ratio",
    "Fall of equity from the highest that the drawdown limit counts from, as a part of it.",
)
POSITIONS = GaugeMetric("goalkick_positions", "Instruments of which something is held.")
EXPOSURE = GaugeMetric(
    "goalkick_exposure_cash",
    "What is held, at the last prices, in the account's cash; unsigned.",
)
NET_EXPOSURE = GaugeMetric(
    "goalkick_net_exposure_cash", "The same with its sign: short is negative."
)
HALTS = GaugeMetric(
    "goalkick_halts",
    "Reasons for which no new risk is taken: commands, the daily loss, the drawdown; 0: none.",
)
EXTERNAL = CounterMetric(
    "goalkick_external_total",
    "Orders and fills on the account that are none of ours (kind: order, fill).",
    ("kind",),
)
EXTERNAL_EXPOSURE = GaugeMetric(
    "goalkick_external_exposure_cash",
    "What trades of others made of the account, at the last prices, in its cash; unsigned.",
)
ORDERS_UNKNOWN = GaugeMetric("goalkick_orders_unknown", "Orders whose fate nobody knows now.")
ORDERS_UNKNOWN_SECONDS = GaugeMetric(
    "goalkick_orders_unknown_seconds",
    "Age of the oldest doubt about an order's fate, in seconds; 0: there is none.",
)
RESERVED_EXPOSURE = GaugeMetric(
    "goalkick_reserved_exposure_cash",
    "What orders under way may still trade, at the last prices, in the account's cash.",
)
RESERVED_UNKNOWN_EXPOSURE = GaugeMetric(
    "goalkick_reserved_unknown_exposure_cash",
    "The part of it that is reserved for orders whose fate nobody knows.",
)
DIFFERING_CURRENCIES = GaugeMetric(
    "goalkick_differing_currencies",
    "Currencies of which the venue holds other than is expected.",
)
VENUE_LOST_SECONDS = GaugeMetric(
    "goalkick_venue_lost_seconds",
    "How long the venue has not been heard or has not answered, in seconds; 0: it is and does.",
)
REFUSALS = CounterMetric("goalkick_refusals_total", "Orders that risk refused, by code.", ("code",))

FEED_RECONNECTS = CounterMetric(
    "goalkick_feed_reconnects_total",
    "Times that a venue's connection was built anew, by reason.",
    ("venue", "reason"),
)
FEED_STREAMS_STALE = GaugeMetric(
    "goalkick_feed_streams_stale",
    "Streams (bars, trades, quotes, books of an instrument) that are silent or invalid now.",
    ("venue", "stream"),
)
FEED_CONNECTION_WELL = GaugeMetric(
    "goalkick_feed_connection_well",
    "1: of several connections to the same market this one tells everything now; 0: it does not.",
    ("connection",),
)
FEED_GAPS = CounterMetric(
    "goalkick_feed_gaps_total", "Gaps in market data that were told.", ("venue", "stream")
)
FEED_DROPPED = CounterMetric(
    "goalkick_feed_dropped_total", "Messages of a venue that found the queue full.", ("venue",)
)
FEED_REFUSED = CounterMetric(
    "goalkick_feed_refused_total", "Messages of a venue that could not be used.", ("venue",)
)
FEED_LATE_TRADES = CounterMetric(
    "goalkick_feed_late_trades_total", "Trades that came again or too late.", ("venue",)
)
FEED_MENDED_TRADES = CounterMetric(
    "goalkick_feed_mended_trades_total",
    "Trades that a stream lacked and that were fetched.",
    ("venue",),
)
FEED_LAG_SECONDS = HistogramMetric(
    "goalkick_feed_lag_seconds",
    "Time from a venue's event to its publication, in seconds; holds the difference of the clocks.",
    ("venue",),
    buckets=SECONDS_BUCKETS,
)
BUDGET_CALLS = CounterMetric(
    "goalkick_budget_calls_total", "Calls that the limiter allowed.", ("venue", "priority")
)
BUDGET_UNUSED = CounterMetric(
    "goalkick_budget_unused_total", "Allowed calls that were given back.", ("venue",)
)
BUDGET_WAIT_SECONDS = HistogramMetric(
    "goalkick_budget_wait_seconds",
    "Time that an ask for calls waited, in seconds.",
    ("venue", "priority"),
    buckets=SECONDS_BUCKETS,
)
BUDGET_PAUSES = CounterMetric(
    "goalkick_budget_pauses_total",
    "Times that a venue told us to stop (429, 418).",
    ("venue", "status"),
)
BUDGET_FOREIGN = CounterMetric(
    "goalkick_budget_foreign_total",
    "Use of a venue's limits that was not ours, as far as the venue tells.",
    ("venue",),
)
BUDGET_ALONE = CounterMetric(
    "goalkick_budget_alone_total", "Calls made out of the own share, without the limiter."
)
BUDGET_CUT_OFF_SECONDS = GaugeMetric(
    "goalkick_budget_cut_off_seconds",
    "How long the limiter has been out of reach, in seconds; 0: it is not.",
)

KAFKA_DENIED = CounterMetric(
    "goalkick_kafka_denied_total",
    "Times that Kafka denied us a thing, by its kind (topic, group, cluster).",
    ("resource",),
)
SECRETS_STALE = GaugeMetric(
    "goalkick_secrets_stale",
    "Secrets whose lease is over, so that no new risk is taken; alert on any.",
)
SECRETS_LEASE_SECONDS = GaugeMetric(
    "goalkick_secrets_lease_seconds",
    "Time until the first lease of a secret ends unless Vault confirms it, in seconds.",
)
VAULT_AWAY_SECONDS = GaugeMetric(
    "goalkick_vault_away_seconds",
    "How long Vault has not given what it was asked for, in seconds; 0: it does.",
)
VAULT_CALLS = CounterMetric(
    "goalkick_vault_calls_total",
    "Readings of secrets, by outcome: ok, or down, sealed, slow, denied, expired, ...",
    ("outcome",),
)

METRICS: tuple[Metric, ...] = (
    BUILD_INFO,
    READY,
    EVENTS_CONSUMED,
    EVENTS_PRODUCED,
    EVENTS_DUPLICATE,
    EVENTS_DEAD_LETTERED,
    HANDLE_SECONDS,
    BATCH_EVENTS,
    INPUT_LAG_SECONDS,
    SNAPSHOT_SECONDS,
    SNAPSHOT_BYTES,
    TASKS_ASSIGNED,
    REBALANCES,
    STALLS,
    FEED_STALE,
    ORDERS,
    FILLS,
    ANSWER_SECONDS,
    SHORTFALL_BPS,
    LEASE_SECONDS,
    EQUITY,
    DAY_PROFIT,
    DRAWDOWN,
    POSITIONS,
    EXPOSURE,
    NET_EXPOSURE,
    HALTS,
    EXTERNAL,
    EXTERNAL_EXPOSURE,
    ORDERS_UNKNOWN,
    ORDERS_UNKNOWN_SECONDS,
    RESERVED_EXPOSURE,
    RESERVED_UNKNOWN_EXPOSURE,
    DIFFERING_CURRENCIES,
    VENUE_LOST_SECONDS,
    REFUSALS,
    FEED_RECONNECTS,
    FEED_STREAMS_STALE,
    FEED_CONNECTION_WELL,
    FEED_GAPS,
    FEED_DROPPED,
    FEED_REFUSED,
    FEED_LATE_TRADES,
    FEED_MENDED_TRADES,
    FEED_LAG_SECONDS,
    BUDGET_CALLS,
    BUDGET_UNUSED,
    BUDGET_WAIT_SECONDS,
    BUDGET_PAUSES,
    BUDGET_FOREIGN,
    BUDGET_ALONE,
    BUDGET_CUT_OFF_SECONDS,
    KAFKA_DENIED,
    SECRETS_STALE,
    SECRETS_LEASE_SECONDS,
    VAULT_AWAY_SECONDS,
    VAULT_CALLS,
)
"""All of them; nothing else is ever registered."""
