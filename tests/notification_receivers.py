"""Where notifications go in tests: a web server that takes signed webhooks, well or badly; a mail server."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from infra.embedded.ports import free_ports

SECRET = "a-secret-of-sixteen-bytes"
Answer = tuple[int, dict[str, str]]


@dataclass
class Receiver:
    """One address of the web server.

    Attributes:
        answer: Status and headers for the next request; called for each.
        delay_s: Time that an answer takes.
        taken: Bodies of messages that were answered by 2xx, in the order in which they came.
        keys: `webhook-id` of every request.
    """

    url: str
    answer: Callable[[], Answer] = lambda: (200, {})
    delay_s: float = 0.0
    taken: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)

    @property
    def causes(self) -> int:
        """Causes that the messages told of."""
        return sum(message["data"]["count"] for message in self.taken)

    @property
    def repeats(self) -> int:
        """Requests beyond the first of a message."""
        return sum(Counter(self.keys).values()) - len(set(self.keys))


class Web:
    """A web server whose addresses behave as each test wants."""

    def __init__(self) -> None:
        self._receivers: dict[str, Receiver] = {}
        self.ended = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver = outer._receivers[self.path.strip("/")]
                receiver.keys.append(self.headers["webhook-id"])
                receiver.at_s.append(time.monotonic())
                status, headers = receiver.answer()
                if 200 <= status < 300:
                    receiver.taken.append(json.loads(body))
                if receiver.delay_s:
                    outer.ended.wait(receiver.delay_s)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def receiver(self, name: str, *, status: int = 200, delay_s: float = 0.0, **headers: str) -> Receiver:
        """A new address; the headers' names are written with underscores."""
        fixed = status, {key.replace("_", "-"): value for key, value in headers.items()}
        # Not the name itself: what stands in an address is masked wherever it is told.
        path = f"to-{name}"
        url = f"kandle+http://127.0.0.1:{self._server.server_port}/{path}?secret={SECRET}"
        self._receivers[path] = Receiver(url, lambda: fixed, delay_s)
        return self._receivers[path]

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def web() -> Iterator[Web]:
    """A web server for one test."""
    server = Web()
    try:
        yield server
    finally:
        server.close()


class Mailbox:
    """What a mail server was given."""

    def __init__(self, port: int) -> None:
        self.url = f"mailto://127.0.0.1:{port}?from=kandle@example.com&to=desk@example.com&mode=insecure"
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A mail server for one test."""
    (port,) = free_ports(1)
    box = Mailbox(port)
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
