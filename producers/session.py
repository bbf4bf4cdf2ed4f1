"""The I/O of a feed, once for all venues: its links to the venue, what they bring, and what REST answers."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Final, Literal, Protocol, TypeAlias

from infra import metrics, tracing
from infra.logging import get_logger
from producers.connect_pace import ConnectPace
from producers.connection import TRADES, Portion, open_connection
from producers.exchange import Call, Control, Exchange, Stream
from producers.feed import TRADE_CHANNELS, Feed
from producers.line import Line
from producers.link import Link, LinkEvent
from producers.links import Links
from producers.outlet import Outlet
from producers.outputs import Ask, BookGap, Output, Refusal, Repeat
from producers.rest_queue import Answer, Deliver
from producers.traces import FrameTraces
from producers.transport import Opening
from schemas.records import BookUpdate, Gap, TimeMark

TICK_S: Final = 0.1
"""How often acknowledgements, silence and the stop signal are looked at while nothing comes."""

YIELD_S: Final = 0.01
"""How long portions are taken without a turn for others."""

TOGETHER: Final = 256
"""Frames after which what they brought is handed on, at the latest."""

BOOK_WITHIN_S: Final = 5.0
"""A lossless feed stands still for so long, at most, for the snapshot of a book that was asked for, s."""

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
        lossless: Whether a slow Kafka stops the reading of the sockets, instead of shedding. So does a book
            whose snapshot is asked for: then a playback gives the same records in one order at any speed.
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
        self._received = metrics.feeds.FRAMES_RECEIVED.labels(exchange.venue)
        self._received_bytes = metrics.feeds.BYTES_RECEIVED.labels(exchange.venue)
        self._queue = metrics.stages.QUEUE_DEPTH.labels(f"feed-{outlet.source}")
        self._open_gaps = 0
        tracer = tracing.current()
        self._traces = None if tracer is None else FrameTraces(exchange.venue, tracer)
        self._has_books = "books" in exchange.channels
        self._wake = asyncio.Event()
        self.links = Links(
            exchange,
            url,
            self._wake,
            hot_feeds=hot_feeds,
            lossless=lossless,
            opening=opening,
            pace=pace,
        )
        self._lossless = lossless
        self._answers: deque[Answer] = deque()
        self._books_asked_s: dict[Call, float] = {}
        """Snapshots that a lossless feed stands still for, and since when."""
        self._shed: Counter[str] = Counter()
        self._shed_told_s = 0.0
        self._ticked_s = 0.0
        self._yielded_s = 0.0

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
            while not stop.is_set() and not self.links.has_ended:
                await self._turn()
            if not stop.is_set():
                await self._finish_waiting(stop)
        finally:
            stopping.cancel()
            self._show_nothing()
            await self.links.stop()
        self.links.raise_if_failed()
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
        self.links.change(add, remove)

    async def _turn(self) -> None:
        """Take what has come, then look at what is due.

        Raises:
            Exception: What a link has failed with.
        """
        self.links.raise_if_failed()
        found = None if self._stands_still else self.links.next_line()
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

    @property
    def _stands_still(self) -> bool:
        """Whether no frames are taken until a snapshot comes."""
        if not self._books_asked_s:
            return False
        since_s = time.monotonic() - BOOK_WITHIN_S
        return any(asked_s > since_s for asked_s in self._books_asked_s.values())

    async def _rest(self) -> None:
        self._wake.clear()
        if self._answers or (self.links.has_news and not self._stands_still):
            return
        timer = asyncio.get_running_loop().call_later(TICK_S, self._wake.set)
        await self._wake.wait()
        timer.cancel()

    async def _take(self, link: Link, line: Line, others_s: float) -> None:
        """Take what arrived on a connection before anything of the others; small portions go on together."""
        outputs: list[Output] = []
        heard: Counter[type] = Counter()
        connection = line.connection
        frames, size, at_s = 0, 0, -float("inf")
        while frames < TOGETHER and (came_s := connection.next_at_s) is not None and came_s <= others_s:
            portion: Portion = connection.take()
            frames += len(portion.frames)
            size += portion.size
            at_s = portion.at_s
            outputs = await self._read(line, portion, outputs, heard)
        self._received.inc(frames)
        self._received_bytes.inc(size)
        if outputs:
            heard.update(map(_kind, outputs))
            await self._carry(outputs, at_s, line)
        link.heard(line, {kind.__name__: count for kind, count in heard.items() if kind not in NO_DATA}, at_s)

    async def _read(
        self, line: Line, portion: Portion, outputs: list[Output], heard: Counter[type]
    ) -> list[Output]:
        """Feed the frames of a portion; returns the outputs that are still to be carried."""
        receive_time, at_s = portion.receive_time, portion.at_s
        taking = self._feed.take
        takes = repeat(taking) if self._traces is None else self._traces.takes(portion, taking)
        self._exchange.talk = line.talk
        count = len(outputs)
        for frame, take in zip(portion.frames, takes, strict=False):
            take(frame, receive_time, at_s, outputs)
            if len(outputs) == count:
                if self._has_books:
                    # Nothing is made of updates alone while their book waits for its snapshot.
                    heard[BookUpdate] += 1
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
        traced = None if self._traces is None else self._traces.outputs()
        for control in await self._outlet.carry(outputs, self._feed, at_s, traced):
            if line is not None:
                line.heed(control)
        for output in outputs:
            if type(output) is Ask:
                if self._lossless and output.call.kind == "book":
                    self._books_asked_s[output.call] = time.monotonic()
                self._desk.submit(output.call, self._answered)

    def _answered(self, answer: Answer) -> None:
        self._answers.append(answer)
        self._wake.set()

    async def _take_answers(self) -> None:
        while self._answers:
            answer = self._answers.popleft()
            self._books_asked_s.pop(answer.call, None)
            outputs: list[Output] = []
            now_s = time.monotonic()
            self._feed.answer(answer.call, answer.body, time.time_ns() // 1_000, now_s, outputs)
            await self._carry(outputs, now_s)

    async def _take_events(self) -> None:
        """Take what has happened to the links, in the order in which it did."""
        while (event := self.links.next_event()) is not None:
            await self._take_event(event)

    async def _take_event(self, event: LinkEvent) -> None:
        now_s = time.monotonic()
        outputs: list[Output] = []
        events, venue = self._outlet.events, self._exchange.venue
        changed = self.links.count(event)
        match event.change:
            case "opened":
                self._desk.retry_now()
                await events.report("provider.connected", "info", event.reason)
            case "refused":
                await events.report("provider.error", "error", event.reason, url=self._url)
            case "accepted":
                self._feed.connected(changed, now_s, outputs)
            case _:
                if event.change == "closed":
                    self._feed.interrupted(changed, now_s, outputs)
                is_quiet = event.change == "ended" or event.is_planned
                severity: Literal["info", "warning"] = "info" if is_quiet else "warning"
                await events.report("provider.disconnected", severity, f"disconnected: {event.reason}")
                if not is_quiet:
                    metrics.feeds.RECONNECTS.labels(venue).inc()
        if outputs:
            await self._carry(outputs, now_s)

    async def _tick(self, now_s: float) -> None:
        await self._outlet.settle(now_s)
        backlog = sum(line.connection.backlog for line in self.links.lines)
        metrics.feeds.BACKLOG.labels(self._outlet.source).set(backlog)
        self._queue.set(backlog)
        self._show_gaps(self._feed.open_gaps)
        heard_s = self.links.heard_s
        age_s = 0.0 if heard_s is None else max(0.0, now_s - heard_s)
        metrics.feeds.FEED_AGE.labels(self._outlet.source).set(age_s)
        outputs: list[Output] = []
        self._feed.tick(now_s, None if backlog else self.links.answered_s, outputs)
        if outputs:
            await self._carry(outputs, now_s)
        await self._take_shed(now_s)
        if self._stands_still:
            # A playback waits with us: its silence is our own.
            for line in self.links.lines:
                self.links.pardon(line, now_s)
        self.links.forget_retired()

    def _show_gaps(self, count: int) -> None:
        """Bring the gauge up to date, which other shards of the venue share."""
        metrics.feeds.GAPS_OPEN.labels(self._exchange.venue).inc(count - self._open_gaps)
        self._open_gaps = count

    def _show_nothing(self) -> None:
        """End what is shown of this session: its last figures would stand for ever."""
        self._show_gaps(0)
        source = self._outlet.source
        metrics.feeds.FEED_AGE.remove(source)
        metrics.feeds.BACKLOG.remove(source)
        self._queue.set(0)

    async def _take_shed(self, now_s: float) -> None:
        """Say what was shed since the last time, and have it made good."""
        shed: Counter[str] = Counter()
        for line in list(self.links.lines):
            if line.connection.shed:
                lost = line.connection.shed.copy()
                line.connection.shed.clear()
                # What was shed was said all the same: its channel is not mute.
                self.links.pardon(line, now_s)
                shed += lost
                await self._make_good(line, now_s, with_trades=bool(lost[TRADES]))
        for kind, count in shed.items():
            metrics.feeds.FRAMES_SHED.labels(self._outlet.source, kind).inc(count)
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


def _kind(output: Output) -> type:
    return type(output.record) if isinstance(output, Repeat) else type(output)
