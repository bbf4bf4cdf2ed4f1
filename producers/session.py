"""The I/O of a feed, once for all venues: its links to the venue, what they bring, and what REST answers."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, Protocol, TypeAlias

from infra import metrics
from infra.logging import get_logger
from producers.connect_pace import ConnectPace
from producers.connection import TRADES, Portion, open_connection
from producers.exchange import Call, Control, Exchange, Stream
from producers.feed import TRADE_CHANNELS, Feed
from producers.line import Line
from producers.link import Link, LinkEvent
from producers.outlet import Outlet
from producers.outputs import Ask, BookGap, Output, Refusal, Repeat
from producers.rest_queue import Answer, Deliver
from producers.transport import Opening
from schemas.records import BookUpdate, Gap, TimeMark

TICK_S: Final = 0.1
"""How often acknowledgements, silence and the stop signal are looked at while nothing comes."""

YIELD_S: Final = 0.01
"""How long portions are taken without a turn for others."""

TOGETHER: Final = 256
"""Frames after which what they brought is handed on, at the latest."""

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
        pace: Turns to connect; one for all sessions of a venue in a process. Its own by default.
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
        pace: ConnectPace | None = None,
    ) -> None:
        self._exchange = exchange
        self._feed = feed
        self._outlet = outlet
        self._url = url
        self._desk = desk
        self._received = metrics.FRAMES_RECEIVED.labels(exchange.venue)
        self._hot_feeds = hot_feeds
        self._has_books = "books" in exchange.channels
        self._lossless = lossless
        self._opening = opening
        self._pace = pace or ConnectPace(exchange.limits.connections_per_minute)
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._links: list[tuple[Link, asyncio.Task[None]]] = []
        self._delivering: Counter[Stream] = Counter()
        self._answers: deque[Answer] = deque()
        self._shed: Counter[str] = Counter()
        self._shed_told_s = 0.0
        self._ticked_s = 0.0
        self._yielded_s = 0.0
        self._failure: BaseException | None = None

    async def run(self, stop: asyncio.Event, hand_over: Callable[[], bool] = lambda: False) -> Ending:
        """Feed until the venue says that the feed has ended, or `stop` is set; then write the final mark.

        Args:
            stop: Ends the session.
            hand_over: Whether another process goes on with the source: then no final mark is written.

        Raises:
            PublishError: Kafka refused a record for good.
            UnavailableError: Kafka did not acknowledge the last records in time.
            Exception: What a link has failed with.
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
            await asyncio.gather(stopping, *(task for _, task in self._links), return_exceptions=True)
        if self._failure is not None:
            raise self._failure
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
        for link, _ in self._links:
            if link.path != path or link.copy != copy or link.has_ended or link.is_retired:
                continue
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
                copy,
            )
            task = asyncio.create_task(link.run(self._stop))
            task.add_done_callback(self._link_done)
            self._links.append((link, task))

    def _link_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and self._failure is None:
            self._failure = task.exception()
        self._wake.set()

    async def _turn(self) -> None:
        """Take what has come, then look at what is due.

        Raises:
            Exception: What a link has failed with.
        """
        if self._failure is not None:
            raise self._failure
        found = self._next_line()
        if found is not None:
            await self._take(*found)
        await self._take_events()
        await self._take_answers()
        now_s = time.monotonic()
        if now_s - self._ticked_s >= TICK_S:
            self._ticked_s = now_s
            await self._tick(now_s)
        if found is None:
            await self._rest()
        elif now_s - self._yielded_s >= YIELD_S:
            # Taking a backlog may not wait for anything: sockets and links must have their turn all the same.
            await asyncio.sleep(0)
            self._yielded_s = time.monotonic()

    async def _rest(self) -> None:
        self._wake.clear()
        if self._answers or any(
            link.events or any(line.connection.backlog for line in link.lines) for link, _ in self._links
        ):
            return
        timer = asyncio.get_running_loop().call_later(TICK_S, self._wake.set)
        await self._wake.wait()
        timer.cancel()

    def _next_line(self) -> tuple[Link, Line, float] | None:
        """The connection whose next portion arrived first of all, and when that of the others did, s."""
        first: tuple[Link, Line] | None = None
        at_s = others_s = float("inf")
        for link, _ in self._links:
            for line in link.lines:
                came_s = line.connection.next_at_s
                if came_s is None:
                    continue
                if came_s < at_s:
                    first, at_s, others_s = (link, line), came_s, at_s
                elif came_s < others_s:
                    others_s = came_s
        return None if first is None else (*first, others_s)

    async def _take(self, link: Link, line: Line, others_s: float) -> None:
        """Take what arrived on a connection before anything of the others; small portions go on together."""
        outputs: list[Output] = []
        heard: set[type] = set()
        connection = line.connection
        frames, at_s = 0, -float("inf")
        while frames < TOGETHER and (came_s := connection.next_at_s) is not None and came_s <= others_s:
            portion: Portion = connection.take()
            frames += len(portion.frames)
            at_s = portion.at_s
            outputs = await self._read(line, portion, outputs, heard)
        self._received.inc(frames)
        if outputs:
            heard.update(map(_kind, outputs))
            await self._carry(outputs, at_s, line)
        link.heard(line, (kind.__name__ for kind in heard if kind not in NO_DATA), at_s)

    async def _read(
        self, line: Line, portion: Portion, outputs: list[Output], heard: set[type]
    ) -> list[Output]:
        """Feed the frames of a portion; returns the outputs that are still to be carried."""
        take, receive_time, at_s = self._feed.take, portion.receive_time, portion.at_s
        self._exchange.talk = line.talk
        count = len(outputs)
        for frame in portion.frames:
            take(frame, receive_time, at_s, outputs)
            if len(outputs) == count:
                if self._has_books:
                    # Nothing is made of updates alone while their book waits for its snapshot.
                    heard.add(BookUpdate)
            elif type(outputs[-1]) is TimeMark:
                # Carried at once, while the feed stands exactly at the mark: positions depend on it.
                heard.update(map(_kind, outputs))
                await self._carry(outputs, at_s, line)
                outputs = []
                # A link may have spoken meanwhile.
                self._exchange.talk = line.talk
            count = len(outputs)
        return outputs

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
        """Take what has happened to the links, in the order in which it did."""
        while happened := [(link.events[0].at_s, link) for link, _ in self._links if link.events]:
            link = min(happened, key=lambda item: item[0])[1]
            await self._take_event(link.events.pop(0))
        if any(link.is_retired for link, _ in self._links):
            self._links = [
                (link, task) for link, task in self._links if not (link.is_retired and task.done())
            ]

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
                fresh = [stream for stream in event.streams if stream not in self._delivering]
                self._delivering.update(event.streams)
                self._feed.connected(fresh, now_s, outputs)
            case _:
                self._delivering.subtract(event.streams)
                gone = [stream for stream in event.streams if self._delivering[stream] <= 0]
                for stream in gone:
                    del self._delivering[stream]
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
        oldest_s = min((link.heard_s for link, _ in self._links), default=now_s)
        metrics.FEED_AGE.labels(self._outlet.source).set(max(0.0, now_s - oldest_s))
        outputs: list[Output] = []
        self._feed.tick(now_s, None if backlog else self._answered_s(), outputs)
        if outputs:
            await self._carry(outputs, now_s)
        await self._take_shed(now_s)

    def _answered_s(self) -> float | None:
        """Until when all that the venue had sent has come; None while a stream is delivered by no link."""
        known: list[float] = []
        for link, _ in self._links:
            at_s = link.answered_s
            if at_s is not None:
                known.append(at_s)
            elif any(stream not in self._delivering for stream in link.streams.values()):
                return None
        return min(known, default=None)

    async def _take_shed(self, now_s: float) -> None:
        """Say what was shed since the last time, and have it made good."""
        shed: Counter[str] = Counter()
        for link, line in [(link, line) for link, _ in self._links for line in link.lines]:
            if line.connection.shed:
                lost = line.connection.shed.copy()
                line.connection.shed.clear()
                # What was shed was said all the same: its channel is not mute.
                link.liveness.begin(now_s)
                shed += lost
                await self._make_good(line, now_s, with_trades=bool(lost[TRADES]))
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

    async def _make_good(self, line: Line, now_s: float, with_trades: bool) -> None:
        """Frames of a connection were shed: trades are caught up with, books doubted until an update."""
        outputs: list[Output] = []
        streams = [
            stream
            for name in line.delivers
            if (stream := line.streams.get(name)) is not None
            and (stream.channel == "books" or (with_trades and stream.channel in TRADE_CHANNELS))
        ]
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
