"""Every metric of the product, in one place, with unit and meaning.

Counters end in `_total`; times are in seconds. Labels are bounded: venue, topic, table, stage, channel
and reason have few values; symbols are never labels.
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
FEED_ENDED = Gauge("kandle_feed_ended", "1 once every feed of this process has ended.")
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
LATE_TRADES = Counter("kandle_late_trades", "Trades too late for their candle.", ["venue"])
# sinks
ROWS_STORED = Counter("kandle_rows_stored", "Rows committed that were new.", ["table"])
COMMIT_SECONDS = Histogram("kandle_commit_seconds", "Time that a database transaction took.", ["sink"])
STORED_LATENCY = Histogram(
    "kandle_stored_latency_seconds",
    "From the frame received to the row committed, trades.",
    buckets=LATENCY_BUCKETS_S,
)
NOTIFICATIONS_SENT = Counter("kandle_notifications_sent", "Messages delivered.", ["channel"])
NOTIFICATION_ERRORS = Counter("kandle_notification_errors", "Attempts that a channel refused.", ["channel"])
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
