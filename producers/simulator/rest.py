"""The REST side of a simulated venue: its answers, the weight that they cost, and the faults of the plan."""

import http
import time
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Response

from producers.simulator.injection import Injection
from producers.simulator.venue import Reply, RestError, SimulatedVenue

RETRY_AFTER_S: Final = 1.0
"""What a refusal that was injected tells the client to wait, s; a venue says up to a minute."""

PAGE: Final = Reply(200, b"<html><body>Service is under maintenance</body></html>", {}, "text/html")


class RestFront:
    """Answers GETs of one venue.

    Args:
        venue: Knows the answers.
        injection: The plan of faults.
    """

    def __init__(self, venue: SimulatedVenue, injection: Injection) -> None:
        self._venue = venue
        self._injection = injection
        self._minute = 0
        self._used = 0
        self.requests: list[str] = []
        """Path and query of the newest requests, oldest first."""

    def answer(self, target: str, now_ms: int) -> Response:
        """The response to a request for a path and query; `now_ms` is the market's time."""
        self.requests = [*self.requests[-999:], target]
        return _response(self._reply(target, now_ms))

    def _reply(self, target: str, now_ms: int) -> Reply:
        injected = self._injection.http()
        if injected == "html":
            return PAGE
        if injected is not None:
            return self._venue.failure(int(injected), RETRY_AFTER_S)
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query))
        now_s = time.time()
        minute = int(now_s // 60)
        if minute != self._minute:
            self._minute, self._used = minute, 0
        self._used += self._venue.weight(parts.path, query)
        usage = self._venue.usage(self._used, now_s)
        if self._used > self._venue.weight_per_minute:
            refusal = self._venue.failure(429, 60 - now_s % 60)
            return refusal._replace(headers={**refusal.headers, **usage})
        try:
            reply = self._venue.rest(parts.path, query, now_ms)
        except RestError as error:
            reply = error.reply
        return reply._replace(headers={**reply.headers, **usage})


def _response(reply: Reply) -> Response:
    headers = Headers(
        {
            "Content-Type": reply.content_type,
            "Content-Length": str(len(reply.body)),
            "Connection": "close",
            **reply.headers,
        }
    )
    return Response(reply.status, _phrase(reply.status), headers, reply.body)


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
