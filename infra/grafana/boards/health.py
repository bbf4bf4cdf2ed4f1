"""The first look: is everything there, and well."""

from typing import Final

from infra.grafana.dashboard import Dashboard, Row
from infra.grafana.panel import Panel
from infra.grafana.queries import Prom, Sql, added, or_none, quantile, rate

HEALTH: Final = Dashboard(
    uid="kandle-health",
    title="Health",
    text="Is everything there, and well: processes, services, alerts, what happened.",
    rows=[
        Row(
            "Now",
            [
                Panel(
                    title="Overall",
                    text="What the health monitor says: degraded if a critical service is not healthy, or "
                    "fewer than 90 % are; unhealthy below 70 %.",
                    unit="none",
                    kind="stat",
                    width=4,
                    height=6,
                    states={0: ("unhealthy", "red"), 1: ("degraded", "orange"), 2: ("healthy", "green")},
                    limits=[(0, "red"), (1, "orange"), (2, "green")],
                    queries=[Prom("min(kandle_health_overall)", "overall", now=True)],
                    runbooks=["KandleHealthDegraded"],
                    empty="kandle serve watches it; it does not run",
                ),
                Panel(
                    title="Processes that answer",
                    text="By job; a job of several processes counts them.",
                    unit="none",
                    kind="stat",
                    width=12,
                    height=6,
                    limits=[(0, "red"), (1, "green")],
                    queries=[Prom('sum by (job) (up{job=~"kandle-.+"})', "{{job}}", now=True)],
                    runbooks=["KandleStageDown", "KandleStageMissing"],
                    empty="Prometheus finds no process of ours",
                ),
                Panel(
                    title="Alerts",
                    text="Alerts that fire now.",
                    unit="none",
                    kind="stat",
                    width=8,
                    height=6,
                    limits=[(1, "red")],
                    queries=[
                        Prom(
                            'count by (alertname) (ALERTS{alertname=~"Kandle.+", alertstate="firing"}) '
                            "or on () vector(0)",
                            "{{alertname}}",
                            now=True,
                        )
                    ],
                ),
                Panel(
                    title="Services",
                    text="Each service of the health monitor, checked every minute.",
                    unit="none",
                    kind="state-timeline",
                    minimum=None,
                    states={
                        0: ("unknown", "gray"),
                        1: ("healthy", "green"),
                        2: ("unhealthy", "orange"),
                        3: ("error", "red"),
                    },
                    queries=[Prom("max by (service) (kandle_health_state)", "{{service}}")],
                    runbooks=["KandleHealthDegraded"],
                    empty="kandle serve watches them; it does not run",
                ),
                Panel(
                    title="Ready",
                    text="Whether a stage has its partitions and handles what comes.",
                    unit="none",
                    kind="state-timeline",
                    minimum=None,
                    states={0: ("not ready", "red"), 1: ("ready", "green")},
                    queries=[Prom("min by (job, stage) (kandle_ready)", "{{job}} {{stage}}")],
                    runbooks=["KandleStageNotReady"],
                    empty="No stage runs",
                ),
            ],
        ),
        Row(
            "Flow",
            [
                Panel(
                    title="Received, published, stored",
                    text="A second, all venues, topics and tables: the three lines keep their distance.",
                    unit="cps",
                    width=8,
                    queries=[
                        Prom("sum(venue:kandle_records_received:rate1m)", "received"),
                        Prom("sum(topic:kandle_records_published:rate1m)", "published"),
                        Prom("sum(table:kandle_rows_stored:rate1m)", "rows stored"),
                    ],
                    runbooks=["KandleFeedSilent", "KandleSinkStopped"],
                ),
                Panel(
                    title="Behind",
                    text="Records that a stage has not handled, and the age of the oldest of them.",
                    unit="short",
                    width=8,
                    queries=[
                        Prom("stage:kandle_lag_records:sum", "{{stage}} records"),
                        Prom("stage:kandle_lag_seconds:max", "{{stage}} seconds"),
                    ],
                    runbooks=["KandleLag"],
                ),
                Panel(
                    title="Age when stored",
                    text="Median and 99th percentile of the time from an event at the venue to its row "
                    "committed, over 5 minutes.",
                    unit="s",
                    width=8,
                    minimum=None,
                    queries=[
                        Prom('hop:kandle_event_age_seconds:p50_5m{hop="row"}', "p50"),
                        Prom('hop:kandle_event_age_seconds:p99_5m{hop="row"}', "p99"),
                    ],
                    runbooks=["KandleLatencyHigh"],
                ),
            ],
        ),
        Row(
            "The page and the API",
            [
                Panel(
                    title="Requests",
                    text="Answered a second, by status.",
                    unit="reqps",
                    width=8,
                    queries=[Prom(rate("kandle_serve_requests_total", "status"), "{{status}}")],
                    empty="kandle serve does not run, or nobody asks",
                ),
                Panel(
                    title="Time of an answer",
                    text="95th percentile by route, from a request's arrival to the start of its answer.",
                    unit="s",
                    width=8,
                    queries=[Prom(quantile(0.95, "kandle_serve_request_seconds", "route"), "{{route}}")],
                    empty="Nobody has asked in this range",
                ),
                Panel(
                    title="Clients",
                    text="Connected now, and let go within a step because they did not read.",
                    unit="short",
                    width=8,
                    queries=[
                        Prom(or_none("sum by (kind) (kandle_serve_clients)", "kind"), "{{kind}}"),
                        Prom(added("kandle_serve_clients_dropped_total", "kind"), "let go {{kind}}"),
                        Prom(
                            or_none(rate("kandle_serve_deliveries_total", "kind"), "kind"),
                            "{{kind}}/s",
                        ),
                    ],
                ),
            ],
        ),
        Row(
            "The machine, the versions, what happened",
            [
                Panel(
                    title="Memory",
                    text="Resident memory of our processes.",
                    unit="bytes",
                    width=8,
                    queries=[
                        Prom('sum by (job) (process_resident_memory_bytes{job=~"kandle-.+"})', "{{job}}")
                    ],
                    empty="No process of ours is scraped",
                ),
                Panel(
                    title="Processor",
                    text="Cores that our processes use.",
                    unit="none",
                    width=8,
                    queries=[
                        Prom(rate('process_cpu_seconds_total{job=~"kandle-.+"}', "job"), "{{job}}"),
                    ],
                    empty="No process of ours is scraped",
                ),
                Panel(
                    title="Versions",
                    text="How many processes run which version, on which Python.",
                    unit="none",
                    kind="stat",
                    named=True,
                    width=8,
                    queries=[
                        Prom(
                            "count by (version, python) (kandle_build_info)",
                            "{{version}}, Python {{python}}",
                            now=True,
                        )
                    ],
                    empty="No process of ours is scraped",
                ),
                Panel(
                    title="What happened",
                    text="The newest 100 events of the system in this range that are no mere information.",
                    unit="none",
                    kind="table",
                    width=24,
                    height=9,
                    minimum=None,
                    queries=[
                        Sql(
                            "SELECT time, severity, source, type, message FROM system_events\n"
                            "WHERE severity <> 'info' AND $__timeFilter(time) ORDER BY time DESC LIMIT 100"
                        )
                    ],
                    runbooks=["KandleHealthDegraded"],
                    empty="Nothing to tell of in this range",
                ),
            ],
        ),
    ],
)
