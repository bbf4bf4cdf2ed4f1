"""A line in the log for each request, the id by which it is found there, and its span where it is traced."""

import re
import time
import uuid
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra import metrics, tracing
from infra.logging import get_logger
from infra.tracing import Kind, Span, SpanContext, bound

HEADER: Final = b"x-request-id"
TRACE_HEADER: Final = tracing.HEADER.encode()
_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")

OTHER: Final = "other"
UPGRADED: Final = 101
REFUSED: Final = 403

log = get_logger(__name__)


class Requests:
    """Middleware that gives every request an id and logs how it went.

    The id is the one that was sent, if it is a plain word, else a new one. Query strings are not logged: they
    may hold the token. A caller that sends `traceparent` finds its trace in the log; whether the request has
    a span is the caller's word then, and else that of the setting `tracing.sample`.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._tracer = tracing.current()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with its id in the scope, the log and the answer."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(HEADER, b"")
        caller = SpanContext.read(headers.get(TRACE_HEADER))
        span = self._span_below(caller)
        known = given if _ID.fullmatch(given) else uuid.uuid4().hex.encode()
        scope["request_id"] = known.decode()
        began, began_ns = time.perf_counter(), time.time_ns()
        started: float | None = None
        status = 500

        async def with_id(message: Message) -> None:
            nonlocal started, status
            if message["type"] in {"http.response.start", "websocket.accept"}:
                message["headers"] = [*message.get("headers", []), (HEADER, known)]
                status = message.get("status", UPGRADED)
                if status != UPGRADED:
                    started = time.perf_counter()
            elif message["type"] == "websocket.close" and status != UPGRADED:
                # What a client hears that was not let in.
                status = REFUSED
            await send(message)

        with (
            structlog.contextvars.bound_contextvars(request_id=scope["request_id"]),
            nullcontext() if span is None else bound(span),
        ):
            try:
                await self._app(scope, receive, with_id)
            finally:
                _measure(scope, status, None if started is None else started - began)
                told = _told(scope, status, headers)
                taken_ns = round((time.perf_counter() - began) * 1e9)
                log.info("request", **told, **{"event.duration": taken_ns})
                if span is not None and span.sampled:
                    self._trace(scope, told, span, caller, began_ns, taken_ns)

    def _trace(
        self,
        scope: Scope,
        told: Mapping[str, str | int | None],
        span: SpanContext,
        caller: SpanContext | None,
        began_ns: int,
        taken_ns: int,
    ) -> None:
        """Hand over the span of a request that is traced."""
        if self._tracer is None:
            return
        status = int(told["http.response.status_code"] or 0)
        attributes = {name: value for name, value in told.items() if value is not None}
        self._tracer.put(
            Span(
                f"{told['http.request.method']} {_route_of(scope)}",
                span,
                b"" if caller is None else caller.span_id,
                began_ns,
                began_ns + taken_ns,
                Kind.SERVER,
                attributes | {"http.route": _route_of(scope)},
                str(status) if scope["type"] == "http" and status >= 500 else "",
            )
        )

    def _span_below(self, caller: SpanContext | None) -> SpanContext | None:
        """The span of a request, where it belongs to a trace."""
        if caller is not None:
            return caller.fresh()
        chosen = self._tracer is not None and self._tracer.choose(1)
        return SpanContext.root() if chosen else None


def _told(scope: Scope, status: int, headers: Mapping[bytes, bytes]) -> dict[str, str | int | None]:
    """What the log and the trace say of a request, in ECS names."""
    client = scope.get("client")
    return {
        "http.request.method": scope.get("method", "GET"),
        "url.path": scope["path"],
        "http.response.status_code": status,
        "client.ip": client[0] if client else None,
        "user_agent.original": headers.get(b"user-agent", b"").decode("latin-1") or None,
    }


def _measure(scope: Scope, status: int, seconds: float | None) -> None:
    """Count a request by the pattern of its route; whatever has none, as a file of the page, is one."""
    route = _route_of(scope)
    metrics.serving.REQUESTS.labels(route, str(status)).inc()
    if seconds is not None:
        metrics.serving.REQUEST_SECONDS.labels(route).observe(seconds)


def _route_of(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", None) or ("/ws" if scope["path"] == "/ws" else OTHER)
