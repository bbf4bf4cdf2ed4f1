"""One recording: its connections, the frames that they bring, and what is asked for beside them."""

import asyncio
import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from websockets.exceptions import ConnectionClosed, InvalidHandshake

from infra.backoff import FullJitter
from producers.capture.file import CaptureError, CaptureWriter
from producers.capture.reading import NAMES
from producers.capture.trimming import trimmed
from producers.connection import FeedConnection, open_connection
from producers.exchange import BadRecord, Call, Control, Exchange, Poll, Stream
from producers.feed_books import FeedBooks
from producers.interruption import pause, unless_stopped
from producers.outputs import Ask, Output
from producers.rest_desk import RestDesk
from producers.rest_queue import Answer
from producers.transport import Opening
from schemas.records import BookUpdate

FLUSH_EVERY_S: Final = 5.0
"""What is lost at most if the recorder is killed."""

TICK_S: Final = 0.25
LAST_ANSWERS_S: Final = 2.0
"""How long a feed that has ended waits for answers that are under way."""
OPEN_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 2.0
PONG_WITHIN_S: Final = 10.0
STABLE_AFTER_S: Final = 5.0
END_OF_FEED: Final = 4000
"""Close code of a simulator whose feed has ended."""

Say = Callable[[str], None]


@dataclass(slots=True)
class Recorded:
    """What was written so far.

    Attributes:
        frames: Frames by what they hold; `other`: what says nothing of interest, or breaks a rule.
        answers: REST answers.
    """

    frames: Counter[str] = field(default_factory=Counter)
    answers: int = 0

    def __str__(self) -> str:
        parts = ", ".join(f"{number} {name}" for name, number in self.frames.most_common())
        return f"{self.frames.total()} frames ({parts or 'none'}), {self.answers} REST answers"


class Recording:
    """One recording.

    Books are followed while they are recorded: their snapshot is asked for once deltas come, and again where
    a chain breaks. Frames that break a rule are written like all others. A connection that is lost is opened
    again; what the venue sent in between is not in the capture.

    Args:
        exchange: The venue, set up for what is recorded.
        writer: Takes everything; open.
        desk: Makes the calls; running.
        recorded: Counts what is written.
        stop: Ends the recording; set when it has ended.
        say: Takes sentences for people.
    """

    def __init__(
        self,
        exchange: Exchange,
        writer: CaptureWriter,
        desk: RestDesk,
        recorded: Recorded,
        stop: asyncio.Event,
        say: Say,
    ) -> None:
        self.websocket_url = exchange.websocket_url
        """Base of the WebSocket endpoint."""
        self.rest_url = exchange.rest_url
        """Base of the REST endpoint, for the capture: the desk has its own."""
        self.opening: Opening = open_connection
        """Opens the connections."""
        self._exchange = exchange
        self._writer = writer
        self._desk = desk
        self._recorded = recorded
        self._stop = stop
        self._say = say
        self._books = FeedBooks(exchange, "recorder")
        self._failure: CaptureError | None = None
        self._requests = count(1)

    async def run(self, listing: bytes) -> None:
        """Write the listing, then all that comes."""
        self._write_answer(self._exchange.instruments_call(), trimmed(listing, self._exchange.by_name))
        apart_s = 60.0 / self._exchange.limits.connections_per_minute
        feeds = [
            asyncio.create_task(self._feed(streams, number * apart_s))
            for number, streams in enumerate(self._connections())
        ]
        beside = [asyncio.create_task(self._flush())]
        beside += [asyncio.create_task(self._poll(poll)) for poll in self._exchange.polls()]
        try:
            await asyncio.gather(*feeds)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_ANSWERS_S):
                    while len(self._desk) and not self._stop.is_set():
                        await asyncio.sleep(0.01)
        finally:
            self._stop.set()
            await asyncio.gather(*feeds, *beside, return_exceptions=True)
        if self._failure is not None:
            raise self._failure

    def _connections(self) -> list[list[Stream]]:
        """The streams of each connection."""
        by_path: dict[str, list[Stream]] = defaultdict(list)
        for stream in self._exchange.streams():
            by_path[stream.path].append(stream)
        size = self._exchange.limits.streams_per_connection
        return [
            streams[start : start + size]
            for streams in by_path.values()
            for start in range(0, len(streams), size)
        ]

    async def _feed(self, streams: list[Stream], delay_s: float) -> None:
        """One connection, opened again whenever it ends; returns when the feed or the recording has ended."""
        backoff = FullJitter()
        await pause(self._stop, delay_s)
        while not self._stop.is_set():
            opened_s = time.monotonic()
            try:
                connection = await unless_stopped(self._stop, self._open(streams[0].path))
            except (OSError, InvalidHandshake, TimeoutError) as error:
                why = str(error) or type(error).__name__
            else:
                if connection is None:
                    return
                try:
                    why = await self._follow(connection, streams)
                except ConnectionClosed as closed:
                    if connection.close_code == END_OF_FEED:
                        return
                    why = str(closed)
                finally:
                    await connection.close()
            if self._stop.is_set():
                return
            if time.monotonic() - opened_s >= STABLE_AFTER_S:
                backoff.reset()
            delay_s = backoff.next_delay_s()
            self._say(f"no connection: {why}; again in {delay_s:.1f} s")
            await pause(self._stop, delay_s)

    async def _open(self, path: str) -> FeedConnection:
        connection: FeedConnection = await self.opening(
            self.websocket_url + path,
            open_timeout_s=OPEN_TIMEOUT_S,
            close_timeout_s=CLOSE_TIMEOUT_S,
            frame_bytes=self._exchange.limits.frame_bytes,
            headers=self._exchange.headers,
        )
        return connection

    async def _follow(self, connection: FeedConnection, streams: list[Stream]) -> str:
        """Write what a connection brings; returns why it should be given up."""
        heartbeat_s = self._exchange.heartbeat_s
        beat_s = time.monotonic()
        pinged_s: float | None = None
        subscribing = asyncio.create_task(self._subscribe(connection, streams))
        try:
            while not self._stop.is_set():
                portion = await connection.next_portion(TICK_S)
                now_s = time.monotonic()
                if portion is not None:
                    for frame in portion.frames:
                        self._take(frame, portion.receive_time, portion.at_s)
                self._run_books(now_s)
                if heartbeat_s is not None and now_s - beat_s >= heartbeat_s:
                    beat_s = now_s
                    await connection.send(self._exchange.heartbeat(time.time()))
                if now_s - connection.answered_s < self._exchange.ping_after_s:
                    pinged_s = None
                elif pinged_s is None:
                    pinged_s = now_s
                    await connection.ping()
                elif now_s - pinged_s > PONG_WITHIN_S:
                    return "the venue does not answer"
            return "stopped"
        finally:
            subscribing.cancel()
            await asyncio.gather(subscribing, return_exceptions=True)

    async def _subscribe(self, connection: FeedConnection, streams: list[Stream]) -> None:
        limits = self._exchange.limits
        number = next(self._requests)
        for request in self._exchange.requests(streams, number, time.time()):
            self._requests = count(request.number + 1)
            await connection.send(request.text)
            await asyncio.sleep(1.0 / limits.messages_per_s)

    def _take(self, frame: bytes, receive_time: int, at_s: float) -> None:
        self._writer.write_frame(receive_time * 1_000, frame)
        kind = "other"
        try:
            records = self._exchange.parse(frame, receive_time)
        except BadRecord:
            records = ()
        for record in records:
            if isinstance(record, Control):
                kind = "control"
                if record.kind == "refused":
                    self._say(f"the venue refuses: {record.message}")
                continue
            kind = NAMES.get(type(record), "other")
            if isinstance(record, BookUpdate):
                self._follow_book(record, at_s)
        self._recorded.frames[kind] += 1

    def _follow_book(self, update: BookUpdate, at_s: float) -> None:
        out: list[Output] = []
        self._books.take(update, at_s, out)
        self._ask(out)

    def _run_books(self, now_s: float) -> None:
        out: list[Output] = []
        self._books.tick(now_s, out)
        self._ask(out)

    def _ask(self, out: list[Output]) -> None:
        for output in out:
            if isinstance(output, Ask):
                self._desk.submit(output.call, self._answered)

    def _answered(self, answer: Answer) -> None:
        """Write an answer; called by the desk, which wants nothing raised."""
        call, body, at_s = answer.call, answer.body, time.monotonic()
        try:
            if body is None:
                self._say(f"no answer to {call.path}: {answer.error}")
            else:
                self._write_answer(call, body)
        except CaptureError as error:
            self._failure = error
            self._stop.set()
            return
        if call.kind != "book":
            return
        try:
            records = [] if body is None else self._exchange.read(call, body, time.time_ns() // 1_000)
        except BadRecord as error:
            self._say(f"{call.path} cannot be read: {error}")
            records = []
        for record in records:
            if isinstance(record, BookUpdate):
                self._follow_book(record, at_s)
        if not records:
            self._books.failed(call.symbol, at_s)

    def _write_answer(self, call: Call, body: bytes) -> None:
        self._writer.write_rest(time.time_ns(), "GET", self.rest_url + call.path, body)
        self._recorded.answers += 1

    async def _poll(self, poll: Poll) -> None:
        while not self._stop.is_set():
            self._desk.submit(poll.call, self._answered)
            await pause(self._stop, poll.every_s)

    async def _flush(self) -> None:
        while not self._stop.is_set():
            await pause(self._stop, FLUSH_EVERY_S)
            try:
                self._writer.flush()
            except CaptureError as error:
                self._failure = error
                self._stop.set()
