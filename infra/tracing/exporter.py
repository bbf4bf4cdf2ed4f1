"""Spans to a collector, from a thread of their own: whoever has a span never waits.

A collector that is away costs the spans that do not fit into the queue, one warning, and a connection attempt
now and then.
"""

import http.client
import threading
from collections import deque
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from infra.backoff import FullJitter
from infra.logging import get_logger
from infra.metrics import tracing as metrics
from infra.settings.tracing import TracingSettings
from infra.tracing.span import Span, Value, request_of

PATH: Final = "/v1/traces"
TOGETHER: Final = 512
"""Spans of one request."""
EVERY_S: Final = 1.0
"""A span waits so long for company."""
PATIENCE_CAP_S: Final = 30.0
CLOSE_S: Final = 1.0
"""For what is left at the end; nothing, where the collector is known to be away."""
_AGAIN: Final = frozenset({429, 502, 503, 504})
"""Answers after which the same request may be sent again."""

log = get_logger(__name__)


class Exporter:
    """Sends spans over OTLP/HTTP; `put` may be called from any thread.

    Args:
        settings: Where to, and how many may wait.
        resource: What describes this process.
        scope: Name and version of what has made the spans.
    """

    def __init__(
        self, settings: TracingSettings, resource: Mapping[str, Value], scope: tuple[str, str]
    ) -> None:
        parts = urlsplit(settings.endpoint)
        self._address = parts.hostname or "", parts.port
        self._is_secure = parts.scheme == "https"
        self._path = PATH if parts.path in {"", "/"} else parts.path
        self._headers = {"Content-Type": "application/x-protobuf", **settings.pairs}
        self._endpoint = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"
        self._timeout_s = settings.timeout_s
        self._limit = settings.queue
        self._resource, self._scope = resource, scope
        self._waiting: deque[Span] = deque()
        self._wake, self._closing = threading.Event(), threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self._patience = FullJitter(0.5, PATIENCE_CAP_S)
        self._is_away = False
        self._untold = dict.fromkeys(("queue", "refused", "batch"), 0)
        self._thread = threading.Thread(target=self._run, name="kandle-traces", daemon=True)
        self._thread.start()

    def put(self, span: Span) -> None:
        """Have a span sent, or dropped when too many wait; never blocks."""
        waiting = len(self._waiting)
        if waiting >= self._limit:
            self._untold["queue"] += 1
            return
        self._waiting.append(span)
        if waiting >= TOGETHER and not self._is_away:
            self._wake.set()

    def leave_out(self, count: int) -> None:
        """Count spans of records that get none, since their batch has too many of them."""
        self._untold["batch"] += count

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Send what waits, within `timeout_s` seconds, and end the thread."""
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout_s)
        left = len(self._waiting)
        if left:
            metrics.SPANS_DROPPED.labels("stopped").inc(left)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(EVERY_S)
            self._wake.clear()
            self._send_waiting()
            self._tell_dropped()
        if not self._is_away:
            self._send_waiting()
        self._hang_up()

    def _send_waiting(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), TOGETHER))]
            body = request_of(self._resource, self._scope, batch)
            while (taken := self._taken(body)) is None:
                if self._closing.is_set():
                    metrics.SPANS_DROPPED.labels("stopped").inc(len(batch))
                    return
                self._closing.wait(self._patience.next_delay_s())
                self._tell_dropped()
            if taken:
                metrics.SPANS_SENT.inc(len(batch))
            else:
                self._untold["refused"] += len(batch)

    def _taken(self, body: bytes) -> bool | None:
        """Whether the collector has taken a request; None: it may later."""
        try:
            status = self._post(body)
        except (OSError, http.client.HTTPException) as error:
            self._hang_up()
            self._is_absent(str(error) or type(error).__name__)
            return None
        if status in _AGAIN:
            self._is_absent(f"it answers {status}")
            return None
        self._patience.reset()
        is_taken = 200 <= status < 300
        if is_taken and self._is_away:
            self._is_away = False
            log.info("the collector of traces takes spans again", endpoint=self._endpoint)
        elif not is_taken:
            self._is_absent(f"it refuses them with {status}")
        return is_taken

    def _is_absent(self, reason: str) -> None:
        """Say once that spans do not arrive, until they do again."""
        if not self._is_away:
            self._is_away = True
            log.warning(
                "traces do not arrive; the data goes its way without", endpoint=self._endpoint, reason=reason
            )

    def _post(self, body: bytes) -> int:
        if self._connection is None:
            connect = http.client.HTTPSConnection if self._is_secure else http.client.HTTPConnection
            self._connection = connect(*self._address, timeout=self._timeout_s)
        self._connection.request("POST", self._path, body, self._headers)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _tell_dropped(self) -> None:
        for reason, count in self._untold.items():
            if count:
                self._untold[reason] -= count
                metrics.SPANS_DROPPED.labels(reason).inc(count)
