"""A WebSocket and REST server that speaks Binance spot's protocol on loopback."""

import asyncio
import contextlib
import http
from collections.abc import Callable, Mapping
from typing import Final, Protocol
from urllib.parse import parse_qsl, urlsplit

import msgspec
from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from infra.logging import get_logger
from producers.simulator.client import ClientProtocol, combined
from schemas.errors import ResourceError

END_OF_FEED: Final = 4000
"""Close code that only the simulator sends: the feed has ended, do not come back for more."""

BUFFER_LIMIT_BYTES: Final = 8 * 1024 * 1024
"""A client that leaves so much unread is disconnected, as the venue does; a playback waits for it instead."""

STOP_TIMEOUT_S: Final = 2.0
HOST: Final = "127.0.0.1"

logger = get_logger(__name__)


class RestError(Exception):
    """A request that Binance answers with an error body."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = msgspec.json.encode({"code": code, "msg": message})


class Market(Protocol):
    """What the server asks of the market behind it."""

    def rest(self, path: str, query: Mapping[str, str]) -> bytes:
        """The JSON body that answers a GET; must not block.

        Raises:
            RestError: The path or a parameter is unknown.
        """
        ...

    def changed(self) -> None:
        """The set of clients or of their streams has changed."""
        ...


class SimulatorServer:
    """Serves one market to any number of clients.

    Args:
        market: Answers REST requests and is told of subscriptions.
        port: Port on loopback; 0 takes a free one.
    """

    def __init__(self, market: Market, port: int = 0) -> None:
        self._market = market
        self._port = port
        self._server: Server | None = None
        self.clients: dict[ServerConnection, ClientProtocol] = {}
        self.departures = 0
        """Subscribed clients that have gone since the start."""

    @property
    def port(self) -> int:
        """The port that is listened on."""
        assert self._server is not None, "the server has not been started"
        number: int = next(iter(self._server.sockets)).getsockname()[1]
        return number

    @property
    def websocket_url(self) -> str:
        """Base URL of the WebSocket endpoint."""
        return f"ws://{HOST}:{self.port}"

    @property
    def rest_url(self) -> str:
        """Base URL of the REST endpoint."""
        return f"http://{HOST}:{self.port}"

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            ResourceError: The port is taken.
        """
        try:
            self._server = await serve(
                self._serve_client,
                HOST,
                self._port,
                process_request=self._process_request,
                compression=None,
                ping_interval=20,
                # A playback waits for a client that does not read, however long; its pongs wait with it.
                ping_timeout=None,
                # Nor is it cut off at the end: it reads what was sent first, then the close.
                close_timeout=None,
                server_header=None,
            )
        except OSError as error:
            raise ResourceError(
                f"the simulator cannot listen on {HOST}:{self._port}: {error.strerror}; "
                "choose another port (KANDLE_SIMULATOR__PORT) or 0 for a free one"
            ) from None

    async def stop(self) -> None:
        """Close all connections as a server that goes away, and stop listening."""
        if self._server is None:
            return
        connections = list(self._server.connections)
        self._server.close(code=1001, reason="going away")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await asyncio.shield(self._server.wait_closed())
        for connection in connections:
            connection.transport.abort()
        await self._server.wait_closed()

    def streams(self) -> set[str]:
        """All streams that any client is subscribed to."""
        return {stream for client in self.clients.values() for stream in client.streams}

    async def send(self, stream: str, data: bytes) -> int:
        """Send to every subscriber and wait until each takes it; returns how many did.

        A client that is gone is forgotten; what was in its socket is lost to it.
        """
        sent = 0
        for connection, client in list(self.clients.items()):
            if stream not in client.streams:
                continue
            try:
                await connection.send(combined(stream, data) if client.combined else data, text=True)
            except ConnectionClosed:
                self._forget(connection)
            else:
                sent += 1
        return sent

    async def send_all(self, frame: bytes) -> None:
        """Send a frame as it is to every client that has subscribed to anything; waits as `send` does."""
        for connection, client in list(self.clients.items()):
            if not client.streams:
                continue
            try:
                await connection.send(frame, text=True)
            except ConnectionClosed:
                self._forget(connection)

    def offer(self, stream: str, data: bytes) -> None:
        """Send to every subscriber without waiting; one that is too slow is disconnected."""
        for connection, client in list(self.clients.items()):
            if stream not in client.streams:
                continue
            if connection.transport.get_write_buffer_size() > BUFFER_LIMIT_BYTES:
                self._forget(connection)
                connection.transport.abort()
                continue
            broadcast([connection], (combined(stream, data) if client.combined else data).decode())

    async def end(self) -> bool:
        """Close every connection with the code that says: the feed has ended.

        Returns when each has taken all that was sent and has answered; False if one broke before that.
        """
        arrived = True
        for connection in list(self.clients):
            await connection.close(END_OF_FEED, "end of feed")
            received = connection.protocol.close_rcvd
            arrived &= received is not None and received.code == END_OF_FEED
            self._forget(connection)
        return arrived

    async def _serve_client(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        client = ClientProtocol(connection.request.path)
        self.clients[connection] = client
        self._market.changed()
        try:
            async for message in connection:
                answer = client.answer(message)
                # The answer goes out before any data of the streams: data flows once `changed` is called.
                await connection.send(answer)
                self._market.changed()
        except ConnectionClosed:
            pass
        finally:
            self._forget(connection)

    def _forget(self, connection: ServerConnection) -> None:
        client = self.clients.pop(connection, None)
        if client is not None:
            self.departures += bool(client.streams)
            self._market.changed()

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        if "upgrade" in request.headers:
            try:
                ClientProtocol(request.path)
            except ValueError:
                return connection.respond(http.HTTPStatus.NOT_FOUND, "no such stream path\n")
            return None
        try:
            body = self._market.rest(parts.path, dict(parse_qsl(parts.query)))
        except RestError as error:
            return _json(error.status, error.body)
        return _json(200, body)


def _json(status: int, body: bytes) -> Response:
    headers = Headers(
        {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
    )
    return Response(status, http.HTTPStatus(status).phrase, headers, body)


def rest_routes(
    path: str,
    query: Mapping[str, str],
    *,
    now_ms: Callable[[], int],
    symbols: Callable[[], bytes],
    depth: Callable[[str], bytes | None],
) -> bytes:
    """Answer the REST paths that every market here has: ping, time, exchangeInfo, depth.

    Raises:
        RestError: The path is unknown, or the symbol of a depth request.
    """
    match path:
        case "/api/v3/ping":
            return b"{}"
        case "/api/v3/time":
            return msgspec.json.encode({"serverTime": now_ms()})
        case "/api/v3/exchangeInfo":
            return symbols()
        case "/api/v3/depth":
            book = depth(query.get("symbol", ""))
            if book is None:
                raise RestError(400, -1121, "Invalid symbol.")
            return book
        case _:
            raise RestError(404, -1000, f"no such path: {path}")


def instrument_list(symbols: Mapping[str, str], now_ms: int) -> bytes:
    """An `exchangeInfo` body that lists unified symbols and their venue symbols."""
    listed = []
    for unified, venue_symbol in symbols.items():
        base, _, quote = unified.partition("/")
        listed.append({"symbol": venue_symbol, "status": "TRADING", "baseAsset": base, "quoteAsset": quote})
    return msgspec.json.encode({"timezone": "UTC", "serverTime": now_ms, "symbols": listed})


async def serve_until(server: SimulatorServer, stop: asyncio.Event, work: asyncio.Task[None]) -> None:
    """Serve until `stop` is set; an error of the market's own work ends it at once."""
    waiting = asyncio.ensure_future(stop.wait())
    done, _ = await asyncio.wait({waiting, work}, return_when=asyncio.FIRST_COMPLETED)
    if work in done:
        work.result()
        await waiting
    waiting.cancel()
    work.cancel()
    await server.stop()
