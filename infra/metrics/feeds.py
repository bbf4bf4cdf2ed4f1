"""Metrics of producers: connections to venues, what comes in, what is missing."""

from infra.metrics.declaration import Group

GROUP = Group("Feeds", "produce")

FRAMES_RECEIVED = GROUP.counter("kandle_frames_received", "frames", "Frames read from sockets.", ["venue"])
BYTES_RECEIVED = GROUP.counter(
    "kandle_bytes_received", "bytes", "Payload of the frames read from sockets, unpacked.", ["venue"]
)
RECORDS_RECEIVED = GROUP.counter(
    "kandle_records_received", "records", "Records parsed from frames.", ["venue", "record"]
)
CONNECTIONS = GROUP.gauge(
    "kandle_connections", "connections", "Connections to venues that are up.", ["venue"]
)
RECONNECTS = GROUP.counter(
    "kandle_reconnects", "connections", "Connections to venues that were lost and tried again.", ["venue"]
)
GAPS = GROUP.counter("kandle_gaps", "ranges", "Ranges of missing trades that were announced.", ["venue"])
GAPS_OPEN = GROUP.gauge(
    "kandle_gaps_open", "ranges", "Ranges of missing trades that are neither filled nor given up.", ["venue"]
)
GAPS_GIVEN_UP = GROUP.counter(
    "kandle_gaps_given_up", "ranges", "Ranges of missing trades that the venue could not give.", ["venue"]
)
RESYNCS = GROUP.counter("kandle_book_resyncs", "books", "Order books built anew after a break.", ["venue"])
EVENT_SKEW = GROUP.gauge(
    "kandle_event_skew_seconds",
    "seconds",
    "From a trade's time at the venue to its arrival at our socket; negative where our clock is behind.",
    ["venue"],
)
CLOCK_OFFSET = GROUP.gauge(
    "kandle_venue_clock_offset_seconds",
    "seconds",
    "The venue's clock less ours, by its time over REST.",
    ["venue"],
)
FEED_AGE = GROUP.gauge(
    "kandle_feed_age_seconds", "seconds", "Since anything was received of a source, by our clock.", ["source"]
)
BACKLOG = GROUP.gauge(
    "kandle_backlog_frames", "frames", "Frames read from the sockets and not handled yet.", ["source"]
)
FRAMES_SHED = GROUP.counter(
    "kandle_frames_shed",
    "frames",
    "Frames dropped because Kafka was too slow, trades and other.",
    ["source", "kind"],
)
FEED_ENDED = GROUP.gauge("kandle_feed_ended", "state", "1 once every feed of this process has ended.")
