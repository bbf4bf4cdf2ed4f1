"""The HTTP server: uvicorn, bound before anything else starts."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from infra.settings import ServeSettings, Settings
from infra.threads import UnawaitedThreads
from schemas.errors import ConfigurationError, ResourceError
from serve.app import make_app
from serve.hub.websocket import ABORT

STOP_S: Final = 1
"""Requests that are under way when the server stops may take so long."""
LARGEST_MESSAGE: Final = 64 * 1024
BACKLOG: Final = 2_048
SEND_BUFFER: Final = 256 * 1024
"""What the system keeps for a client that does not read; by itself it would keep megabytes."""


class _WebSocketProtocol(WebSocketsSansIOProtocol):
    """Uvicorn's own, but a client that takes nothing can be cut off.

    Closing a connection waits until all that was written has been taken: never, for such a client.
    """

    async def run_asgi(self) -> None:
        self.scope["state"][ABORT] = self.transport.abort
        await super().run_asgi()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.transport.abort()


class _Server(uvicorn.Server):
    """Leaves signals to the caller."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def bind(settings: ServeSettings) -> socket.socket:
    """A listening socket.

    Raises:
        ResourceError: The port is taken.
        ConfigurationError: There is no such address here, or no right to the port.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    try:
        listening.bind((settings.host, settings.port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise ResourceError(
                f"port {settings.port} of {settings.host} is taken: end what listens there, or set "
                "KANDLE_SERVE__PORT (0 takes a free one)"
            ) from None
        raise ConfigurationError(
            f"cannot listen on {settings.host}, port {settings.port}: {error.strerror}"
        ) from None
    return listening


def address_of(listening: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def run(settings: Settings, listening: socket.socket, stop: asyncio.Event) -> None:
    """Answer until `stop` is set.

    Args:
        settings: In force.
        listening: From `bind`; closed at the end.
        stop: Ends the server.
    """
    # Questions to a broker that is away would hold the process up when it is to end.
    asyncio.get_running_loop().set_default_executor(UnawaitedThreads())
    serve = settings.serve
    app = make_app(settings)
    server = _Server(
        uvicorn.Config(
            app,
            ws=_WebSocketProtocol,
            ws_ping_interval=serve.ping_s,
            ws_ping_timeout=serve.pong_s,
            ws_max_size=LARGEST_MESSAGE,
            # A thousand compressors take more memory and time than the bytes that they save.
            ws_per_message_deflate=False,
            access_log=False,
            log_config=None,
            # What it tells below holds query strings, and so tokens.
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=STOP_S,
            lifespan="on",
        )
    )

    async def until_stopped() -> None:
        await stop.wait()
        server.should_exit = True
        if server.started:
            app.state.services.hub.end()

    watching = asyncio.create_task(until_stopped())
    try:
        await server.serve([listening])
    finally:
        watching.cancel()
        listening.close()
