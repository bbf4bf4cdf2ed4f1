"""Metrics of `kandle serve`: requests, clients of the page and of the topics."""

from infra.metrics.declaration import Group

GROUP = Group("Serving", "serve")

REQUESTS = GROUP.counter(
    "kandle_serve_requests",
    "requests",
    "Requests answered, by route (its pattern, not its values) and status.",
    ["route", "status"],
)
REQUEST_SECONDS = GROUP.histogram(
    "kandle_serve_request_seconds",
    "seconds",
    "From a request's arrival to the start of its answer.",
    ["route"],
)
CLIENTS = GROUP.gauge("kandle_serve_clients", "clients", "Clients that are connected.", ["kind"])
DELIVERIES = GROUP.counter(
    "kandle_serve_deliveries", "messages", "Messages handed to clients' connections.", ["kind"]
)
CLIENTS_DROPPED = GROUP.counter(
    "kandle_serve_clients_dropped", "clients", "Clients let go because they did not read.", ["kind"]
)
