"""Metrics of the traces that a process sends."""

from infra.metrics.declaration import Group

GROUP = Group("Tracing", "every process whose setting `tracing.sample` is above 0")

SPANS_SENT = GROUP.counter("kandle_spans_sent", "spans", "Spans that the collector has taken.")
SPANS_DROPPED = GROUP.counter(
    "kandle_spans_dropped",
    "spans",
    "Spans that nobody will see: `queue`, more waited than may; `refused`, the collector does not take them; "
    "`batch`, more sampled records in a batch than get spans; `stopped`, left when the process ended.",
    ["reason"],
)
