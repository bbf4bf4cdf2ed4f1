"""The port of a process: /metrics for Prometheus, /livez, /readyz and /startupz for whoever runs it."""

import io
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from infra.probes.readiness import Readiness
from infra.settings import MetricsSettings

Answer = tuple[bool, str, dict[str, str]]
"""Whether it is well, in one word, and by check."""
CLIENT_S: Final = 5.0
"""A client that has not asked, and taken its answer, by then is left."""
CLIENTS: Final = 64
"""Clients at a time; each one has a thread."""


class Probes:
    """The answers to probes.

    Args:
        readiness: Of the process.
        loop_silence_s: The event loop may stand still so long, s.
    """

    def __init__(self, readiness: Readiness, loop_silence_s: float) -> None:
        self._readiness = readiness
        self._loop_silence_s = loop_silence_s
        self.routes: Final[dict[str, Callable[[], Answer]]] = {
            "/livez": self.live,
            "/readyz": self.ready,
            "/startupz": self.started,
        }

    def live(self) -> Answer:
        """Whether the event loop moves; who does not answer, or says no, is to be started again."""
        silent_s = self._readiness.silent_s
        if silent_s <= self._loop_silence_s:
            return True, "alive", {"loop": "ok"}
        return False, "hung", {"loop": f"the event loop has not moved for {silent_s:.0f} s"}

    def ready(self) -> Answer:
        """Whether the process does its work, by its checks."""
        is_ready = self._readiness.is_ready
        return is_ready, "ready" if is_ready else "not ready", self._readiness.checks

    def started(self) -> Answer:
        """Whether it was ready once: until then nobody needs to ask whether it lives."""
        has_started = self._readiness.has_started
        return has_started, "started" if has_started else "starting", self._readiness.checks


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each request in a thread of its own: a slow client holds up nobody, and not for long."""

    daemon_threads = True

    def __init__(self, *args: Any) -> None:
        self._free = threading.BoundedSemaphore(CLIENTS)
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin a thread; whoever comes when too many are under way is turned away."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be had: nobody else would free the place
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one client."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that have gone, or have not said in time what they want."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Server6(_Server):
    """The same for an IPv6 address."""

    address_family = socket.AF_INET6


class _Request(io.RawIOBase):
    """What a client sends, for as long as it may take; the time that is left is that of the answer too."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._until = time.monotonic() + CLIENT_S

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes.

        Raises:
            TimeoutError: They have not come in time.
        """
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _Handler(WSGIRequestHandler):
    """Bounded in time; writes no line about a request, since there is one every few seconds."""

    def setup(self) -> None:
        """Read within the time."""
        super().setup()
        self.rfile = io.BufferedReader(_Request(self.connection))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def application(probes: Probes) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    """A WSGI application: probes by their paths, metrics by any other."""
    metrics_app = make_wsgi_app()

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        probe = probes.routes.get(environ["PATH_INFO"])
        if probe is None:
            found: Iterable[bytes] = metrics_app(environ, start_response)
            return found
        is_well, status, checks = probe()
        headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        start_response("200 OK" if is_well else "503 Service Unavailable", headers)
        return [json.dumps({"status": status, "checks": checks}).encode()]

    return answer


def serve(settings: MetricsSettings, readiness: Readiness) -> WSGIServer | None:
    """Answer on the configured port, from threads of its own; port 0 answers nowhere.

    Raises:
        OSError: The port is taken.
    """
    if not settings.port:
        return None
    probes = Probes(readiness, settings.loop_silence_s)
    kind = _Server6 if ":" in settings.host else _Server
    server = make_server(settings.host, settings.port, application(probes), kind, _Handler)
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()
    return server
