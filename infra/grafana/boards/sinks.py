"""What is stored and sent: rows, transactions, what holds them up, messages."""

from typing import Final

from infra.grafana.dashboard import Dashboard, Row
from infra.grafana.panel import BREAKER, Panel
from infra.grafana.queries import Prom, Sql, added, or_none, quantile, rate

SINKS: Final = Dashboard(
    uid="kandle-sinks",
    title="Sinks",
    text="Rows, transactions, what holds sinks up, dead letters, notifications.",
    rows=[
        Row(
            "Storing",
            [
                Panel(
                    title="Rows stored",
                    text="New rows committed a second, by table; repeats and revisions add none.",
                    unit="cps",
                    queries=[Prom(rate("kandle_rows_stored_total", "table"), "{{table}}")],
                    runbooks=["KandleSinkStopped"],
                    empty="No sink runs",
                ),
                Panel(
                    title="Time of a commit",
                    text="Median and 99th percentile of a transaction: rows, and the offsets with them.",
                    unit="s",
                    queries=[
                        Prom(quantile(0.5, "kandle_commit_seconds", "sink"), "{{sink}} p50"),
                        Prom(quantile(0.99, "kandle_commit_seconds", "sink"), "{{sink}} p99"),
                    ],
                    empty="Nothing was stored in this range",
                ),
                Panel(
                    title="Blocked",
                    text="Red while a sink cannot store what it has: its destination is away, full or "
                    "locked, or it has stopped for good.",
                    unit="none",
                    kind="state-timeline",
                    width=8,
                    height=7,
                    minimum=None,
                    states={0: ("stores", "green"), 1: ("blocked", "red")},
                    queries=[Prom("max by (sink) (kandle_sink_blocked)", "{{sink}}")],
                    runbooks=["KandleSinkBlocked"],
                    empty="No sink runs",
                ),
                Panel(
                    title="Since the last commit",
                    text="Seconds; a sink that has nothing to store commits nothing.",
                    unit="s",
                    width=8,
                    height=7,
                    queries=[
                        Prom("time() - max by (sink) (kandle_last_commit_timestamp_seconds)", "{{sink}}")
                    ],
                    runbooks=["KandleSinkStopped"],
                    empty="Nothing was stored yet",
                ),
                Panel(
                    title="Attempts after the first",
                    text="Portions whose storing was tried again, within a step.",
                    unit="short",
                    width=8,
                    height=7,
                    limits=[(1, "orange")],
                    queries=[Prom(added("kandle_commit_retries_total", "sink"), "{{sink}}")],
                    runbooks=["KandleSinkBlocked"],
                ),
                Panel(
                    title="Records behind",
                    text="Records in the log that a sink has not stored, by topic.",
                    unit="short",
                    width=8,
                    queries=[
                        Prom(
                            'sum by (stage, topic) (kandle_lag_records{stage=~"sink-.+"})',
                            "{{stage}} {{topic}}",
                        )
                    ],
                    runbooks=["KandleLag", "KandleSinkStopped"],
                    empty="No sink runs",
                ),
                Panel(
                    title="Seconds behind",
                    text="Age of the oldest record that a sink has not stored; 0 if there is none.",
                    unit="s",
                    width=8,
                    limits=[(30, "orange"), (300, "red")],
                    queries=[Prom('max by (stage) (kandle_lag_seconds{stage=~"sink-.+"})', "{{stage}}")],
                    runbooks=["KandleLag"],
                    empty="No sink runs",
                ),
                Panel(
                    title="Records a batch",
                    text="Median and 99th percentile of what is stored in one transaction.",
                    unit="short",
                    width=8,
                    queries=[
                        Prom(
                            "histogram_quantile(0.5, sum by (stage, le) "
                            '(rate(kandle_batch_records_bucket{stage=~"sink-.+"}[$__rate_interval])))',
                            "{{stage}} p50",
                        ),
                        Prom(
                            "histogram_quantile(0.99, sum by (stage, le) "
                            '(rate(kandle_batch_records_bucket{stage=~"sink-.+"}[$__rate_interval])))',
                            "{{stage}} p99",
                        ),
                    ],
                    empty="Nothing was stored in this range",
                ),
            ],
        ),
        Row(
            "Put aside",
            [
                Panel(
                    title="Dead letters",
                    text="Records that a stage could not use, by stage and topic, since its process began. "
                    "`kandle dlq` lists them, shows why, and sends them back.",
                    unit="short",
                    limits=[(1, "orange")],
                    queries=[
                        Prom(
                            or_none("sum by (stage, topic) (kandle_dead_letters_total)", "stage", "topic"),
                            "{{stage}} {{topic}}",
                        )
                    ],
                    runbooks=["KandleDeadLettersGrowing"],
                ),
                Panel(
                    title="Disk",
                    text="Free on the file systems that our processes write to.",
                    unit="bytes",
                    queries=[Prom("min by (path) (kandle_disk_free_bytes)", "{{path}}")],
                    runbooks=["KandleDiskLow"],
                    empty="No process tells its disk",
                ),
            ],
        ),
        Row(
            "Notifications",
            [
                Panel(
                    title="Messages",
                    text="Delivered, and attempts that a channel refused, within a step.",
                    unit="short",
                    width=8,
                    queries=[
                        Prom(added("kandle_notifications_sent_total", "channel"), "sent to {{channel}}"),
                        Prom(added("kandle_notification_errors_total", "channel"), "refused by {{channel}}"),
                    ],
                    runbooks=["KandleNotificationsFailing"],
                ),
                Panel(
                    title="What became of signals and events",
                    text="sent, folded into one message, put into a digest, held by quiet hours, "
                    "suppressed, given up; within a step.",
                    unit="short",
                    width=8,
                    queries=[
                        Prom(
                            added("kandle_notification_causes_total", "channel", "outcome"),
                            "{{channel}} {{outcome}}",
                        )
                    ],
                ),
                Panel(
                    title="Channels",
                    text="Open: the channel refuses, and messages wait.",
                    unit="none",
                    kind="state-timeline",
                    width=8,
                    minimum=None,
                    states={-1: ("is configured", "text"), **BREAKER},
                    queries=[
                        Prom(
                            or_none(
                                "max by (channel) (kandle_notification_breaker_state)", "channel", value=-1
                            ),
                            "{{channel}}",
                        )
                    ],
                    runbooks=["KandleNotificationsFailing"],
                ),
                Panel(
                    title="Newest messages",
                    text="The newest 50 notifications that were sent in this range.",
                    unit="none",
                    kind="table",
                    width=24,
                    minimum=None,
                    queries=[
                        Sql(
                            "SELECT time, channel, type, subject, body FROM notifications_sent\n"
                            "WHERE $__timeFilter(time) ORDER BY time DESC LIMIT 50"
                        )
                    ],
                    empty="Nothing was sent in this range",
                ),
            ],
        ),
    ],
)
