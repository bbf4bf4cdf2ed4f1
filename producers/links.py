"""All links of a feed: which streams go where, what they have brought, and whether all is delivered."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence

from producers.connect_pace import ConnectPace
from producers.connection import open_connection
from producers.exchange import Exchange, Stream
from producers.line import Line
from producers.link import Link, LinkEvent
from producers.transport import Opening


class Links:
    """Spreads streams over as few links as the venue's limits allow, and keeps the links at work.

    Args:
        exchange: The venue's rules.
        url: Base of the WebSocket endpoint.
        wake: Set when there is something to look at.
        hot_feeds: How many times every stream is subscribed.
        lossless: Whether a slow consumer stops the reading of the sockets.
        opening: Opens the connections.
        pace: Turns to connect.
    """

    def __init__(
        self,
        exchange: Exchange,
        url: str,
        wake: asyncio.Event,
        *,
        hot_feeds: int = 1,
        lossless: bool = False,
        opening: Opening = open_connection,
        pace: ConnectPace | None = None,
    ) -> None:
        self._exchange = exchange
        self._url = url
        self._wake = wake
        self._hot_feeds = hot_feeds
        self._lossless = lossless
        self._opening = opening
        self._pace = pace or ConnectPace(exchange.limits.connections_per_minute)
        self._stop = asyncio.Event()
        self._tasks: dict[Link, asyncio.Task[None]] = {}
        self._delivering: Counter[Stream] = Counter()
        """How many connections deliver a stream; none that is delivered by none."""
        self._failure: BaseException | None = None

    @property
    def all(self) -> list[Link]:
        """The links, in the order in which they were made."""
        return list(self._tasks)

    @property
    def lines(self) -> Iterable[Line]:
        """All connections."""
        return (line for link in self._tasks for line in link.lines)

    @property
    def has_news(self) -> bool:
        """Whether frames or events wait to be taken."""
        return any(link.events or any(line.connection.backlog for line in link.lines) for link in self._tasks)

    @property
    def has_ended(self) -> bool:
        """Whether the venue has ended the feed, and all that came was taken."""
        return bool(self._tasks) and all(
            link.has_ended and not link.lines and not link.events for link in self._tasks
        )

    @property
    def is_connected(self) -> bool:
        """Whether every link has a connection, or needs none any more."""
        return all(link.lines or link.has_ended or link.is_retired for link in self._tasks)

    @property
    def heard_s(self) -> float | None:
        """When the link that has been silent for longest was last heard of, by the monotonic clock, s."""
        return min((link.heard_s for link in self._tasks), default=None)

    @property
    def answered_s(self) -> float | None:
        """Until when all that the venue had sent has come and was looked at, by the monotonic clock, s.

        None while a stream is delivered by no link, or frames wait.
        """
        known: list[float] = []
        for link in self._tasks:
            at_s = link.answered_s
            if at_s is not None:
                known.append(at_s)
            elif any(stream not in self._delivering for stream in link.streams.values()):
                return None
        return min(known, default=None)

    def copies(self, stream: Stream) -> int:
        """How many connections deliver a stream."""
        return self._delivering[stream]

    def raise_if_failed(self) -> None:
        """Raise what a link has failed with: no fault of the venue, but a defect.

        Raises:
            Exception: What it was.
        """
        if self._failure is not None:
            raise self._failure

    def change(self, add: Sequence[Stream], remove: Sequence[Stream]) -> None:
        """Deliver more streams from now on, and others no longer."""
        for link in self._tasks:
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

    def next_line(self) -> tuple[Link, Line, float] | None:
        """The connection whose next portion arrived first of all, and when that of the others did, s."""
        first: tuple[Link, Line] | None = None
        at_s = others_s = float("inf")
        for link in self._tasks:
            for line in link.lines:
                came_s = line.connection.next_at_s
                if came_s is None:
                    continue
                if came_s < at_s:
                    first, at_s, others_s = (link, line), came_s, at_s
                elif came_s < others_s:
                    others_s = came_s
        return None if first is None else (*first, others_s)

    def next_event(self) -> LinkEvent | None:
        """The earliest of the events that were not taken; None without one."""
        waiting = [link for link in self._tasks if link.events]
        if not waiting:
            return None
        return min(waiting, key=lambda link: link.events[0].at_s).events.pop(0)

    def count(self, event: LinkEvent) -> list[Stream]:
        """Take note of an event; returns the streams that are delivered now and were not, or the reverse."""
        if event.change == "accepted":
            fresh = [stream for stream in event.streams if stream not in self._delivering]
            self._delivering.update(event.streams)
            return fresh
        if event.change not in ("closed", "ended"):
            return []
        self._delivering.subtract(event.streams)
        gone = [stream for stream in event.streams if self._delivering[stream] <= 0]
        for stream in gone:
            del self._delivering[stream]
        return gone

    def pardon(self, line: Line, at_s: float) -> None:
        """Frames of a connection were shed: what they would have said is no silence of the venue."""
        for link in self._tasks:
            if line in link.lines:
                link.liveness.begin(at_s)

    def forget_retired(self) -> None:
        """Let go of links that have nothing to deliver any more and are closed."""
        for link in [link for link, task in self._tasks.items() if link.is_retired and task.done()]:
            if not link.events:
                del self._tasks[link]

    async def stop(self) -> None:
        """Close all connections."""
        self._stop.set()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _place(self, path: str, streams: Sequence[Stream], copy: int) -> None:
        """Give streams to links with room, and to new ones; the copies of a stream go to different links."""
        left = list(streams)
        for link in self._tasks:
            if link.path != path or link.copy != copy or link.has_ended or link.is_retired:
                continue
            room = max(link.room, 0)
            taken, left = left[:room], left[room:]
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
            task.add_done_callback(self._done)
            self._tasks[link] = task

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and self._failure is None:
            self._failure = task.exception()
        self._wake.set()
