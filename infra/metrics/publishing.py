"""Metrics of what is written to Kafka."""

from infra.metrics.declaration import Group

GROUP = Group("Publishing", "produce, process, sink (dead letters)")

RECORDS_PUBLISHED = GROUP.counter(
    "kandle_records_published", "records", "Records acknowledged by Kafka.", ["topic", "record"]
)
BYTES_PUBLISHED = GROUP.counter(
    "kandle_bytes_published",
    "bytes",
    "Values of the records that Kafka has acknowledged, before compression.",
    ["topic"],
)
PUBLISH_ERRORS = GROUP.counter(
    "kandle_publish_errors", "records", "Records that Kafka refused for good.", ["topic"]
)
DEAD_LETTERS = GROUP.counter(
    "kandle_dead_letters", "records", "Records sent to dead letter topics.", ["stage", "topic"]
)
