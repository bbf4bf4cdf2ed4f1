"""A line in the log for each request, and the id by which it is found there."""

import re
import time
import uuid
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.logging import get_logger

HEADER: Final = b"x-request-id"
_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")

log = get_logger(__name__)


class Requests:
    """Middleware that gives every request an id and logs how it went.

    The id is the one that was sent, if it is a plain word, else a new one. Query strings are not logged: they
    may hold the token.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with its id in the scope, the log and the answer."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == HEADER), b"")
        known = given if _ID.fullmatch(given) else uuid.uuid4().hex.encode()
        scope["request_id"] = known.decode()
        began = time.perf_counter()
        status = 101 if scope["type"] == "websocket" else 500

        async def with_id(message: Message) -> None:
            nonlocal status
            if message["type"] in {"http.response.start", "websocket.accept"}:
                message["headers"] = [*message.get("headers", []), (HEADER, known)]
                status = message.get("status", status)
            elif message["type"] == "websocket.close":
                status = message.get("code", 1000)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=scope["request_id"]):
            try:
                await self._app(scope, receive, with_id if scope["type"] == "http" else send)
            finally:
                client = scope.get("client")
                log.info(
                    "request",
                    method=scope.get("method", "WEBSOCKET"),
                    path=scope["path"],
                    status=status,
                    duration_ms=round((time.perf_counter() - began) * 1_000, 1),
                    client=client[0] if client else None,
                )
