"""What a run has stored, read from the database: exact, whatever was killed meanwhile."""

import datetime
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from infra.settings import Settings
from kandle.up.database import Database
from processors.flows.plan import FlowPlan
from schemas.branches import BRANCHES, Branch
from schemas.topics import (
    BARS,
    BOOK_SAMPLES,
    BOOKS,
    CANDLES,
    DERIVATIVES,
    EXCHANGE_CANDLES,
    INDICATORS,
    LIQUIDATIONS,
    QUOTES,
    SIGNALS,
    TICKERS,
    TRADES,
    Topic,
)

TIMESCALE = "timescale"
NOTIFICATIONS = "notifications"
STORED_CHANNELS: dict[str, Topic] = {
    "tickers": TICKERS,
    "candles": EXCHANGE_CANDLES,
    "derivatives": DERIVATIVES,
    "liquidations": LIQUIDATIONS,
}
"""Channels whose records go from the producers straight to the tables."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Rows that were new, by topic, since the database was made; and messages that were sent."""

    rows: dict[str, int]
    notifications: int

    def since(self, earlier: "Stored") -> "Stored":
        """What came after `earlier`."""
        rows = {name: count - earlier.rows.get(name, 0) for name, count in self.rows.items()}
        return Stored(rows, self.notifications - earlier.notifications)

    def of(self, topic: Topic) -> int:
        """Rows of one topic."""
        return self.rows.get(topic.name, 0)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the database knows of a venue and some of its ids.

    Attributes:
        watermark: Newest time mark of the venue, µs; None before the first.
        symbols: By symbol, whether each of the ids asked for is stored.
    """

    watermark: int | None
    symbols: dict[str, tuple[bool, ...]]


@dataclass(frozen=True, slots=True)
class Stream:
    """What must have drained: one way by which records come to a sink.

    Attributes:
        sink: Name of the sink.
        topic: Where it reads them.
        branch: The branch of the flow that forwards its marks there; None: the main path.
    """

    sink: str
    topic: Topic
    branch: Branch | None = None


class Tally:
    """Questions to the sink's own bookkeeping. Each raises what `Database.rows` raises.

    Args:
        database: Where to ask.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def stored(self) -> Stored:
        """Totals up to now."""
        found = await self._database.rows(
            "SELECT o.sink, t.name, sum(o.rows_stored)::bigint FROM kandle.offsets o"
            " JOIN kandle.topics t ON t.id = o.topic_id GROUP BY 1, 2"
        )
        rows = {name: count for sink, name, count in found if sink == TIMESCALE}
        return Stored(rows, sum(count for sink, _, count in found if sink == NOTIFICATIONS))

    async def now(self) -> datetime.datetime:
        """The clock of the database."""
        ((moment,),) = await self._database.rows("SELECT now()")
        found: datetime.datetime = moment
        return found

    async def drained(
        self,
        instance: str,
        expected: Iterable[Stream],
        partitions: int,
        since: datetime.datetime,
    ) -> bool:
        """Whether every sink has passed this run's final mark in every partition, and every channel is done.

        Args:
            instance: The run that the marks must name.
            expected: Every stream that the run feeds.
            partitions: Of every topic.
            since: Messages queued earlier, by the clock of the database, are not waited for.
        """
        marks = await self._database.rows(
            "SELECT m.sink, t.name, substring(m.source FROM %s), count(DISTINCT m.partition)"
            " FROM kandle.marks m JOIN kandle.topics t ON t.id = m.topic_id"
            " WHERE m.final AND m.instance = %s GROUP BY 1, 2, 3",
            (f"/({'|'.join(BRANCHES)})$", instance),
        )
        passed = {(sink, name, branch): count for sink, name, branch, count in marks}
        if any(passed.get((each.sink, each.topic.name, each.branch), 0) < partitions for each in expected):
            return False
        ((waits,),) = await self._database.rows(
            "SELECT EXISTS (SELECT FROM kandle.notifications WHERE outcome = 'pending' AND queued >= %s)",
            (since,),
        )
        return not waits

    async def seen(self, venue: str, ids: dict[str, tuple[int, ...]]) -> Seen:
        """The venue's watermark in the trades, and which of these ids are stored."""
        ((watermark,),) = await self._database.rows(
            "SELECT (extract(epoch FROM max(m.time)) * 1000000)::bigint FROM kandle.marks m"
            " JOIN kandle.topics t ON t.id = m.topic_id WHERE t.name = %s AND m.venue = %s",
            (TRADES.name, venue),
        )
        found = {
            symbol: tuple([await self._is_stored(venue, symbol, number) for number in numbers])
            for symbol, numbers in ids.items()
        }
        return Seen(watermark, found)

    async def _is_stored(self, venue: str, symbol: str, number: int) -> bool:
        ((stored,),) = await self._database.rows(
            "SELECT coalesce(bool_or(s.ids @> %s::bigint), false) FROM kandle.seen_ids s"
            " JOIN kandle.instruments i ON i.id = s.instrument_id WHERE i.venue = %s AND i.symbol = %s",
            (number, venue, symbol),
        )
        return bool(stored)


def fed_topics(settings: Settings) -> list[Topic]:
    """The topics that the producers of a run with these settings write."""
    channels = settings.producer.channels
    fed = [TRADES]
    fed += [topic for channel, topic in (("quotes", QUOTES), ("books", BOOKS)) if channel in channels]
    return fed + [topic for channel, topic in STORED_CHANNELS.items() if channel in channels]


def expected_streams(settings: Settings, fed: Collection[Topic] | None = None) -> list[Stream]:
    """Every stream that a run with these settings feeds, of the sinks that keep their marks in the database.

    Args:
        settings: What is computed, and what is stored.
        fed: The topics that are fed; None: as the producers of the settings do.

    Raises:
        ConfigurationError: A flow cannot be read.
    """
    processors = settings.processors
    fed = fed_topics(settings) if fed is None else fed
    stored = [TRADES, CANDLES, INDICATORS, SIGNALS] if TRADES in fed else []
    if QUOTES in fed and settings.sink.quotes:
        stored.append(QUOTES)
    stored += [topic for topic in STORED_CHANNELS.values() if topic in fed]
    if processors.bars and TRADES in fed:
        stored.append(BARS)
    streams = [Stream(TIMESCALE, topic) for topic in stored]
    if TRADES in fed:
        streams.append(Stream(NOTIFICATIONS, SIGNALS))
    if QUOTES in fed and FlowPlan.of(processors.flows, QUOTES).choices:
        streams.append(Stream(TIMESCALE, INDICATORS, "quotes"))
    books = FlowPlan.of(processors.flows, BOOKS)
    if BOOKS in fed and books.choices:
        streams.append(Stream(TIMESCALE, INDICATORS, "books"))
        if books.samples_books:
            streams.append(Stream(TIMESCALE, BOOK_SAMPLES))
    if processors.venue_spreads and TRADES in fed:
        streams += [Stream(sink, SIGNALS, "spreads") for sink in (TIMESCALE, NOTIFICATIONS)]
    return [stream for stream in streams if stream.sink in settings.sink.run]
