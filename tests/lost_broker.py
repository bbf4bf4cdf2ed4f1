"""Answers as a broker does that counts as lost: it takes connections, and its metadata names no broker."""

import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

METADATA: Final = 3
API_VERSIONS: Final = 18
NEWEST: Final = {METADATA: 1, API_VERSIONS: 0}
"""The newest version of each request that it knows."""
UNSUPPORTED_VERSION: Final = 35
HOST: Final = b"127.0.0.1"


class LostBroker(socketserver.ThreadingTCPServer):
    """Names itself in its first answers, then no more.

    Attributes:
        names_itself: In how many answers more.
    """

    daemon_threads = True

    def __init__(self, names_itself: int) -> None:
        self.names_itself = names_itself
        super().__init__((HOST.decode(), 0), _Connection)

    @property
    def bootstrap_servers(self) -> str:
        return f"{HOST.decode()}:{self.server_address[1]}"

    def metadata(self) -> bytes:
        """Brokers, controller and topics, as version 1 writes them."""
        if self.names_itself <= 0:
            return struct.pack(">iii", 0, -1, 0)
        self.names_itself -= 1
        itself = struct.pack(f">ih{len(HOST)}sih", 1, len(HOST), HOST, self.server_address[1], -1)
        return struct.pack(">i", 1) + itself + struct.pack(">ii", 1, 0)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is gone is none."""


class _Connection(socketserver.StreamRequestHandler):
    server: LostBroker

    def handle(self) -> None:
        while len(size := self.rfile.read(4)) == 4:
            request = self.rfile.read(struct.unpack(">i", size)[0])
            key, version, correlation_id = struct.unpack_from(">hhi", request)
            body = self.server.metadata() if key == METADATA else self._versions(version)
            self.wfile.write(struct.pack(">ii", len(body) + 4, correlation_id) + body)

    def _versions(self, version: int) -> bytes:
        code = UNSUPPORTED_VERSION if version > NEWEST[API_VERSIONS] else 0
        known = b"".join(struct.pack(">hhh", api, 0, newest) for api, newest in NEWEST.items())
        return struct.pack(">hi", code, len(NEWEST)) + known


@contextmanager
def lost_broker(names_itself: int = 0) -> Iterator[str]:
    """The address of one, as bootstrap servers.

    Args:
        names_itself: In how many answers, until it counts as lost.
    """
    with LostBroker(names_itself) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.bootstrap_servers
        server.shutdown()
