"""Every metric of the product, in one place, with unit and meaning.

Counters end in `_total`; times are in seconds. Labels are bounded: venue, topic, table, stage, channel
and reason have few values; symbols are never labels, but for the first 200 operations of a venue that is
called through ccxt.
"""

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, start_http_server, write_to_textfile

from infra.settings import MetricsSettings

LATENCY_BUCKETS_S = tuple(round(0.001 * 1.25**step, 6) for step in range(52))
"""1 ms to 87 s, each a quarter wider than the one before: percentiles to 12 % at worst."""

# producers
FRAMES_RECEIVED = Counter("kandle_frames_received", "Frames read from sockets.", ["venue"])
RECORDS_RECEIVED = Counter("kandle_records_received", "Records parsed from frames.", ["venue", "record"])
REPEATS_SKIPPED = Counter(
    "kandle_repeats_skipped", "Records not used again: seen before.", ["stage", "record"]
)
CONNECTIONS = Gauge("kandle_connections", "Connections to venues that are up.", ["venue"])
RECONNECTS = Counter("kandle_reconnects", "Connections to venues that were lost and tried again.", ["venue"])
GAPS = Counter("kandle_gaps", "Ranges of missing trades that were announced.", ["venue"])
RESYNCS = Counter("kandle_book_resyncs", "Order books built anew after a break.", ["venue"])
EVENT_SKEW = Gauge(
    "kandle_event_skew_seconds",
    "From a trade's time at the venue to its arrival at our socket; negative where our clock is behind.",
    ["venue"],
)
CLOCK_OFFSET = Gauge(
    "kandle_venue_clock_offset_seconds", "The venue's clock less ours, by its time over REST.", ["venue"]
)
FEED_AGE = Gauge(
    "kandle_feed_age_seconds", "Since anything was received of a source, by our clock.", ["source"]
)
BACKLOG = Gauge("kandle_backlog_frames", "Frames read from the sockets and not handled yet.", ["source"])
FRAMES_SHED = Counter(
    "kandle_frames_shed", "Frames dropped because Kafka was too slow, trades and other.", ["source", "kind"]
)
FEED_ENDED = Gauge("kandle_feed_ended", "1 once every feed of this process has ended.")
# outgoing calls; a provider is a venue's market (`binance-spot`), an operation what is asked of it (`book`,
# through ccxt `fetchTicker:BTC/USDT`)
CALL_OUTCOMES = Counter(
    "kandle_call_outcomes",
    "Outgoing calls by how they ended: ok, memory, store, shared, or an error's code in lower case.",
    ["provider", "operation", "outcome"],
)
CALL_SECONDS = Histogram(
    "kandle_call_seconds", "Time of one attempt of a call, its waits not counted.", ["provider", "operation"]
)
CALL_RETRIES = Counter(
    "kandle_call_retries", "Attempts after the first of a call.", ["provider", "operation"]
)
BREAKER_STATE = Gauge("kandle_breaker_state", "0 closed, 1 half-open, 2 open.", ["provider"])
RATE_REMAINING = Gauge(
    "kandle_rate_remaining", "Weight that may be spent at once, as far as is known.", ["provider"]
)
RATE_WAIT_SECONDS = Counter(
    "kandle_rate_wait_seconds", "Time that calls have waited for weight.", ["provider"]
)
RATE_LIMIT_HITS = Counter("kandle_rate_limit_hits", "Times that a provider told us to wait.", ["provider"])
REST_QUEUE = Gauge("kandle_rest_queue", "Calls that wait for their turn.", ["provider"])
REST_REACHABLE = Gauge(
    "kandle_rest_reachable", "1 if the last call was answered, be it by a refusal.", ["provider"]
)
# Kafka
RECORDS_PUBLISHED = Counter("kandle_records_published", "Records acknowledged by Kafka.", ["topic", "record"])
PUBLISH_ERRORS = Counter("kandle_publish_errors", "Records that Kafka refused for good.", ["topic"])
DEAD_LETTERS = Counter("kandle_dead_letters", "Records sent to dead letter topics.", ["stage", "topic"])
# processors
RECORDS_PROCESSED = Counter("kandle_records_processed", "Records folded by agents.", ["topic"])
CHECKPOINTS = Counter("kandle_checkpoints", "Checkpoints acknowledged.", ["agent"])
CHECKPOINT_SECONDS = Histogram("kandle_checkpoint_seconds", "Time that a checkpoint took.", ["agent"])
RESTORED_OFFSET = Gauge(
    "kandle_restored_offset",
    "Offset at which a partition went on, -1 from the beginning.",
    ["agent", "partition"],
)
SERIES_CANDLES = Counter(
    "kandle_series_candles",
    "Candles by what indicators made of them: applied, revised, repeats, too_old, history (too old).",
    ["outcome"],
)
SERIES_FAILURES = Counter(
    "kandle_series_failures", "Candles at which an indicator or a rule has raised.", ["name"]
)
LATE_TRADES = Counter("kandle_late_trades", "Trades too late for their candle.", ["venue"])
CONFLICTING_TRADES = Counter(
    "kandle_conflicting_trades", "Trades refused: their sequence came before with other values.", ["venue"]
)
BAR_TRADES_LEFT_OUT = Counter(
    "kandle_bar_trades_left_out", "Trades that are in candles, but came too late for bars."
)
CANDLES_COMPARED = Counter("kandle_candles_compared", "Candles compared with the venue's own.", ["venue"])
CANDLE_MISMATCHES = Counter(
    "kandle_candle_mismatches", "Figures of candles that differ from the venue's own.", ["venue", "field"]
)
# sinks
ROWS_STORED = Counter("kandle_rows_stored", "Rows committed that were new.", ["table"])
COMMIT_SECONDS = Histogram("kandle_commit_seconds", "Time that a database transaction took.", ["sink"])
SINK_BLOCKED = Gauge(
    "kandle_sink_blocked",
    "1 while a sink cannot store what it has, and tries again: its destination is away, full or locked; also "
    "after it has stopped for good.",
    ["sink"],
)
STORED_LATENCY = Histogram(
    "kandle_stored_latency_seconds",
    "From the frame received to the row committed, trades.",
    buckets=LATENCY_BUCKETS_S,
)
NOTIFICATIONS_SENT = Counter("kandle_notifications_sent", "Messages delivered.", ["channel"])
NOTIFICATION_ERRORS = Counter("kandle_notification_errors", "Attempts that a channel refused.", ["channel"])
NOTIFICATION_CAUSES = Counter(
    "kandle_notification_causes",
    "Signals and events by what became of them: sent, folded, digested, held, suppressed, dead_letter.",
    ["channel", "outcome"],
)
NOTIFICATION_BREAKER = Gauge(
    "kandle_notification_breaker_state", "0 closed, 1 half-open, 2 open.", ["channel"]
)
# lag
READY = Gauge("kandle_ready", "1 while a stage has its partitions and handles what comes.", ["stage"])
LAG_RECORDS = Gauge(
    "kandle_lag_records", "Records in the log that a stage has not handled.", ["stage", "topic"]
)


def serve(settings: MetricsSettings) -> None:
    """Answer scrapes on the configured port; port 0 serves none.

    Raises:
        OSError: The port is taken.
    """
    if settings.port:
        start_http_server(settings.port, settings.host)


def write_last(settings: MetricsSettings) -> None:
    """Leave the last values in the configured file, for whoever adds up: nobody can scrape us any more.

    Raises:
        OSError: The file cannot be written.
    """
    if settings.last_file is not None:
        write_to_textfile(str(settings.last_file), REGISTRY)
