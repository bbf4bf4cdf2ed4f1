"""Every metric of the product, a module a kind of process: `metrics.feeds.GAPS.labels(venue).inc()`.

Names begin with `kandle_`, counters end in `_total`, times are in seconds, sizes in bytes. Labels are
bounded: venue, topic, table, stage, channel and reason have few values; symbols are never labels, but for the
first 200 operations of a venue that is called through ccxt. docs/metrics.md is made from the declarations.
"""

from infra.metrics import (
    brokers,
    calls,
    feeds,
    health,
    notifications,
    processors,
    publishing,
    serving,
    sinks,
    stages,
    tracing,
)
from infra.metrics.exposition import show_process, write_last

GROUPS = tuple(
    module.GROUP
    for module in (
        stages,
        feeds,
        publishing,
        processors,
        sinks,
        notifications,
        calls,
        serving,
        brokers,
        health,
        tracing,
    )
)
"""All that is declared, in the order of the documentation."""

__all__ = [
    "GROUPS",
    "brokers",
    "calls",
    "feeds",
    "health",
    "notifications",
    "processors",
    "publishing",
    "serving",
    "show_process",
    "sinks",
    "stages",
    "tracing",
    "write_last",
]
