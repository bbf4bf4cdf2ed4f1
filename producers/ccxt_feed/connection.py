"""A connection to a venue by ccxt, with the face of a WebSocket that a link keeps: streams, and polls.

ccxt opens sockets again by itself, and says nothing of what it has missed. So every end of a socket is the
end of the connection here: the link opens another, and what is missing is asked for.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import ccxt
import msgspec
from websockets.exceptions import ConnectionClosedError

from infra.logging import get_logger
from producers.ccxt_feed.capabilities import Way
from producers.ccxt_feed.encoding import encoded
from producers.ccxt_feed.exchange import CcxtExchange
from producers.ccxt_feed.polling import Desk, Poller
from producers.ccxt_feed.portions import Portions
from producers.ccxt_feed.watchdog import Watchdog
from producers.connection import Portion
from producers.exchange import Stream
from producers.manager.client import Client
from schemas.errors import UnavailableError

SETTLE_S: Final = 1.5
"""A subscription that was not refused for so long counts as accepted: ccxt does not tell."""

ACCEPT_WITHIN_S: Final = 12.0
ATTEMPTS: Final = 3
"""How often in a row a stream may stumble, before it is refused or the connection given up."""

STUMBLE_S: Final = 1.0
CLOSE_WITHIN_S: Final = 3.0
ABNORMAL: Final = 1006
END_OF_FEED: Final = 4000
"""Close code of a simulator whose feed has ended; other sockets may still bring what came before."""
CLOSING_CODE: Final = "closing code "

logger = get_logger(__name__)


class _Request(msgspec.Struct):
    id: int
    subscribe: list[Stream] = []
    unsubscribe: list[Stream] = []


_REQUEST: Final = msgspec.json.Decoder(_Request)


class CcxtConnection:
    """Runs ccxt's streams; `send` subscribes, `take` gives the frames. See `producers.connection`.

    Args:
        exchange: The venue's market.
        client: An object of ccxt with its markets, for this connection alone; None to poll only.
        desk: Makes the calls for what is polled.
        watchdog: Knows the usual pace of each stream.
        pace_ms: Between two calls or subscriptions, as the venue or the settings have it.
        wake: Set when something has come, or the connection has ended.
        simulated: Whether the venue is one of this machine, whose end of a feed is believed.
    """

    def __init__(
        self,
        exchange: CcxtExchange,
        client: Client | None,
        desk: Desk,
        watchdog: Watchdog,
        pace_ms: float,
        wake: asyncio.Event,
        simulated: bool = False,
    ) -> None:
        self._exchange = exchange
        self._client = client
        self._watchdog = watchdog
        self._wake = wake
        self._simulated = simulated
        self._pace_ms = pace_ms
        self._poller = Poller(exchange, desk, pace_ms, self._push, self.lose)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._heard: set[str] = set()
        self._refused: dict[str, str] = {}
        self._progress = asyncio.Event()
        self._portions = Portions(exchange.is_trade_frame)
        self._came: tuple[int, float] = (0, 0.0)
        self._opened_s = time.monotonic()
        self._closing = False
        self.is_halted = False
        """Never: what is too much is shed, since ccxt would shed it unseen."""
        self.is_lost = False
        """Whether the connection has ended; frames may still wait."""
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self._guarding: asyncio.Task[None] | None = None
        if client is not None:
            self._hook(client)
            self._guarding = asyncio.create_task(self._guard(desk))

    @property
    def protocol(self) -> "CcxtConnection":
        """The side that knows how the connection has ended."""
        return self

    @property
    def close_exc(self) -> ConnectionClosedError:
        """What is raised where the connection has ended."""
        return ConnectionClosedError(None, None)

    @property
    def answered_s(self) -> float:
        """When the venue was last heard of, by all sockets and polls, by the monotonic clock, s."""
        heard = [self._poller.answered_s] if self._poller.is_active else []
        now_ms, now_s = time.time() * 1_000, time.monotonic()
        told_ms = [client.last_message_at for client in self._sockets()]
        heard += [now_s - max(0.0, now_ms - at_ms) / 1_000 for at_ms in told_ms if at_ms is not None]
        return min(heard, default=self._opened_s)

    @property
    def next_at_s(self) -> float | None:
        """When the portion came that `take` would return, by the monotonic clock, s; None without one."""
        return self._portions.next_at_s

    @property
    def backlog(self) -> int:
        """Frames that wait to be taken."""
        return self._portions.frames

    @property
    def shed(self) -> Counter[str]:
        """Frames shed since somebody cleared this, by `trades` and `other`."""
        return self._portions.shed

    def take(self) -> Portion:
        """The next frames; there must be some."""
        return self._portions.take()

    async def next_portion(self, timeout_s: float) -> Portion | None:
        """The next frames; waits for some, None if none come within `timeout_s` seconds.

        Raises:
            websockets.exceptions.ConnectionClosed: The connection has ended and all frames were taken.
        """
        if not self.backlog and not self.is_lost:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
        if self.backlog:
            return self.take()
        if self.is_lost:
            raise self.close_exc
        return None

    async def send(self, text: str) -> None:
        """Carry out a request of `CcxtExchange.requests`; returns once its streams are subscribed, or not."""
        request = _REQUEST.decode(text)
        await asyncio.gather(*map(self._end, request.unsubscribe))
        for stream in request.subscribe:
            self._begin(stream)
        refused = await self._accepted(request.subscribe)
        if self.is_lost:
            return
        word: dict[str, Any] = {"refused": request.id, "message": refused} if refused else {"ack": request.id}
        self._push(msgspec.json.encode(word))

    async def ping(self) -> None:
        """Ask for a sign of life, in the venue's own way."""
        if self._poller.is_active:
            self._poller.hurry()
        for client in self._sockets():
            if client.closed():
                continue
            with contextlib.suppress(Exception):
                await (client.send(client.ping(client)) if client.ping else client.connection.ping())

    async def close(self, code: int = 1_000, reason: str = "") -> None:
        """Close all sockets; frames that were not taken are dropped."""
        self._closing = True
        self.is_lost = True
        self._portions.clear()
        tasks = [*self._tasks.values(), *([self._guarding] if self._guarding else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        await self._poller.close()
        if self._client is not None:
            client, self._client = self._client, None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_WITHIN_S):
                    await client.close()

    def lose(self, reason: str, code: int = ABNORMAL) -> None:
        """End the connection: what comes next would be worth nothing."""
        if self.is_lost:
            return
        self.is_lost = True
        ends = code == END_OF_FEED and self._simulated
        self.close_code, self.close_reason = code if ends else ABNORMAL, reason
        self._progress.set()
        self._wake.set()

    def _begin(self, stream: Stream) -> None:
        if stream.name in self._tasks:
            return
        ways = list(self._exchange.ways(stream.channel))
        streaming = [way for way in ways if way.is_stream] if self._client is not None else []
        polled = [way for way in ways if not way.is_stream]
        task = asyncio.create_task(self._run(stream, streaming, polled))
        self._tasks[stream.name] = task

    async def _end(self, stream: Stream) -> None:
        task = self._tasks.pop(stream.name, None)
        self._watchdog.forget(stream.name)
        self._poller.forget(stream.name)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        ending = getattr(self._client, f"un_{self._exchange.ways(stream.channel)[0].method}", None)
        if ending is None or stream.channel == "candles":
            return
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await ending(stream.symbol)

    async def _run(self, stream: Stream, streaming: list[Way], polled: list[Way]) -> None:
        """Deliver a stream by the first way that the venue really has."""
        why = "ccxt has no way to it"
        for way in streaming:
            try:
                await self._watch(stream, way)
            except (ccxt.NotSupported, ccxt.ArgumentsRequired, ccxt.AuthenticationError) as error:
                why = f"{way.method}: {error}"
                logger.info("a stream is not to be had this way", stream=stream.name, why=why)
            except Exception as error:
                self._refuse(stream, f"{way.method}: {error or type(error).__name__}")
                return
            else:
                return
        if polled:
            await self._poller.run(stream, polled[0], partial(self._note, stream.name))
        else:
            self._refuse(stream, why)

    async def _watch(self, stream: Stream, way: Way) -> None:
        """Await one message after another, until the connection ends.

        Raises:
            ccxt.BaseError: The venue does not give this stream, or it stumbles too often.
        """
        call = self._method(stream, way)
        stumbled = 0
        while not self.is_lost:
            try:
                result = await call()
                self._take(stream, result)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                self.lose("a socket was closed")
            except (ccxt.NotSupported, ccxt.ArgumentsRequired, ccxt.AuthenticationError):
                raise
            except Exception as error:
                lost = isinstance(error, ccxt.NetworkError) and not isinstance(error, ccxt.InvalidNonce)
                if lost or (stumbled >= ATTEMPTS and stream.name in self._heard):
                    self.lose(str(error) or type(error).__name__, _code(str(error)))
                elif stumbled >= ATTEMPTS:
                    raise
                stumbled += 1
                await asyncio.sleep(STUMBLE_S * stumbled)
            else:
                stumbled = 0

    def _method(self, stream: Stream, way: Way) -> Callable[[], Any]:
        method = getattr(self._client, way.method)
        match way.takes:
            case "list":
                return partial(method, [stream.symbol])
            case "interval":
                return partial(method, stream.symbol, self._exchange.candle_interval)
            case _:
                return partial(method, stream.symbol)

    def _take(self, stream: Stream, result: Any) -> None:
        data = encoded(stream.channel, result, stream.symbol)
        if data is None:
            return
        self._note(stream.name)
        came = self._came if self._came[1] else _now()
        self._watchdog.heard(stream.name, came[1], result if stream.channel == "trades" else ())
        name = msgspec.json.encode(stream.name)
        self._push(b'{"stream":%b,"data":%b}' % (name, data), came)

    def _note(self, name: str) -> None:
        if name not in self._heard:
            self._heard.add(name)
            self._progress.set()

    def _refuse(self, stream: Stream, why: str) -> None:
        """The venue does not give a stream: told if somebody waits for it, else the connection ends."""
        if stream.name in self._heard:
            self.lose(why)
        self._refused[stream.name] = f"{stream.name}: {why}"
        self._progress.set()

    async def _accepted(self, streams: list[Stream]) -> str | None:
        """Wait until these streams are subscribed, as far as can be told; why not, if one is refused."""
        begun_s = time.monotonic()
        settled_s = begun_s + SETTLE_S + len(streams) * self._pace_ms / 1_000
        names = {stream.name for stream in streams}
        while not self.is_lost:
            self._progress.clear()
            refused = [self._refused[name] for name in names if name in self._refused]
            if refused:
                return "; ".join(refused)
            now_s = time.monotonic()
            missing = names - self._heard
            is_open = all(client.connected.done() for client in self._sockets())
            waits = any(self._poller.has(name) for name in missing)
            if not missing or (now_s >= settled_s and is_open and not waits):
                break
            if now_s - begun_s > ACCEPT_WITHIN_S:
                return "no answer to a subscription in time"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await self._progress.wait()
        self._watchdog.begin(names, time.monotonic())
        return None

    def _push(self, frame: bytes, came: tuple[int, float] | None = None) -> None:
        if self._closing or (self.is_lost and self.close_code != END_OF_FEED):
            return
        self._portions.put(frame, *(came or _now()))
        self._wake.set()

    def _sockets(self) -> list[Any]:
        sockets: Mapping[str, Any] = getattr(self._client, "clients", None) or {}
        return list(sockets.values())

    async def _guard(self, desk: Desk) -> None:
        """Look for streams that hang."""
        while not self.is_lost:
            await asyncio.sleep(self._watchdog.look_every_s)
            for name in list(self._tasks):
                try:
                    found = await self._watchdog.judge(name, time.monotonic(), desk)
                except UnavailableError:
                    continue
                if name not in self._tasks:
                    continue
                if found.trades is not None:
                    stream = msgspec.json.encode(name)
                    self._push(b'{"stream":%b,"asked":true,"data":%b}' % (stream, found.trades))
                if found.why is not None:
                    self.lose(found.why)

    def _hook(self, client: Client) -> None:
        """Stamp messages as they come, and see every end of a socket: ccxt opens another without a word."""
        handle, on_close, on_error = client.handle_message, client.on_close, client.on_error

        def handle_message(socket: Any, message: Any) -> None:
            self._came = _now()
            try:
                handle(socket, message)
            except Exception as error:
                # ccxt reads no further after this, and nobody would know.
                self.lose(f"ccxt cannot read a message: {error or type(error).__name__}")

        def closed(socket: Any, code: Any) -> None:
            on_close(socket, code)
            self.lose(f"the venue has closed a socket: {code}", code if isinstance(code, int) else ABNORMAL)

        def failed(socket: Any, error: Any) -> None:
            on_error(socket, error)
            self.lose(str(error) or type(error).__name__, _code(str(error)))

        client.handle_message, client.on_close, client.on_error = handle_message, closed, failed


def _now() -> tuple[int, float]:
    return time.time_ns() // 1_000, time.monotonic()


def _code(message: str) -> int:
    """The close code that ccxt writes into a message."""
    digits = message.partition(CLOSING_CODE)[2][:4]
    return int(digits) if digits.isdigit() else ABNORMAL
