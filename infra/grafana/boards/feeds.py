"""The venues: connections, what is missing, clocks, calls."""

from typing import Final

from infra.grafana.dashboard import Dashboard, Row
from infra.grafana.panel import BREAKER, Panel
from infra.grafana.queries import Prom, added, or_none, quantile, rate

FEEDS: Final = Dashboard(
    uid="kandle-venues",
    title="Venues",
    text="Connections to venues, silence, gaps and their filling, clocks, calls over REST.",
    rows=[
        Row(
            "Connections",
            [
                Panel(
                    title="Connections",
                    text="Connections to venues that are up.",
                    unit="none",
                    kind="stat",
                    width=4,
                    limits=[(0, "red"), (1, "green")],
                    queries=[Prom("sum by (venue) (kandle_connections)", "{{venue}}", now=True)],
                    runbooks=["KandleFeedSilent", "KandleReconnecting"],
                    empty="No producer runs",
                ),
                Panel(
                    title="Silence",
                    text="Seconds since anything was received of a source.",
                    unit="s",
                    width=10,
                    limits=[(10, "orange"), (60, "red")],
                    queries=[Prom("max by (source) (kandle_feed_age_seconds)", "{{source}}")],
                    runbooks=["KandleFeedSilent"],
                    empty="No producer runs",
                ),
                Panel(
                    title="Reconnects",
                    text="Connections that were lost and tried again, within a step.",
                    unit="short",
                    width=10,
                    queries=[Prom(added("kandle_reconnects_total", "venue"), "{{venue}}")],
                    runbooks=["KandleReconnecting"],
                ),
                Panel(
                    title="Frames",
                    text="Frames read from sockets a second.",
                    unit="cps",
                    queries=[Prom(rate("kandle_frames_received_total", "venue"), "{{venue}}")],
                    empty="No producer runs",
                ),
                Panel(
                    title="Not handled yet, and dropped",
                    text="Frames that wait for the producer, and frames dropped within a step because Kafka "
                    "was too slow.",
                    unit="short",
                    queries=[
                        Prom("sum by (source) (kandle_backlog_frames)", "waiting {{source}}"),
                        Prom(
                            added("kandle_frames_shed_total", "source", "kind"), "dropped {{source}} {{kind}}"
                        ),
                    ],
                    runbooks=["KandleFramesShed"],
                    empty="No producer runs",
                ),
            ],
        ),
        Row(
            "Completeness",
            [
                Panel(
                    title="Gaps open",
                    text="Ranges of missing trades that are neither filled nor given up.",
                    unit="short",
                    width=8,
                    limits=[(1, "orange")],
                    queries=[Prom(or_none("sum by (venue) (kandle_gaps_open)", "venue"), "{{venue}}")],
                    runbooks=["KandleGapNotBackfilled"],
                ),
                Panel(
                    title="Gaps announced and given up",
                    text="Ranges of missing trades that were announced, and those that the venue could not "
                    "give, within a step.",
                    unit="short",
                    width=8,
                    queries=[
                        Prom(added("kandle_gaps_total", "venue"), "announced {{venue}}"),
                        Prom(added("kandle_gaps_given_up_total", "venue"), "given up {{venue}}"),
                    ],
                    runbooks=["KandleGapGivenUp"],
                ),
                Panel(
                    title="Books built anew",
                    text="After a break in a book's updates, within a step.",
                    unit="short",
                    width=8,
                    queries=[Prom(added("kandle_book_resyncs_total", "venue"), "{{venue}}")],
                ),
            ],
        ),
        Row(
            "Clocks",
            [
                Panel(
                    title="Event to receipt",
                    text="From a trade's time at the venue to its arrival at our socket; negative where our "
                    "clock is behind.",
                    unit="s",
                    minimum=None,
                    queries=[Prom("max by (venue) (kandle_event_skew_seconds)", "{{venue}}")],
                    runbooks=["KandleClockSkew"],
                    empty="No producer runs",
                ),
                Panel(
                    title="Venue's clock less ours",
                    text="By the venue's time over REST, half of the way there and back taken off.",
                    unit="s",
                    minimum=None,
                    limits=[(1, "red")],
                    queries=[Prom("max by (venue) (kandle_venue_clock_offset_seconds)", "{{venue}}")],
                    runbooks=["KandleClockSkew"],
                    empty="No venue has told its time yet",
                ),
            ],
        ),
        Row(
            "Calls over REST",
            [
                Panel(
                    title="Calls by how they ended",
                    text="ok, answered from memory or shared, or the code of an error.",
                    unit="cps",
                    width=8,
                    queries=[
                        Prom(
                            rate("kandle_call_outcomes_total", "provider", "outcome"),
                            "{{provider}} {{outcome}}",
                        )
                    ],
                    empty="Nothing was asked over REST",
                ),
                Panel(
                    title="Time of an attempt",
                    text="95th percentile by operation, without waits.",
                    unit="s",
                    width=8,
                    queries=[
                        Prom(
                            quantile(0.95, "kandle_call_seconds", "provider", "operation"),
                            "{{provider}} {{operation}}",
                        )
                    ],
                    empty="Nothing was asked over REST in this range",
                ),
                Panel(
                    title="Breakers",
                    text="Open: too many calls have failed, and none is made for a while.",
                    unit="none",
                    kind="state-timeline",
                    width=8,
                    minimum=None,
                    states=BREAKER,
                    queries=[Prom("max by (provider) (kandle_breaker_state)", "{{provider}}")],
                    runbooks=["KandleBreakerOpen"],
                    empty="Nothing was asked over REST",
                ),
                Panel(
                    title="Attempts after the first",
                    text="Calls that were tried again, by provider and operation, within a step.",
                    unit="short",
                    width=8,
                    queries=[
                        Prom(
                            added("kandle_call_retries_total", "provider", "operation"),
                            "{{provider}} {{operation}}",
                        )
                    ],
                    runbooks=["KandleBreakerOpen"],
                ),
                Panel(
                    title="Weight left, calls that wait",
                    text="What may be asked at once by the venue's limits, as far as is known, and calls "
                    "that wait for their turn.",
                    unit="short",
                    width=8,
                    queries=[
                        Prom("min by (provider) (kandle_rate_remaining)", "left {{provider}}"),
                        Prom("sum by (provider) (kandle_rest_queue)", "waiting {{provider}}"),
                    ],
                    empty="Nothing was asked over REST",
                ),
                Panel(
                    title="Held up by limits",
                    text="Share of the time that calls have waited for weight, and answers that told us to "
                    "wait, within a step.",
                    unit="short",
                    width=8,
                    queries=[
                        Prom(
                            or_none(rate("kandle_rate_wait_seconds_total", "provider"), "provider"),
                            "waiting {{provider}}",
                        ),
                        Prom(added("kandle_rate_limit_hits_total", "provider"), "told to wait {{provider}}"),
                    ],
                    runbooks=["KandleBreakerOpen"],
                ),
            ],
        ),
    ],
)
