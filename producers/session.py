"""The I/O of a feed, once for all venues: its links to the venue, what they bring, and what REST answers."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, Protocol, TypeAlias

from infra import metrics
from infra.logging import get_logger
from producers.connect_pace import ConnectPace
from producers.connection import Portion, open_connection
from producers.exchange import Call, Control, Exchange, Stream
from producers.feed import Feed
from producers.line import Line
from producers.link import Link, LinkEvent
from producers.outlet import Outlet
from producers.outputs import Ask, BookGap, Output, Refusal, Repeat
from producers.rest_queue import Answer, Deliver
from producers.transport import Opening
from schemas.records import Gap, TimeMark

TICK_S: Final = 0.1
"""How often acknowledgements, silence and the stop signal are looked at while nothing comes."""

FLUSH_TIMEOUT_S: Final = 15.0
SHED_TOLD_EVERY_S: Final = 10.0

NO_DATA: Final = frozenset({Control, TimeMark, Gap, BookGap, Ask, Refusal})
"""Outputs that do not show that a channel is alive."""

Ending: TypeAlias = Literal["ended", "stopped"]

logger = get_logger(__name__)


class Desk(Protocol):
    """What a session needs of `producers.rest_desk.RestDesk`."""

    def submit(self, call: Call, deliver: Deliver) -> None:
        """Have a call made; `deliver` takes its answer."""

    def retry_now(self) -> None:
        """The venue can be reached again."""


class Session:
    """Runs one feed over its links, without end.

    Args:
        exchange: The venue's rules.
        feed: Takes the frames.
        outlet: Takes the feed's outputs.
        url: Base of the WebSocket endpoint.
        desk: Makes the calls that the feed asks for.
        hot_feeds: How many times everything is subscribed; the first copy of a record wins.
        lossless: Whether a slow Kafka stops the reading of the sockets, instead of shedding.
        opening: Opens the connections.
    """

    def __init__(
        self,
        exchange: Exchange,
        feed: Feed,
        outlet: Outlet,
        url: str,
        *,
        desk: Desk,
        hot_feeds: int = 1,
        lossless: bool = False,
        opening: Opening = open_connection,
    ) -> None:
        self._exchange = exchange
        self._feed = feed
        self._outlet = outlet
        self._url = url
        self._desk = desk
        self._hot_feeds = hot_feeds
        self._lossless = lossless
        self._opening = opening
        self._pace = ConnectPace(exchange.limits.connections_per_minute)
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._links: list[tuple[Link, asyncio.Task[None]]] = []
        self._delivering: Counter[Stream] = Counter()
        self._answers: deque[Answer] = deque()
        self._shed: Counter[str] = Counter()
        self._shed_told_s = 0.0
        self._ticked_s = 0.0

    async def run(self, stop: asyncio.Event, hand_over: Callable[[], bool] = lambda: False) -> Ending:
        """Feed until the venue says that the feed has ended, or `stop` is set; then write the final mark.

        Args:
            stop: Ends the session.
            hand_over: Whether another process goes on with the source: then no final mark is written.

        Raises:
            PublishError: Kafka refused a record for good.
            UnavailableError: Kafka did not acknowledge the last records in time.
        """
        self.change(self._exchange.streams(), [])
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self._wake.set())
        try:
            while not stop.is_set() and not self._has_ended:
                await self._turn()
            if not stop.is_set():
                await self._finish_waiting(stop)
        finally:
            stopping.cancel()
            self._stop.set()
            results = await asyncio.gather(*(task for _, task in self._links), return_exceptions=True)
            for result in results:
                if isinstance(result, Exception):
                    logger.error("a link has failed", exc_info=result)
        ending: Ending = "stopped" if stop.is_set() else "ended"
        await self._take_events()
        if not (stop.is_set() and hand_over()):
            last: list[Output] = []
            self._feed.end(last)
            await self._carry(last, time.monotonic())
        await self._outlet.finish(FLUSH_TIMEOUT_S)
        return ending

    def change(self, add: Sequence[Stream], remove: Sequence[Stream]) -> None:
        """Deliver more streams from now on, and others no longer."""
        for link, _ in self._links:
            gone = [stream for stream in remove if stream.name in link.streams]
            if gone:
                link.change([], gone)
        for stream in remove:
            self._delivering.pop(stream, None)
        by_path: dict[str, list[Stream]] = {}
        for stream in add:
            by_path.setdefault(stream.path, []).append(stream)
        for path, streams in by_path.items():
            for copy in range(self._hot_feeds):
                self._place(path, streams, copy)

    @property
    def _has_ended(self) -> bool:
        return bool(self._links) and all(
            link.has_ended and not link.lines and not link.events for link, _ in self._links
        )

    def _place(self, path: str, streams: Sequence[Stream], copy: int) -> None:
        """Give streams to links with room, and to new ones; the copies of a stream go to different links."""
        left = list(streams)
        same_path = [link for link, _ in self._links if link.path == path and not link.has_ended]
        for link in same_path[copy :: self._hot_feeds]:
            taken, left = left[: link.room], left[max(link.room, 0) :]
            if taken:
                link.change(taken, [])
        size = self._exchange.limits.streams_per_connection
        for start in range(0, len(left), size):
            link = Link(
                self._exchange,
                self._url,
                path,
                left[start : start + size],
                self._pace,
                self._lossless,
                self._wake,
                self._opening,
            )
            task = asyncio.create_task(link.run(self._stop))
            task.add_done_callback(lambda _: self._wake.set())
            self._links.append((link, task))

    async def _turn(self) -> None:
        """Take what has come, then look at what is due."""
        portion = self._next_portion()
        if portion is not None:
            await self._take(*portion)
        await self._take_events()
        await self._take_answers()
        now_s = time.monotonic()
        if now_s - self._ticked_s >= TICK_S:
            self._ticked_s = now_s
            await self._tick(now_s)
        if portion is None:
            await self._rest()

    async def _rest(self) -> None:
        self._wake.clear()
        if self._answers or any(
            link.events or any(line.connection.backlog for line in link.lines) for link, _ in self._links
        ):
            return
        timer = asyncio.get_running_loop().call_later(TICK_S, self._wake.set)
        await self._wake.wait()
        timer.cancel()

    def _next_portion(self) -> tuple[Link, Line, Portion] | None:
        """The portion that arrived first, of all connections."""
        first: tuple[Link, Line] | None = None
        at_s = float("inf")
        for link, _ in self._links:
            for line in link.lines:
                came_s = line.connection.next_at_s
                if came_s is not None and came_s < at_s:
                    first, at_s = (link, line), came_s
        if first is None:
            return None
        link, line = first
        return link, line, line.connection.take()

    async def _take(self, link: Link, line: Line, portion: Portion) -> None:
        metrics.FRAMES_RECEIVED.labels(self._exchange.venue).inc(len(portion.frames))
        outputs: list[Output] = []
        heard: set[type] = set()
        take, receive_time, at_s = self._feed.take, portion.receive_time, portion.at_s
        for frame in portion.frames:
            take(frame, receive_time, at_s, outputs)
            if outputs and type(outputs[-1]) is TimeMark:
                # Carried at once, while the feed stands exactly at the mark: positions depend on it.
                heard.update(map(_kind, outputs))
                await self._carry(outputs, at_s, line)
                outputs = []
        if outputs:
            heard.update(map(_kind, outputs))
            await self._carry(outputs, at_s, line)
        link.heard(line, (kind.__name__ for kind in heard if kind not in NO_DATA), at_s)

    async def _carry(self, outputs: Sequence[Output], at_s: float, line: Line | None = None) -> None:
        for control in await self._outlet.carry(outputs, self._feed, at_s):
            if line is not None:
                line.heed(control)
        for output in outputs:
            if type(output) is Ask:
                self._desk.submit(output.call, self._answered)

    def _answered(self, answer: Answer) -> None:
        self._answers.append(answer)
        self._wake.set()

    async def _take_answers(self) -> None:
        while self._answers:
            answer = self._answers.popleft()
            outputs: list[Output] = []
            now_s = time.monotonic()
            self._feed.answer(answer.call, answer.body, time.time_ns() // 1_000, now_s, outputs)
            await self._carry(outputs, now_s)

    async def _take_events(self) -> None:
        for link, _ in self._links:
            while link.events:
                await self._take_event(link.events.pop(0))

    async def _take_event(self, event: LinkEvent) -> None:
        now_s = time.monotonic()
        outputs: list[Output] = []
        events, venue = self._outlet.events, self._exchange.venue
        match event.change:
            case "opened":
                self._desk.retry_now()
                await events.report("provider.connected", "info", event.reason)
            case "refused":
                await events.report("provider.error", "error", event.reason, url=self._url)
            case "accepted":
                fresh = [stream for stream in event.streams if not self._delivering[stream]]
                self._delivering.update(event.streams)
                self._feed.connected(fresh, now_s, outputs)
            case _:
                self._delivering.subtract(event.streams)
                gone = [stream for stream in event.streams if self._delivering[stream] <= 0]
                if event.change == "closed":
                    self._feed.interrupted(gone, now_s, outputs)
                is_quiet = event.change == "ended" or event.is_planned
                severity: Literal["info", "warning"] = "info" if is_quiet else "warning"
                await events.report("provider.disconnected", severity, f"disconnected: {event.reason}")
                if not is_quiet:
                    metrics.RECONNECTS.labels(venue).inc()
        if outputs:
            await self._carry(outputs, now_s)

    async def _tick(self, now_s: float) -> None:
        await self._outlet.settle(now_s)
        backlog = sum(line.connection.backlog for line in self._lines())
        metrics.BACKLOG.labels(self._outlet.source).set(backlog)
        answered = [link.answered_s for link, _ in self._links]
        known = [at_s for at_s in answered if at_s is not None]
        metrics.FEED_AGE.labels(self._outlet.source).set(now_s - max(known) if known else 0.0)
        outputs: list[Output] = []
        is_whole = bool(known) and len(known) == len(answered) and not backlog
        self._feed.tick(now_s, min(known) if is_whole else None, outputs)
        if outputs:
            await self._carry(outputs, now_s)
        await self._take_shed(now_s)

    async def _take_shed(self, now_s: float) -> None:
        """Say what was shed since the last time, and have it made good."""
        shed: Counter[str] = Counter()
        for line in self._lines():
            if line.connection.shed:
                shed += line.connection.shed
                line.connection.shed.clear()
                await self._make_good(line, now_s)
        for kind, count in shed.items():
            metrics.FRAMES_SHED.labels(self._outlet.source, kind).inc(count)
        self._shed += shed
        if self._shed and now_s - self._shed_told_s >= SHED_TOLD_EVERY_S:
            self._shed_told_s = now_s
            told, self._shed = self._shed, Counter()
            logger.warning("Kafka is too slow: frames were shed", **told)
            await self._outlet.events.report(
                "provider.error",
                "warning",
                f"{told.total()} frames were shed, since Kafka is too slow; trades are asked for again",
                None,
                reason="shed",
                **told,
            )

    async def _make_good(self, line: Line, now_s: float) -> None:
        """Frames of a connection were shed: its trades are caught up with, as after an interruption."""
        outputs: list[Output] = []
        streams = [line.streams[name] for name in line.delivers if name in line.streams]
        self._feed.interrupted(streams, now_s, outputs)
        self._feed.connected(streams, now_s, outputs)
        await self._carry(outputs, now_s)

    async def _finish_waiting(self, stop: asyncio.Event) -> None:
        """The feed has ended: wait for trades that are asked for, as long as marks would."""
        while self._feed.is_waiting and not stop.is_set():
            await self._turn()

    def _lines(self) -> Iterable[Line]:
        return (line for link, _ in self._links for line in link.lines)


def _kind(output: Output) -> type:
    return type(output.record) if isinstance(output, Repeat) else type(output)
