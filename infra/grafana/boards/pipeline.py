"""The way of the records: how many, how late, in which portions."""

from typing import Any, Final

from infra.grafana.dashboard import Dashboard, Row
from infra.grafana.panel import Panel
from infra.grafana.queries import Prom, added, quantile, rate

_AGE: Final = "kandle_event_age_seconds"
_HOPS: Final = (
    "receive: read from the socket; publish: acknowledged by Kafka; candle: published after its end; "
    "signal: published; row: committed."
)


def _at_hop(title: str, share: float, younger: str, **options: Any) -> Panel:
    """How old events are at each hop: `younger` says of how many that is the most."""
    return Panel(
        title=title,
        text=f"{younger} were younger than this at the hop. {_HOPS}",
        unit="s",
        width=8,
        minimum=None,
        queries=[Prom(quantile(share, _AGE, "hop"), "{{hop}}")],
        empty="No events in this range",
        **options,
    )


PIPELINE: Final = Dashboard(
    uid="kandle-pipeline",
    title="Pipeline",
    text="How many records flow, how late they are at each hop, in which portions stages work.",
    rows=[
        Row(
            "Throughput",
            [
                Panel(
                    title="Received from venues",
                    text="Records parsed from frames, by kind.",
                    unit="cps",
                    width=6,
                    queries=[Prom(rate("kandle_records_received_total", "record"), "{{record}}")],
                    runbooks=["KandleFeedSilent"],
                    empty="No producer runs",
                ),
                Panel(
                    title="Published to Kafka",
                    text="Records that Kafka has acknowledged, by topic.",
                    unit="cps",
                    width=6,
                    queries=[Prom(rate("kandle_records_published_total", "topic"), "{{topic}}")],
                    runbooks=["KandlePublishErrors"],
                    empty="Nothing is published",
                ),
                Panel(
                    title="Folded by workers",
                    text="Records that workers have taken into candles, indicators and rules, by topic.",
                    unit="cps",
                    width=6,
                    queries=[Prom(rate("kandle_records_processed_total", "topic"), "{{topic}}")],
                    empty="No worker runs",
                ),
                Panel(
                    title="Rows stored",
                    text="New rows committed, by table; repeats and revisions add none.",
                    unit="cps",
                    width=6,
                    queries=[Prom(rate("kandle_rows_stored_total", "table"), "{{table}}")],
                    runbooks=["KandleSinkStopped", "KandleSinkBlocked"],
                    empty="No sink runs",
                ),
                Panel(
                    title="Bytes",
                    text="Received from sockets (unpacked), published (before compression), fetched from "
                    "Kafka (as it holds them).",
                    unit="Bps",
                    queries=[
                        Prom(rate("kandle_bytes_received_total", "venue"), "received {{venue}}"),
                        Prom("sum(rate(kandle_bytes_published_total[$__rate_interval]))", "published"),
                        Prom(rate("kandle_bytes_fetched_total", "stage"), "fetched {{stage}}"),
                    ],
                ),
                Panel(
                    title="Queues",
                    text="What waits inside processes: frames read and not handled, messages that Kafka has "
                    "not acknowledged, records decoded and not stored.",
                    unit="short",
                    queries=[Prom("sum by (queue) (kandle_queue_depth)", "{{queue}}")],
                    runbooks=["KandleFramesShed"],
                ),
            ],
        ),
        Row(
            "Lag",
            [
                Panel(
                    title="Records behind",
                    text="Records in the log that a stage has not handled.",
                    unit="short",
                    width=8,
                    queries=[Prom("sum by (stage) (kandle_lag_records)", "{{stage}}")],
                    runbooks=["KandleLag"],
                ),
                Panel(
                    title="Seconds behind",
                    text="Age of the oldest record that a stage has not handled; 0 if there is none.",
                    unit="s",
                    width=8,
                    limits=[(30, "orange"), (300, "red")],
                    queries=[Prom("max by (stage, topic) (kandle_lag_seconds)", "{{stage}} {{topic}}")],
                    runbooks=["KandleLag"],
                ),
                Panel(
                    title="Watermark",
                    text="Our clock less the point in event time up to which candles are final, by venue; "
                    "it waits for missing trades (producer.backfill_s), and some seconds always "
                    "(processors.grace_ms).",
                    unit="s",
                    width=8,
                    minimum=None,
                    queries=[Prom("max by (venue) (kandle_watermark_delay_seconds)", "{{venue}}")],
                    runbooks=["KandleGapNotBackfilled"],
                ),
            ],
        ),
        Row(
            "Latency by hop, from the event's time at the venue",
            [
                _at_hop("Median", 0.5, "Half of the events"),
                _at_hop("95th percentile", 0.95, "19 in 20 events"),
                _at_hop(
                    "99th percentile",
                    0.99,
                    "99 in 100 events",
                    limits=[(10, "red")],
                    runbooks=["KandleLatencyHigh"],
                ),
                Panel(
                    title="Frame to row",
                    text="From a trade's frame received to its row committed, on our clock alone: what the "
                    "venue and the network add is not in it.",
                    unit="s",
                    queries=[
                        Prom(quantile(share, "kandle_stored_latency_seconds"), f"p{share * 100:g}")
                        for share in (0.5, 0.95, 0.99)
                    ],
                    runbooks=["KandleLatencyHigh"],
                    empty="No trades were stored in this range",
                ),
                Panel(
                    title="Now, 99th percentile by hop",
                    text=f"Over the last 5 minutes. {_HOPS}",
                    unit="s",
                    kind="bargauge",
                    limits=[(2, "orange"), (10, "red")],
                    queries=[Prom("hop:kandle_event_age_seconds:p99_5m", "{{hop}}", now=True)],
                    empty="No events in the last 5 minutes, or the recording rules are not loaded",
                ),
            ],
        ),
        Row(
            "Batches and checkpoints",
            [
                Panel(
                    title="Records a batch",
                    text="Median and 99th percentile of what a stage handles in one step.",
                    unit="short",
                    width=8,
                    queries=[
                        Prom(quantile(0.5, "kandle_batch_records", "stage"), "{{stage}} p50"),
                        Prom(quantile(0.99, "kandle_batch_records", "stage"), "{{stage}} p99"),
                    ],
                ),
                Panel(
                    title="Bytes a batch",
                    text="99th percentile of the size of a batch, as Kafka holds it.",
                    unit="bytes",
                    width=8,
                    queries=[Prom(quantile(0.99, "kandle_batch_bytes", "stage"), "{{stage}}")],
                ),
                Panel(
                    title="Checkpoints",
                    text="Checkpoints that Kafka has acknowledged, by agent: each agent writes one every "
                    "processors.checkpoint_interval_s (2 s) while something changes.",
                    unit="cps",
                    width=8,
                    queries=[Prom(rate("kandle_checkpoints_total", "agent"), "{{agent}}")],
                    empty="No worker runs",
                ),
                Panel(
                    title="Time of a checkpoint",
                    text="99th percentile, from its begin to the acknowledgement of its last page.",
                    unit="s",
                    width=8,
                    queries=[Prom(quantile(0.99, "kandle_checkpoint_seconds", "agent"), "{{agent}}")],
                    empty="No worker runs",
                ),
                Panel(
                    title="Size of a checkpoint",
                    text="Mean of what a checkpoint writes of one partition: pages that have changed.",
                    unit="bytes",
                    width=8,
                    queries=[
                        Prom(
                            "sum by (agent) (rate(kandle_checkpoint_bytes_sum[$__rate_interval]))\n"
                            "/ sum by (agent) (rate(kandle_checkpoint_bytes_count[$__rate_interval]))",
                            "{{agent}}",
                        )
                    ],
                    empty="No worker runs",
                ),
                Panel(
                    title="Candles into indicators",
                    text="What indicators made of the candles that came: applied, revised, repeats, too old.",
                    unit="cps",
                    width=8,
                    queries=[Prom(rate("kandle_series_candles_total", "outcome"), "{{outcome}}")],
                    empty="No worker runs",
                ),
            ],
        ),
        Row(
            "What should not be",
            [
                Panel(
                    title="Late, conflicting, repeated",
                    text="Trades too late for their candle, trades refused since their number came before "
                    "with other values, records skipped since they were seen before; within a step.",
                    unit="short",
                    width=8,
                    queries=[
                        Prom(added("kandle_late_trades_total", "venue"), "late {{venue}}"),
                        Prom(added("kandle_conflicting_trades_total", "venue"), "conflicting {{venue}}"),
                        Prom(added("kandle_repeats_skipped_total", "stage"), "repeats {{stage}}"),
                    ],
                ),
                Panel(
                    title="Indicators and rules that raised",
                    text="Candles at which the code of an indicator or a rule has raised an error; it is "
                    "left out there.",
                    unit="short",
                    width=8,
                    limits=[(1, "red")],
                    queries=[Prom(added("kandle_series_failures_total", "name"), "{{name}}")],
                ),
                Panel(
                    title="Errors",
                    text="By stage and code, within a step: those that a stage lives on after, and the one "
                    "that ends it.",
                    unit="short",
                    width=8,
                    limits=[(1, "orange")],
                    queries=[Prom(added("kandle_errors_total", "stage", "code"), "{{stage}} {{code}}")],
                ),
                Panel(
                    title="Candles against the venue's own",
                    text="Candles compared with those that the venue computes (channel `candles`), and "
                    "figures that differ, within a step.",
                    unit="short",
                    queries=[
                        Prom(added("kandle_candles_compared_total", "venue"), "compared {{venue}}"),
                        Prom(
                            added("kandle_candle_mismatches_total", "venue", "field"), "{{venue}} {{field}}"
                        ),
                    ],
                ),
                Panel(
                    title="Dead letters",
                    text="Records that a stage could not use and put aside, within a step.",
                    unit="short",
                    limits=[(1, "orange")],
                    queries=[
                        Prom(added("kandle_dead_letters_total", "stage", "topic"), "{{stage}} {{topic}}")
                    ],
                    runbooks=["KandleDeadLettersGrowing"],
                ),
            ],
        ),
    ],
)
