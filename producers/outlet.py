"""Carries the outputs of a feed to Kafka, in their order."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from infra import metrics
from infra.clock import Clock
from infra.kafka.dead_letters import DeadLetters
from infra.kafka.publisher import Publisher
from infra.logging import get_logger
from producers.continuity import BETWEEN_RUNS
from producers.events import SystemEvents
from producers.exchange import Control
from producers.feed import Feed, Output, Refusal, Repeat
from producers.positions import Positions
from schemas.identity import ce_id, market_key
from schemas.records import Gap, Quote, TimeMark, Trade
from schemas.rows import encode
from schemas.topics import QUOTES, TRADES

STAGE: Final = "produce"
REFUSAL_EVENT_EVERY_S: Final = 60.0
"""Every refusal is a dead letter; people are told of each reason this often."""

_Message = tuple[bytes | None, bytes | None]

logger = get_logger(__name__)


class Outlet:
    """Publishes trades, quotes, gaps and marks of one source, and what must be known about them.

    Args:
        publisher: Writes the records.
        venue: Venue of the source.
        source: Stable name of the shard.
        partitions: Partitions of the market topics: a mark goes to each.
        quotes: Whether quotes are fed: marks go to their topic as well.
        clock: For the times of events.
    """

    def __init__(
        self, publisher: Publisher, venue: str, source: str, partitions: int, quotes: bool, clock: Clock
    ) -> None:
        self._publisher = publisher
        self._venue = venue
        self._partitions = partitions
        self._topics = [TRADES.name, QUOTES.name] if quotes else [TRADES.name]
        self._positions = Positions(publisher, venue, source, partitions)
        self._dead_letters = DeadLetters(publisher, STAGE)
        self.events = SystemEvents(publisher, source, clock)
        self._clock = clock
        self._keys: dict[str, bytes] = {}
        self._trades: list[_Message] = []
        self._quotes: list[_Message] = []
        self._told: dict[str, float] = {}
        self.counts: Counter[str] = Counter()
        """Outputs carried since the start, by the name of their type."""

    async def carry(self, outputs: Sequence[Output], feed: Feed, at_s: float) -> list[Control]:
        """Hand outputs to Kafka; returns those that are about the connection.

        Args:
            outputs: In order; where the last one is a mark, `feed` stands exactly there.
            feed: Where the outputs come from.
            at_s: Monotonic time, s.

        Raises:
            PublishError: Kafka refused a record for good.
        """
        controls: list[Control] = []
        seen = Counter(type(output).__name__ for output in outputs)
        repeated: Counter[str] = Counter()
        for output in outputs:
            if isinstance(output, Trade):
                self._trades.append((self._key(output.symbol), encode(output)))
            elif isinstance(output, Quote):
                self._quotes.append((self._key(output.symbol), encode(output)))
            elif isinstance(output, TimeMark):
                await self._flush_records()
                await self._mark(output, feed if output is outputs[-1] else None, at_s)
            elif isinstance(output, Gap):
                await self._flush_records()
                await self._gap(output)
            elif isinstance(output, Refusal):
                await self._refuse(output, at_s)
            elif isinstance(output, Control):
                controls.append(output)
            elif isinstance(output, Repeat):
                repeated[type(output.record).__name__] += 1
        await self._flush_records()
        self._count(seen, repeated)
        return controls

    async def settle(self) -> None:
        """Do what is due now and then: acknowledgements, positions; call a few times a second.

        Raises:
            PublishError: Kafka refused a record for good.
        """
        self._publisher.poll()
        self._publisher.raise_if_failed()
        await self._positions.write()

    async def finish(self, timeout_s: float) -> None:
        """Wait until everything is acknowledged, positions included.

        Raises:
            UnavailableError: The broker has not acknowledged it within `timeout_s` seconds.
            PublishError: Kafka refused a record for good.
        """
        await self._publisher.flush(timeout_s)
        await self._positions.write()
        await self._publisher.flush(timeout_s)

    async def _flush_records(self) -> None:
        if self._trades:
            trades, self._trades = self._trades, []
            await self._publisher.publish_batch(TRADES.name, trades, Trade.__name__)
        if self._quotes:
            quotes, self._quotes = self._quotes, []
            await self._publisher.publish_batch(QUOTES.name, quotes, Quote.__name__)

    async def _mark(self, mark: TimeMark, feed: Feed | None, at_s: float) -> None:
        standing = feed.positions if feed is not None and self._positions.is_due(mark, at_s) else None
        value = encode(mark)
        for topic in self._topics:
            known: Any = None
            if standing is not None:
                known = self._positions.begin(topic, mark, standing[0 if topic == TRADES.name else 1])
            for partition in range(self._partitions):
                await self._publisher.publish(
                    topic, value, partition=partition, on_acknowledged=known, kind=TimeMark.__name__
                )

    async def _gap(self, gap: Gap) -> None:
        metrics.GAPS.labels(self._venue).inc()
        await self._publisher.publish(TRADES.name, gap, key=self._key(gap.symbol))
        between_runs = gap.reason.startswith(BETWEEN_RUNS)
        ids = {"first_sequence": gap.first_sequence, "last_sequence": gap.last_sequence}
        tell = logger.info if between_runs else logger.warning
        tell("trades are missing", symbol=gap.symbol, reason=gap.reason, **ids)
        await self.events.report(
            "gap",
            "info" if between_runs else "warning",
            f"{gap.symbol}: {gap.reason}",
            event_id=ce_id(gap),
            symbol=gap.symbol,
            **ids,
        )

    async def _refuse(self, refusal: Refusal, at_s: float) -> None:
        error = refusal.error
        topic = QUOTES.name if refusal.is_quote else TRADES.name
        await self._dead_letters.send(topic, -1, -1, None, refusal.frame, error=error)
        if at_s >= self._told.get(error.reason, at_s):
            self._told[error.reason] = at_s + REFUSAL_EVENT_EVERY_S
            logger.warning("a message of the venue was refused", reason=error.reason, error=str(error))
            await self.events.report("provider.error", "warning", str(error), reason=error.reason)

    def _count(self, seen: Counter[str], repeated: Counter[str]) -> None:
        self.counts.update(seen)
        for name, count in (seen + repeated).items():
            if name in (Trade.__name__, Quote.__name__):
                metrics.RECORDS_RECEIVED.labels(self._venue, name).inc(count)
        for name, count in repeated.items():
            metrics.REPEATS_SKIPPED.labels(STAGE, name).inc(count)

    def _key(self, symbol: str) -> bytes:
        key = self._keys.get(symbol)
        if key is None:
            key = self._keys[symbol] = market_key(self._venue, symbol).encode()
        return key
