"""Metrics that every stage has: whether it works, how far behind it is, how old what it handles is."""

from infra.metrics.declaration import AGE_BUCKETS_S, SIZE_BUCKETS, Group
from schemas.errors import KandleError

GROUP = Group("Every stage", "produce, process, sink, serve, as far as it does this")

READY = GROUP.gauge(
    "kandle_ready",
    "state",
    "1 while a stage has its partitions, be they none, and handles what comes.",
    ["stage"],
)
EVENT_AGE = GROUP.histogram(
    "kandle_event_age_seconds",
    "seconds",
    "From an event's time at the venue to a hop: receive (read from the socket), publish (acknowledged by "
    "Kafka), candle (a closed candle's end to its publication), signal (a candle's end to the publication of "
    "what follows from it), row (committed). Of a batch the oldest and the newest event count at receipt, "
    "the oldest at publication. Trades that were asked for later do not count.",
    ["hop"],
    AGE_BUCKETS_S,
)
LAG_RECORDS = GROUP.gauge(
    "kandle_lag_records", "records", "Records in the log that a stage has not handled.", ["stage", "topic"]
)
LAG_SECONDS = GROUP.gauge(
    "kandle_lag_seconds",
    "seconds",
    "Age of the oldest record in the log that a stage has not handled, by Kafka's time; 0 if there is none. "
    "Of the archive less archive.flush_s, for which it gathers records on purpose.",
    ["stage", "topic"],
)
BATCH_RECORDS = GROUP.histogram(
    "kandle_batch_records", "records", "Records that a stage handled in one step.", ["stage"], SIZE_BUCKETS
)
BATCH_BYTES = GROUP.histogram(
    "kandle_batch_bytes",
    "bytes",
    "Size of what a stage handled in one step, as Kafka holds it.",
    ["stage"],
    SIZE_BUCKETS,
)
BYTES_FETCHED = GROUP.counter(
    "kandle_bytes_fetched", "bytes", "Read from Kafka, as it holds them: mostly compressed.", ["stage"]
)
REPEATS_SKIPPED = GROUP.counter(
    "kandle_repeats_skipped", "records", "Records not used again: seen before.", ["stage", "record"]
)
QUEUE_DEPTH = GROUP.gauge(
    "kandle_queue_depth",
    "records",
    "What waits in a queue of the process: feed-<source> frames read and not handled, publish-<client> "
    "messages that Kafka has not acknowledged, sink-<sink> records fetched and not taken up.",
    ["queue"],
)
ERRORS = GROUP.counter(
    "kandle_errors",
    "errors",
    "Errors by code: those that a stage lives on after, and the one that ends it. INTERNAL is a fault of the "
    "program.",
    ["stage", "code"],
)
DISK_FREE = GROUP.gauge(
    "kandle_disk_free_bytes", "bytes", "Free on the file system that holds a path.", ["path"]
)
BUILD_INFO = GROUP.gauge(
    "kandle_build_info", "state", "Always 1; the labels say what runs.", ["version", "python"]
)


def count_error(stage: str, error: BaseException | None) -> None:
    """Count an error by its code; without one, a record that was refused in words: REFUSED."""
    code = error.code if isinstance(error, KandleError) else "INTERNAL"
    ERRORS.labels(stage, "REFUSED" if error is None else code).inc()
