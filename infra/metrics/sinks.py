"""Metrics of sinks: rows, transactions, what holds them up."""

from infra.metrics.declaration import LATENCY_BUCKETS_S, Group

GROUP = Group("Sinks", "sink")

ROWS_STORED = GROUP.counter("kandle_rows_stored", "rows", "Rows committed that were new.", ["table"])
COMMIT_SECONDS = GROUP.histogram(
    "kandle_commit_seconds", "seconds", "Time that a database transaction took.", ["sink"]
)
COMMIT_RETRIES = GROUP.counter(
    "kandle_commit_retries", "attempts", "Attempts to store a portion after its first.", ["sink"]
)
LAST_COMMIT = GROUP.gauge(
    "kandle_last_commit_timestamp_seconds", "seconds", "When a sink has stored last, since 1970.", ["sink"]
)
SINK_BLOCKED = GROUP.gauge(
    "kandle_sink_blocked",
    "state",
    "1 while a sink cannot store what it has, and tries again: its destination is away, full or locked; also "
    "after it has stopped for good.",
    ["sink"],
)
STORED_LATENCY = GROUP.histogram(
    "kandle_stored_latency_seconds",
    "seconds",
    "From the frame received to the row committed, trades.",
    buckets=LATENCY_BUCKETS_S,
)
