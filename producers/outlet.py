"""Carries the outputs of a feed to Kafka, in their order."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from infra import metrics, tracing
from infra.clock import Clock
from infra.kafka.dead_letters import DeadLetters
from infra.kafka.publisher import Publisher, Told
from infra.kafka.tally import Age
from infra.logging import get_logger
from infra.tracing import SpanContext
from producers.continuity import BETWEEN_RUNS
from producers.events import SystemEvents
from producers.exchange import Channel, Control, MarketRecord
from producers.feed import Feed
from producers.outputs import BookGap, Output, Refusal, Repeat
from producers.positions import Positions
from producers.traces import TracedOutputs, publishing
from schemas.identity import ce_id, market_key
from schemas.records import (
    BookUpdate,
    DerivativeTicker,
    ExchangeCandle,
    Gap,
    Liquidation,
    Quote,
    Record,
    Severity,
    Ticker,
    TimeMark,
    Trade,
)
from schemas.rows import encode
from schemas.topics import (
    BOOKS,
    DERIVATIVES,
    EXCHANGE_CANDLES,
    LIQUIDATIONS,
    QUOTES,
    TICKERS,
    TRADES,
    Topic,
)

STAGE: Final = "produce"
REFUSAL_EVENT_EVERY_S: Final = 60.0
"""Every refusal is a dead letter; people are told of each reason this often."""

TOTALS_EVERY_S: Final = 60.0
GAP_EVENTS_MAX: Final = 20
"""Gaps told one by one in each period of `TOTALS_EVERY_S`; of the others people are told the number."""

CHANNEL_TOPICS: Final[dict[Channel, Topic]] = {
    "trades": TRADES,
    "aggregated_trades": TRADES,
    "quotes": QUOTES,
    "books": BOOKS,
    "tickers": TICKERS,
    "candles": EXCHANGE_CANDLES,
    "derivatives": DERIVATIVES,
    "liquidations": LIQUIDATIONS,
}
RECORD_TOPICS: Final[dict[type[Record], Topic]] = {
    Trade: TRADES,
    Quote: QUOTES,
    BookUpdate: BOOKS,
    Ticker: TICKERS,
    ExchangeCandle: EXCHANGE_CANDLES,
    DerivativeTicker: DERIVATIVES,
    Liquidation: LIQUIDATIONS,
}

MARKET_RECORDS: Final = (
    Trade,
    Quote,
    BookUpdate,
    Ticker,
    ExchangeCandle,
    DerivativeTicker,
    Liquidation,
)
_KINDS: Final = frozenset(record.__name__ for record in RECORD_TOPICS)
_Message = tuple[bytes | None, bytes | None]

logger = get_logger(__name__)


def fed_topics(channels: Iterable[Channel]) -> list[Topic]:
    """The topics that these channels go to, that of trades first."""
    found = [CHANNEL_TOPICS[channel] for channel in channels]
    return [topic for topic in RECORD_TOPICS.values() if topic in found]


class Outlet:
    """Publishes the records, gaps and marks of one source, and what must be known about them.

    Args:
        publisher: Writes the records.
        venue: Venue of the source.
        source: Stable name of the shard.
        partitions: Partitions of the market topics: a mark goes to each.
        topics: Topics that are fed: marks go to each of them.
        clock: For the times of events.
    """

    def __init__(
        self,
        publisher: Publisher,
        venue: str,
        source: str,
        partitions: int,
        topics: Sequence[Topic],
        clock: Clock,
    ) -> None:
        self._publisher = publisher
        self._venue = venue
        self.source = source
        self._partitions = partitions
        self._topics = list(topics)
        self._positions = Positions(publisher, venue, source, partitions)
        self._dead_letters = DeadLetters(publisher, STAGE)
        self.events = SystemEvents(publisher, source, clock)
        self._keys: dict[str, bytes] = {}
        self._waiting: dict[type[Record], list[_Message]] = {record: [] for record in RECORD_TOPICS}
        self._batch_records = metrics.stages.BATCH_RECORDS.labels(STAGE)
        self._oldest: Trade | None = None
        """First of the trades that wait."""
        self._tracer = tracing.current()
        self._told_of: dict[type[Record], dict[int, Told]] = {}
        """Headers of the records that wait, by their place; of those that are traced."""
        self._told: dict[str, float] = {}
        self._gaps_told = self._gaps_untold = 0
        self._totals_at_s: float | None = None
        self._reported: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        """Outputs carried since the start, by the name of their type."""

    async def carry(
        self, outputs: Sequence[Output], feed: Feed, at_s: float, traced: TracedOutputs | None = None
    ) -> list[Control]:
        """Hand outputs to Kafka; returns those that are about the connection.

        Args:
            outputs: In order; where the last one is a mark, `feed` stands exactly there. What is asked is
                left to the session.
            feed: Where the outputs come from.
            at_s: Monotonic time, s.
            traced: Those that are traced.

        Raises:
            PublishError: Kafka refused a record for good.
        """
        controls: list[Control] = []
        seen = Counter(type(output).__name__ for output in outputs)
        repeated: Counter[str] = Counter()
        newest: Trade | None = None
        waiting = self._waiting
        for output in outputs:
            if isinstance(output, MARKET_RECORDS):
                waiting[type(output)].append((self._key(output.symbol), encode(output)))
                if traced and id(output) in traced:
                    self._trace(output, traced[id(output)][1])
                if isinstance(output, Trade):
                    newest = output
                    if self._oldest is None:
                        self._oldest = output
            elif isinstance(output, TimeMark):
                await self._flush_records()
                await self._mark(output, feed if output is outputs[-1] else None, at_s)
            elif isinstance(output, Gap):
                await self._flush_records()
                await self._gap(TRADES, output, at_s)
            elif isinstance(output, BookGap):
                await self._flush_records()
                await self._book_gap(output, at_s)
            elif isinstance(output, Refusal):
                await self._refuse(output, at_s)
            elif isinstance(output, Control):
                controls.append(output)
            elif isinstance(output, Repeat):
                repeated[type(output.record).__name__] += 1
        await self._flush_records()
        self._count(seen, repeated, newest)
        return controls

    def _trace(self, record: MarketRecord, parent: SpanContext) -> None:
        """Have the record that was queued last published with its trace."""
        if self._tracer is not None:
            number = len(self._waiting[type(record)]) - 1
            topic = RECORD_TOPICS[type(record)]
            told = publishing(self._tracer, parent, topic.name, record.symbol)
            self._told_of.setdefault(type(record), {})[number] = told

    async def settle(self, at_s: float) -> None:
        """Do what is due now and then: acknowledgements, positions, totals; call a few times a second.

        Raises:
            PublishError: Kafka refused a record for good.
        """
        self._publisher.poll()
        self._publisher.raise_if_failed()
        await self._positions.write()
        if self._totals_at_s is None:
            self._totals_at_s = at_s + TOTALS_EVERY_S
        elif at_s >= self._totals_at_s:
            self._totals_at_s = at_s + TOTALS_EVERY_S
            await self._report_totals()

    async def finish(self, timeout_s: float) -> None:
        """Wait until everything is acknowledged, positions included.

        Raises:
            UnavailableError: The broker has not acknowledged it within `timeout_s` seconds.
            PublishError: Kafka refused a record for good.
        """
        await self._report_totals()
        await self._publisher.flush(timeout_s)
        await self._positions.write()
        await self._publisher.flush(timeout_s)

    async def _flush_records(self) -> None:
        oldest, self._oldest = self._oldest, None
        age: Age | None = None
        if oldest is not None and not oldest.backfilled:
            age = Age("publish", oldest.event_time)
            _observe_receipt(oldest)
        for record, messages in self._waiting.items():
            if messages:
                self._waiting[record] = []
                topic = RECORD_TOPICS[record]
                self._batch_records.observe(len(messages))
                await self._publisher.publish_batch(
                    topic.name,
                    messages,
                    record.__name__,
                    age=age if record is Trade else None,
                    told=self._told_of.pop(record, None),
                )

    async def _mark(self, mark: TimeMark, feed: Feed | None, at_s: float) -> None:
        standing = feed.positions if feed is not None and self._positions.is_due(mark, at_s) else None
        value = encode(mark)
        for topic in self._topics:
            known: Any = None
            if standing is not None and topic in (TRADES, QUOTES):
                known = self._positions.begin(topic.name, mark, standing[0 if topic is TRADES else 1])
            # A compacted topic refuses records without a key; there the newest mark of a source is enough.
            key = self.source if topic.cleanup == "compact" else None
            for partition in range(self._partitions):
                await self._publisher.publish(
                    topic.name,
                    value,
                    key=key,
                    partition=partition,
                    on_acknowledged=known,
                    kind=TimeMark.__name__,
                )

    async def _gap(self, topic: Topic, gap: Gap, at_s: float) -> None:
        await self._publisher.publish(topic.name, gap, key=self._key(gap.symbol))
        if gap.status == "opened":
            return
        metrics.feeds.GAPS.labels(self._venue).inc()
        if gap.status == "given_up":
            metrics.feeds.GAPS_GIVEN_UP.labels(self._venue).inc()
        self._gaps_told += 1
        if self._gaps_told > GAP_EVENTS_MAX:
            self._gaps_untold += 1
            return
        is_harmless = gap.status == "filled" or gap.reason.startswith(BETWEEN_RUNS)
        severity: Severity = "info" if is_harmless else "warning"
        ids = {"first_sequence": gap.first_sequence, "last_sequence": gap.last_sequence}
        tell = logger.info if is_harmless else logger.warning
        outcome = "were missing and have come" if gap.status == "filled" else "are missing"
        tell(f"trades {outcome}", symbol=gap.symbol, reason=gap.reason, **ids)
        await self.events.report(
            "gap",
            severity,
            f"{gap.symbol}: trades {outcome}: {gap.reason}",
            event_id=ce_id(gap),
            symbol=gap.symbol,
            status=gap.status,
            **ids,
        )

    async def _book_gap(self, output: BookGap, at_s: float) -> None:
        gap = output.gap
        await self._publisher.publish(BOOKS.name, gap, key=self._key(gap.symbol))
        if gap.status == "opened":
            logger.info("a book is not to be trusted", symbol=gap.symbol, reason=gap.reason)
        elif output.is_resync:
            metrics.feeds.RESYNCS.labels(self._venue).inc()
            await self.events.report(
                "resync", "info", f"{gap.symbol}: book built anew: {gap.reason}", symbol=gap.symbol
            )

    async def _refuse(self, refusal: Refusal, at_s: float) -> None:
        error = refusal.error
        topic = CHANNEL_TOPICS[refusal.channel]
        await self._dead_letters.send(topic.name, -1, -1, None, refusal.frame, error=error)
        if at_s >= self._told.get(error.reason, at_s):
            self._told[error.reason] = at_s + REFUSAL_EVENT_EVERY_S
            logger.warning("a message of the venue was refused", reason=error.reason, error=str(error))
            await self.events.report("provider.error", "warning", str(error), reason=error.reason)

    async def _report_totals(self) -> None:
        """Tell people what came and what became of it since the last time."""
        fresh = self.counts - self._reported
        self._reported = self.counts.copy()
        if self._gaps_untold:
            await self.events.report("gap", "warning", f"{self._gaps_untold} more gaps, not told one by one")
        self._gaps_told = self._gaps_untold = 0
        if not fresh:
            return
        refused = fresh[Refusal.__name__]
        published = {name: fresh[name] for name in sorted(_KINDS) if fresh[name]}
        repeats = fresh[Repeat.__name__]
        received = sum(published.values()) + repeats + refused
        await self.events.report(
            "data.received", "info", f"{received} records received", records=received, refused=refused
        )
        await self.events.report(
            "data.transformed",
            "info",
            f"{sum(published.values())} records published",
            None,
            repeats=repeats,
            **published,
        )

    def _count(self, seen: Counter[str], repeated: Counter[str], newest: Trade | None) -> None:
        self.counts.update(seen)
        for name, count in (seen + repeated).items():
            if name in _KINDS:
                metrics.feeds.RECORDS_RECEIVED.labels(self._venue, name).inc(count)
        for name, count in repeated.items():
            metrics.stages.REPEATS_SKIPPED.labels(STAGE, name).inc(count)
        if newest is not None and not newest.backfilled:
            skew_s = (newest.receive_time - newest.event_time) / 1_000_000
            metrics.feeds.EVENT_SKEW.labels(self._venue).set(skew_s)
            _observe_receipt(newest)

    def _key(self, symbol: str) -> bytes:
        key = self._keys.get(symbol)
        if key is None:
            key = self._keys[symbol] = market_key(self._venue, symbol).encode()
        return key


def _observe_receipt(trade: Trade) -> None:
    """Count the age of a trade at its receipt: of those that come together, the oldest and the newest."""
    age_s = (trade.receive_time - trade.event_time) / 1_000_000
    metrics.stages.EVENT_AGE.labels("receive").observe(max(age_s, 0.0))
