"""Watches what blocking libraries do on the network in a thread of ours, and stops what is not allowed.

Libraries that open their own connections (requests, smtplib, clients of chat protocols) take no resolver and
no socket from us, and many say no more of a failure than that there was one. Python tells an audit hook
(PEP 578) of every connection before it is made, with the address in numbers that it goes to; the hook may
refuse it. Nothing is patched: in threads that no watch is on, the hook does nothing.

Covered: whatever connects or sends through Python's sockets in the thread; programs that a library would
start are refused as a whole. Not covered: threads that a library starts by itself, and connections that its
own compiled code makes. Behind a proxy of the environment the proxy's address is judged; it looks up the
names.
"""

from __future__ import annotations

import http.client
import socket
import sys
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

from infra.outbound import AddressRefusedError, OutboundPolicy, is_name

BODY_BYTES: Final = 16 * 1024
"""What is kept of the body of an answer."""
ANSWERS: Final = 32
"""How many answers of one call are kept, the newest."""
_IP_FAMILIES: Final = frozenset({socket.AF_INET, socket.AF_INET6})
_CONNECTING: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_STARTING: Final = frozenset({"subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "os.fork"})
_EVENTS: Final = _CONNECTING | _STARTING | {"http.client.connect"}


class StoppedError(OSError):
    """What a library sees when it is stopped: to it, the network has failed."""


@dataclass(slots=True)
class SeenAnswer:
    """An HTTP answer as a library received it.

    Attributes:
        status: Of HTTP.
        headers: Names in lower case.
        body: Its beginning, as far as the library has read it; perhaps compressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytearray = field(default_factory=bytearray)


class OutboundWatch:
    """Watches the thread that enters it, until that leaves.

    Args:
        policy: What is allowed.

    Attributes:
        refusals: Why connections were stopped, in words.
        answers: What HTTP servers answered, in order.
        was_connected: Whether any connection was attempted and allowed.
    """

    def __init__(self, policy: OutboundPolicy) -> None:
        self.refusals: list[str] = []
        self.answers: deque[SeenAnswer] = deque(maxlen=ANSWERS)
        self.was_connected = False
        self._policy = policy
        self._connections: list[socket.socket] = []
        self._lock = threading.Lock()
        self._is_cut = False
        self._before: OutboundWatch | None = None
        _install()

    def __enter__(self) -> OutboundWatch:
        self._before = getattr(_thread, "watch", None)
        _thread.watch = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _thread.watch = self._before
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    def cut(self) -> None:
        """End all connections, from any thread: whoever waits for an answer gets an error at once."""
        with self._lock:
            self._is_cut = True
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # not connected yet, or no longer

    def connecting(self, sock: socket.socket, address: Any) -> None:
        """A connection is about to be made.

        Raises:
            StoppedError: It is not allowed.
        """
        if self._is_cut:
            raise StoppedError("the call was cut off")
        if address is None:
            return  # on a connection that was judged
        if sock.family not in _IP_FAMILIES:
            if self._policy.allow_private:
                return
            self._stop(f"a socket of kind {sock.family!r} leads to this machine; it is not connected to")
        host = str(address[0])
        try:
            if self._policy.allow_private and is_name(host):
                # The system looks it up again while it connects. What is never allowed is not, as far as
                # anybody can tell; and 2852039166 is a name that leads nowhere else.
                for found in _addresses(host):
                    self._policy.check(found, host)
            else:
                self._policy.check(host)
        except AddressRefusedError as error:
            self._stop(str(error))
        self.was_connected = True
        if sock.type == socket.SOCK_STREAM:
            # A duplicate: libraries wrap theirs for TLS, and the number would be used again after a close.
            with self._lock:
                self._connections.append(sock.dup())

    def answered(self, status: int, headers: Mapping[str, str]) -> SeenAnswer:
        """An HTTP server has answered.

        Raises:
            StoppedError: The answer sends us elsewhere.
        """
        answer = SeenAnswer(status, headers)
        self.answers.append(answer)
        if 300 <= status < 400 and "location" in headers and not self._policy.allow_redirects:
            self._stop(f"the server answers {status} and sends us elsewhere; redirects are not followed")
        return answer

    def starting(self, event: str) -> None:
        """A program is about to be started.

        Raises:
            StoppedError: Always, unless everything is allowed.
        """
        if not self._policy.allow_private:
            self._stop(f"a program would be started ({event}), which cannot be watched")

    def _stop(self, why: str) -> None:
        self.refusals.append(why)
        raise StoppedError(why)


class _WatchedResponse(http.client.HTTPResponse):
    """An answer that is told to a watch while the library reads it."""

    _watch: OutboundWatch
    _seen: SeenAnswer | None = None

    def begin(self) -> None:
        super().begin()
        headers = {name.lower(): value for name, value in self.getheaders()}
        self._seen = self._watch.answered(self.status, headers)

    def read(self, amt: int | None = None) -> bytes:
        return self._kept(super().read(amt))

    def read1(self, n: int = -1) -> bytes:
        return self._kept(super().read1(n))

    def _kept(self, portion: bytes) -> bytes:
        if self._seen is not None:
            self._seen.body += portion[: max(0, BODY_BYTES - len(self._seen.body))]
        return portion


def _response_class(watch: OutboundWatch) -> type[_WatchedResponse]:
    return type("WatchedResponse", (_WatchedResponse,), {"_watch": watch})


def _addresses(name: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(name, None)}
    except (OSError, UnicodeError):
        return set()  # as whoever connects will see


_thread: Final = threading.local()
_installing: Final = threading.Lock()
_installed = False


def _install() -> None:
    global _installed
    with _installing:
        if not _installed:
            sys.addaudithook(_hook)
            _installed = True


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event not in _EVENTS:
        return
    watch = getattr(_thread, "watch", None)
    if watch is None:
        return
    if event in _CONNECTING:
        watch.connecting(*args)
    elif event == "http.client.connect":
        # Connections of http.client, and so of urllib3, make answers of the class that they are given.
        args[0].response_class = _response_class(watch)
    else:
        watch.starting(event)
