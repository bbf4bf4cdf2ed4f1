"""Metrics of the health monitor."""

from infra.metrics.declaration import Group

GROUP = Group("Health", "serve")

STATE = GROUP.gauge(
    "kandle_health_state", "state", "0 unknown, 1 healthy, 2 unhealthy, 3 error.", ["service"]
)
OVERALL = GROUP.gauge("kandle_health_overall", "state", "0 unhealthy, 1 degraded, 2 healthy.")
