"""A WebSocket and REST server on loopback that speaks for a simulated venue."""

import asyncio
import contextlib
import http
import time
from collections import deque
from collections.abc import Iterable
from typing import Final, Protocol

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from infra.logging import get_logger
from producers.simulator.faults import Fault
from producers.simulator.injection import Break, Injection, Oversize, Pause, Send, Shutdown, Step
from producers.simulator.rest import RestFront
from producers.simulator.venue import Client, SimulatedVenue
from schemas.errors import ResourceError

END_OF_FEED: Final = 4000
"""Close code that only the simulator sends: the feed has ended, do not come back for more."""

HEARD: Final = frozenset({END_OF_FEED, 1000})
"""How clients answer that close: with the same code, or, as aiohttp does, with 1000."""

BUFFER_LIMIT_BYTES: Final = 8 * 1024 * 1024
"""A client that leaves so much unread is disconnected, as venues do; a playback waits for it instead."""

OVERSIZE_BYTES: Final = 16 * 1024 * 1024 + 1_024
"""Data of a frame that no client takes."""

PACE_WINDOW_S: Final = 2.0
"""Messages of a client are counted over so long, s, that the jitter of a network does not matter."""

STOP_TIMEOUT_S: Final = 2.0
HOST: Final = "127.0.0.1"

logger = get_logger(__name__)


class Market(Protocol):
    """What the server asks of the market behind it."""

    @property
    def venue(self) -> SimulatedVenue:
        """The venue whose market it is."""
        ...

    def now_ms(self) -> int:
        """The market's time, ms since the epoch."""
        ...

    def changed(self) -> None:
        """The set of clients or of their streams has changed."""
        ...

    def asked(self) -> None:
        """A REST request was answered."""
        ...


class SimulatorServer:
    """Serves one market to any number of clients.

    Args:
        market: Knows the venue and is told of subscriptions.
        port: Port; 0 takes a free one.
        faults: What is to go wrong.
        host: Where it listens; loopback by default.
    """

    def __init__(self, market: Market, port: int = 0, faults: Iterable[Fault] = (), host: str = HOST) -> None:
        self._market = market
        self._port = port
        self._host = host
        self._server: Server | None = None
        self.injection = Injection(faults)
        self.rest = RestFront(market.venue, self.injection)
        self._closing: set[asyncio.Task[None]] = set()
        self._dead: list[ServerConnection] = []
        """Connections that nothing is read from any more."""
        self.clients: dict[ServerConnection, Client] = {}
        self.departures = 0
        """How often a client has gone and left streams that nobody else is subscribed to."""
        self.abandoned: set[str] = set()
        """Those streams; the market forgets them when it goes on."""
        self.accepted = 0
        """WebSocket connections since the start."""

    @property
    def port(self) -> int:
        """The port that is listened on."""
        assert self._server is not None, "the server has not been started"
        number: int = next(iter(self._server.sockets)).getsockname()[1]
        return number

    @property
    def websocket_url(self) -> str:
        """Base URL of the WebSocket endpoint."""
        return f"ws://{self._host}:{self.port}"

    @property
    def rest_url(self) -> str:
        """Base URL of the REST endpoint."""
        return f"http://{self._host}:{self.port}"

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            ResourceError: The port is taken.
        """
        try:
            self._server = await serve(
                self._serve_client,
                self._host,
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
                f"the simulator cannot listen on {self._host}:{self._port}: {error.strerror}; "
                "choose another port (KANDLE_SIMULATOR__PORT) or 0 for a free one"
            ) from None

    async def stop(self) -> None:
        """Close all connections as a server that goes away, and stop listening."""
        if self._server is None:
            return
        for connection in self._dead:
            connection.transport.abort()
        connections = list(self._server.connections)
        self._server.close(code=1001, reason="going away")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await asyncio.shield(self._server.wait_closed())
        for connection in connections:
            connection.transport.abort()
        await self._server.wait_closed()

    def streams(self) -> set[str]:
        """Keys of all streams that any client is subscribed to."""
        return {stream for client in self.clients.values() for stream in client.streams}

    async def send(self, stream: str, data: bytes) -> bool:
        """Send to every subscriber and wait until each takes it, unless the faults have it otherwise.

        Returns whether they got it as it is.
        """
        if self.injection.is_idle:
            await self._send(stream, data)
            return True
        found = self._market.venue.channel_of(stream)
        steps = self.injection.frame(stream, data, found[0] if found else None)
        for step in steps:
            await self._perform(step)
        return any(isinstance(step, Send) and step.data == data and not step.cut for step in steps)

    async def send_all(self, frame: bytes) -> None:
        """Send a text as it is to every client that has subscribed to anything; waits as `send` does."""
        for connection, client in list(self.clients.items()):
            if client.streams:
                await self._write(connection, frame, text=True)

    async def offer(self, stream: str, data: bytes) -> None:
        """Send to every subscriber without waiting; one that is too slow is disconnected."""
        if not self.injection.is_idle:
            await self.send(stream, data)
            return
        for connection, client in list(self.clients.items()):
            if stream not in client.streams:
                continue
            if connection.transport.get_write_buffer_size() > BUFFER_LIMIT_BYTES:
                self._forget(connection)
                connection.transport.abort()
                continue
            frame = client.frame(stream, data)
            broadcast([connection], frame.decode() if self._is_text(frame) else frame)

    async def end(self) -> bool:
        """Close every connection with the code that says: the feed has ended.

        Returns when each has taken all that was sent and has answered; False if one broke before that.
        """
        for step in self.injection.drain():
            await self._perform(step)
        arrived = True
        for connection in list(self.clients):
            await connection.close(END_OF_FEED, "end of feed")
            received = connection.protocol.close_rcvd
            arrived &= received is not None and received.code in HEARD
            self._forget(connection)
        return arrived

    async def _send(self, stream: str, data: bytes, cut: bool = False) -> None:
        for connection, client in list(self.clients.items()):
            if stream in client.streams:
                frame = client.frame(stream, data)
                sent = frame[: len(frame) // 2] if cut else frame
                await self._write(connection, sent, self._is_text(frame))

    def _is_text(self, frame: bytes) -> bool:
        return not self._market.venue.binary or frame.startswith((b"{", b'"'))

    async def _write(self, connection: ServerConnection, frame: bytes, text: bool) -> None:
        """Send to one client; one that is gone is forgotten, and what was in its socket is lost to it."""
        try:
            await connection.send(frame, text=text)
        except ConnectionClosed:
            self._forget(connection)

    async def _perform(self, step: Step) -> None:
        match step:
            case Send():
                await self._send(step.stream, step.data, step.cut)
            case Pause():
                await asyncio.sleep(step.pause_s)
            case Oversize():
                await self._send(step.stream, b'"%b"' % (b"x" * OVERSIZE_BYTES))
            case Break():
                for connection in list(self.clients):
                    self._forget(connection)
                    if step.how == "disconnect":
                        connection.transport.abort()
                    elif step.how == "no_pong":
                        connection.transport.pause_reading()
                        self._dead.append(connection)
            case Shutdown():
                await self._announce(step.after_s)

    async def _announce(self, after_s: float) -> None:
        notice = self._market.venue.shutdown_notice(self._market.now_ms())
        leaving = list(self.clients)
        if notice is not None:
            for connection in leaving:
                await self._write(connection, notice, text=True)

        def close() -> None:
            for connection in leaving:
                self._forget(connection)
                closing = asyncio.create_task(connection.close(1001, "going away"))
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

        asyncio.get_running_loop().call_later(after_s, close)

    async def _serve_client(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        client = self._market.venue.client(connection.request.path)
        self.clients[connection] = client
        self.accepted += 1
        self._market.changed()
        limit = int(self._market.venue.messages_per_s * PACE_WINDOW_S)
        asked_s: deque[float] = deque(maxlen=limit + 1)
        try:
            async for message in connection:
                asked_s.append(time.monotonic())
                if len(asked_s) > limit and asked_s[-1] - asked_s[0] < PACE_WINDOW_S:
                    await connection.close(1008, "too many requests")
                    break
                for answer in self._answers(client, message):
                    # The answer goes out before any data of the streams: data flows once `changed` is called.
                    await connection.send(answer)
                self._market.changed()
        except ConnectionClosed:
            pass
        finally:
            self._forget(connection)

    def _answers(self, client: Client, message: str | bytes) -> list[str]:
        now_ms = self._market.now_ms()
        fault = self.injection.subscription() if client.is_subscription(message) else None
        if fault == "wrong_ack":
            return client.refuse(message, now_ms)
        return [] if fault == "no_ack" else client.answer(message, now_ms)

    def _forget(self, connection: ServerConnection) -> None:
        """Send nothing to a connection any more."""
        client = self.clients.pop(connection, None)
        if client is not None:
            left = client.streams.keys() - self.streams()
            self.abandoned |= left
            self.departures += bool(left)
            self._market.changed()

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        if "upgrade" in request.headers:
            try:
                self._market.venue.client(request.path)
            except ValueError:
                return connection.respond(http.HTTPStatus.NOT_FOUND, "no such stream path\n")
            return None
        response = self.rest.answer(request.path, self._market.now_ms())
        self._market.asked()
        return response


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
