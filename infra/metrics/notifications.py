"""Metrics of the sinks that send messages."""

from infra.metrics.declaration import Group

GROUP = Group("Notifications", "sink (notifications)")

NOTIFICATIONS_SENT = GROUP.counter(
    "kandle_notifications_sent", "messages", "Messages delivered.", ["channel"]
)
NOTIFICATION_ERRORS = GROUP.counter(
    "kandle_notification_errors", "attempts", "Attempts that a channel refused.", ["channel"]
)
NOTIFICATION_CAUSES = GROUP.counter(
    "kandle_notification_causes",
    "signals and events",
    "Signals and events by what became of them: sent, folded, digested, held, suppressed, dead_letter.",
    ["channel", "outcome"],
)
NOTIFICATION_BREAKER = GROUP.gauge(
    "kandle_notification_breaker_state", "state", "0 closed, 1 half-open, 2 open.", ["channel"]
)
