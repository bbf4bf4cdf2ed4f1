"""Metrics of outgoing calls.

A provider is a venue's market (`binance-spot`), an operation what is asked of it (`book`, through ccxt
`fetchTicker:BTC/USDT`: the first 200 of a venue, then without the symbol).
"""

from infra.metrics.declaration import Group

GROUP = Group("Outgoing calls", "produce, and whatever else asks venues over REST")

CALL_OUTCOMES = GROUP.counter(
    "kandle_call_outcomes",
    "calls",
    "Outgoing calls by how they ended: ok, memory, store, shared, or an error's code in lower case.",
    ["provider", "operation", "outcome"],
)
CALL_SECONDS = GROUP.histogram(
    "kandle_call_seconds",
    "seconds",
    "Time of one attempt of a call, its waits not counted.",
    ["provider", "operation"],
)
CALL_RETRIES = GROUP.counter(
    "kandle_call_retries", "calls", "Attempts after the first of a call.", ["provider", "operation"]
)
BREAKER_STATE = GROUP.gauge("kandle_breaker_state", "state", "0 closed, 1 half-open, 2 open.", ["provider"])
RATE_REMAINING = GROUP.gauge(
    "kandle_rate_remaining", "weight", "Weight that may be spent at once, as far as is known.", ["provider"]
)
RATE_WAIT_SECONDS = GROUP.counter(
    "kandle_rate_wait_seconds", "seconds", "Time that calls have waited for weight.", ["provider"]
)
RATE_LIMIT_HITS = GROUP.counter(
    "kandle_rate_limit_hits", "answers", "Times that a provider told us to wait.", ["provider"]
)
REST_QUEUE = GROUP.gauge("kandle_rest_queue", "calls", "Calls that wait for their turn.", ["provider"])
REST_REACHABLE = GROUP.gauge(
    "kandle_rest_reachable", "state", "1 if the last call was answered, be it by a refusal.", ["provider"]
)
