"""The I/O of a feed, once for all venues: connect, subscribe, read, stay alive, come back."""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from websockets.exceptions import ConnectionClosed, InvalidHandshake

from infra import metrics
from infra.backoff import FullJitter
from infra.logging import get_logger
from producers.connection import FeedConnection, Portion, open_connection
from producers.exchange import Control, Exchange
from producers.feed import Feed, Output
from producers.interruption import pause, unless_stopped
from producers.outlet import Outlet
from schemas.errors import UnavailableError
from schemas.records import TimeMark

END_OF_FEED: Final = 4000
"""Close code of a feed that has ended and will not go on; only a simulator sends it."""

TICK_S: Final = 0.1
"""How often acknowledgements, silence and the stop signal are looked at while nothing comes."""

OPEN_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 10.0
PING_AFTER_S: Final = 1.0
"""Silence after which the venue is asked for a sign of life: its answer lets idle marks go on."""

PONG_WITHIN_S: Final = 10.0
"""A connection that sends nothing for so long after a ping is dead, whatever TCP thinks."""

ANSWER_WITHIN_S: Final = 15.0
"""A subscription that is not answered within this time after the last request has failed."""

STABLE_AFTER_S: Final = 5.0
"""A connection that lived so long has succeeded, and delays begin at their lowest again. Were it less, a
server that accepts and hangs up would be called more often than venues allow."""

FLUSH_TIMEOUT_S: Final = 15.0

Ending: TypeAlias = Literal["ended", "stopped"]

logger = get_logger(__name__)


class Session:
    """Runs one feed over one connection at a time, without end.

    Args:
        exchange: The venue's rules.
        feed: Takes the frames.
        outlet: Takes the feed's outputs.
        url: Base of the WebSocket endpoint.
        quotes: Whether to subscribe to quotes besides trades.
        backoff: Delays between attempts to connect.
    """

    def __init__(
        self,
        exchange: Exchange,
        feed: Feed,
        outlet: Outlet,
        url: str,
        quotes: bool,
        backoff: FullJitter | None = None,
    ) -> None:
        self._exchange = exchange
        self._feed = feed
        self._outlet = outlet
        self._url = url.rstrip("/") + exchange.websocket_path
        self._streams = exchange.streams(quotes)
        self._backoff = backoff or FullJitter()
        self._unanswered: set[int] = set()
        self._connected_s = 0.0
        self._asked_s = 0.0
        self._request = 0
        self._pinged_s = 0.0

    async def run(self, stop: asyncio.Event) -> Ending:
        """Feed until the venue says that the feed has ended, or `stop` is set; then write the final mark.

        Lost connections, refused ones and refused subscriptions are tried again without end.

        Raises:
            PublishError: Kafka refused a record for good.
            UnavailableError: Kafka did not acknowledge the last records in time.
        """
        ending: Ending = "stopped"
        while not stop.is_set():
            connection = await self._connect(stop)
            if connection is None:
                await self._wait(stop)
                continue
            reason = "stopped"
            try:
                await self._converse(connection, stop)
            except ConnectionClosed:
                reason = f"{connection.close_code} {connection.close_reason or ''}".strip()
                if connection.close_code == END_OF_FEED:
                    ending = "ended"
            except UnavailableError as error:
                reason = str(error)
            finally:
                metrics.CONNECTIONS.labels(self._exchange.venue).dec()
                await connection.close()
            await self._disconnected(reason, ending)
            if ending == "ended":
                break
            await self._wait(stop)
        last: list[Output] = []
        self._feed.end(last)
        await self._outlet.carry(last, self._feed, time.monotonic())
        await self._outlet.finish(FLUSH_TIMEOUT_S)
        return ending

    async def _connect(self, stop: asyncio.Event) -> FeedConnection | None:
        opening = open_connection(
            self._url,
            open_timeout_s=OPEN_TIMEOUT_S,
            close_timeout_s=CLOSE_TIMEOUT_S,
            frame_bytes=self._exchange.limits.frame_bytes,
        )
        try:
            connection = await unless_stopped(stop, opening)
        except (OSError, TimeoutError, InvalidHandshake) as error:
            why = str(error) or type(error).__name__
            logger.info(
                "no connection to the venue", url=self._url, why=why, attempt=self._backoff.attempts + 1
            )
            if not self._backoff.attempts:
                await self._outlet.events.report(
                    "provider.error", "error", f"no connection: {why}", url=self._url
                )
            return None
        if connection is None:
            return None
        metrics.CONNECTIONS.labels(self._exchange.venue).inc()
        logger.info("connected", url=self._url, streams=len(self._streams))
        await self._outlet.events.report(
            "provider.connected", "info", f"connected to {self._exchange.venue}", url=self._url
        )
        return connection

    async def _disconnected(self, reason: str, ending: Ending) -> None:
        logger.info("disconnected", url=self._url, reason=reason)
        severity: Literal["info", "warning"] = (
            "info" if ending == "ended" or reason == "stopped" else "warning"
        )
        await self._outlet.events.report("provider.disconnected", severity, f"disconnected: {reason}")
        if severity == "warning":
            metrics.RECONNECTS.labels(self._exchange.venue).inc()

    async def _converse(self, connection: FeedConnection, stop: asyncio.Event) -> None:
        """Read until `stop` is set.

        Raises:
            ConnectionClosed: The connection has ended.
            UnavailableError: The venue refused a subscription, or gives no sign of life.
        """
        limits = self._exchange.limits
        self._asked_s = self._pinged_s = self._connected_s = time.monotonic()
        groups = [
            self._streams[start : start + limits.streams_per_message]
            for start in range(0, len(self._streams), limits.streams_per_message)
        ]
        requests = {self._request + number: group for number, group in enumerate(groups, 1)}
        self._request += len(groups)
        self._unanswered = set(requests)
        subscribing = asyncio.create_task(self._subscribe(connection, requests))
        ticked_s = 0.0
        try:
            while not stop.is_set():
                portion = await connection.next_portion(TICK_S)
                if portion is not None:
                    await self._take(portion)
                now_s = time.monotonic()
                if now_s - ticked_s >= TICK_S:
                    ticked_s = now_s
                    await self._tick(connection, now_s)
        finally:
            subscribing.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                await subscribing

    async def _take(self, portion: Portion) -> None:
        metrics.FRAMES_RECEIVED.labels(self._exchange.venue).inc(len(portion.frames))
        outputs: list[Output] = []
        take, receive_time, at_s = self._feed.take, portion.receive_time, portion.at_s
        for frame in portion.frames:
            take(frame, receive_time, at_s, outputs)
            if outputs and type(outputs[-1]) is TimeMark:
                # Carried at once, while the feed stands exactly at the mark: positions depend on it.
                self._heed(await self._outlet.carry(outputs, self._feed, at_s))
                outputs.clear()
        if outputs:
            self._heed(await self._outlet.carry(outputs, self._feed, at_s))

    async def _subscribe(self, connection: FeedConnection, requests: Mapping[int, Sequence[str]]) -> None:
        """Ask for all streams, many in a message, and leave one message a second for pings."""
        pause_s = 1.0 / max(self._exchange.limits.messages_per_s - 1.0, 0.5)
        for request, streams in requests.items():
            self._asked_s = time.monotonic()
            await connection.send(self._exchange.subscription(streams, request))
            await asyncio.sleep(pause_s)

    def _heed(self, controls: Iterable[Control]) -> None:
        for control in controls:
            if control.kind == "refused":
                raise UnavailableError(f"the venue refused a request: {control.message}")
            if control.kind == "shutdown":
                logger.info("the venue announces a shutdown", message=control.message)
            elif control.request is not None:
                self._unanswered.discard(control.request)

    async def _tick(self, connection: FeedConnection, now_s: float) -> None:
        await self._outlet.settle()
        if connection.backlog or connection.is_halted:
            return
        if self._unanswered and now_s - self._asked_s > ANSWER_WITHIN_S:
            raise UnavailableError(f"no answer to a subscription within {ANSWER_WITHIN_S:g} s")
        answered_s = connection.answered_s
        if answered_s < self._pinged_s and now_s - self._pinged_s > PONG_WITHIN_S:
            raise UnavailableError(f"no sign of life for {now_s - answered_s:.0f} s")
        if now_s - answered_s >= PING_AFTER_S and answered_s >= self._pinged_s:
            self._pinged_s = now_s
            await connection.ping()
        if self._unanswered:
            # What happens before the venue has accepted the subscriptions is not heard: time stands still.
            return
        if now_s - self._connected_s > STABLE_AFTER_S:
            self._backoff.reset()
        mark = self._feed.silent(answered_s)
        if mark is not None:
            await self._outlet.carry([mark], self._feed, now_s)

    async def _wait(self, stop: asyncio.Event) -> None:
        await self._outlet.settle()
        await pause(stop, self._backoff.next_delay_s())
