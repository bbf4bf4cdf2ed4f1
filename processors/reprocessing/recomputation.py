"""Derived topics made right after a bug was mended: recompute from the log, write what differs.

For each partition: all its trades are folded anew, and the candles from `since` on are compared with those of
the topic; what differs is written as the next revision. Then indicators and rules are run over the candles as
they should have been, and their values and signals likewise. Tables follow, as sinks keep the newest revision
of each key. In the end the workers' checkpoints are those of the recomputation: a worker that starts goes on
from there.

No worker may run meanwhile. What the trades topic does not hold any more stays as it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Protocol, TypeVar

from faust.types import TP

from infra.kafka.log_scan import scan
from infra.kafka.record_batches import RawRecords
from infra.settings import KafkaSettings
from processors.reprocessing.corrections import Corrections, correct, key_of, newest
from processors.series.book import SeriesBook
from schemas import rows
from schemas.errors import DecodeError
from schemas.identity import market_key
from schemas.records import Candle, IndicatorValue, Record, Signal
from schemas.topics import CANDLES, INDICATORS, SIGNALS, TRADES

Bounds = Mapping[tuple[str, int], tuple[int, int]]
"""First offset and end offset of each partition of each topic."""

R = TypeVar("R", bound=Record)
D = TypeVar("D", Candle, IndicatorValue)


class TradeFold(Protocol):
    """Candles of one partition from its trades."""

    async def fold(self, tp: TP, records: RawRecords) -> Iterable[Candle]:
        """Candles that the marks among these records closed; revisions follow what they revise."""

    def renumber(self, candles: Iterable[Candle]) -> None:
        """Take note of the revisions in the topic, for those candles that can still be revised."""


class Output(Protocol):
    """What is needed of `infra.kafka.publisher.Publisher`."""

    async def publish(
        self, topic: str, record: Record, key: str | bytes | None = None, partition: int | None = None
    ) -> None:
        """Hand over a record."""


@dataclass(slots=True)
class Totals:
    """What a recomputation has done.

    Attributes:
        trades: Records of the trades topic that were read.
        candles, values, signals: Written.
        missing: Of those candles and values, what had not been there at all.
        equal: Candles and values that were right.
        kept: Complete candles and values that stay, as not all of their trades are in the log any more.
        unfounded: Candles, values and signals of the topics that the recomputation did not give.
    """

    trades: int = 0
    candles: int = 0
    values: int = 0
    signals: int = 0
    missing: int = 0
    equal: int = 0
    kept: int = 0
    unfounded: int = 0

    def add(self, corrections: Corrections[Candle] | Corrections[IndicatorValue]) -> None:
        """Count what a comparison gave, except what it has written."""
        self.missing += corrections.missing
        self.equal += corrections.equal
        self.kept += corrections.kept
        self.unfounded += corrections.unfounded

    def as_dict(self) -> dict[str, int]:
        """By name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


class Recomputation:
    """Makes the derived topics right, a partition at a time.

    Memory: the candles and values from `since` on of one partition.

    Args:
        kafka: Where Kafka is.
        output: Takes what is written; flushed by the caller between the two steps of a partition.
        since: Open times from here on are looked at, microseconds.
        bounds: What the topics hold.
    """

    def __init__(self, kafka: KafkaSettings, output: Output, since: int, bounds: Bounds) -> None:
        self.totals = Totals()
        self._kafka = kafka
        self._output = output
        self._since = since
        self._bounds = bounds

    async def candles(self, partition: int, trades: TradeFold, told: Callable[[int], None]) -> list[Candle]:
        """Correct the candles of a partition.

        Args:
            partition: Its number.
            trades: An empty fold; in the end its state is that after the last trade.
            told: Is told how many records of the trades topic were read, now and then.

        Returns:
            All candles from `since` on as they are now, in the order in which rules look at them.
        """
        computed: list[Candle] = []
        tp = TP(TRADES.name, partition)
        async for records in self._scan(TRADES.name, partition):
            candles = await trades.fold(tp, records)
            computed += [candle for candle in candles if candle.open_time >= self._since]
            self.totals.trades += len(records)
            told(len(records))
        stored = newest([each async for each in self._recent(CANDLES.name, partition, Candle)])
        latest = newest(computed).values()
        corrections = correct(latest, stored, lambda candle: not candle.backfilled)
        for candle in corrections.written:
            key = market_key(candle.venue, candle.symbol)
            await self._output.publish(CANDLES.name, candle, key, partition)
        self.totals.add(corrections)
        self.totals.candles += len(corrections.written)
        now = stored | newest(corrections.written)
        trades.renumber(candle for candle in now.values() if not candle.backfilled)
        return sorted(now.values(), key=lambda each: (each.close_time, key_of(each)))

    async def series(self, partition: int, book: SeriesBook, candles: Iterable[Candle]) -> None:
        """Correct indicator values and signals of a partition.

        Args:
            partition: Its number.
            book: An empty one; in the end its state is that after the last candle.
            candles: What `candles` gave.
        """
        async for candle in self._stored(CANDLES.name, partition, Candle):
            if candle.open_time < self._since:
                book.fold(candle)
        values: list[IndicatorValue] = []
        signals: list[Signal] = []
        for candle in candles:
            for record in book.fold(candle):
                if isinstance(record, Signal):
                    signals.append(record)
                else:
                    values.append(record)
        stored = newest([each async for each in self._recent(INDICATORS.name, partition, IndicatorValue)])
        names = {name for choice in book.plan.indicators for name in choice.prototype.names().values()}
        corrections = correct(values, stored, lambda value: value.name in names)
        for value in corrections.written:
            await self._output.publish(
                INDICATORS.name, value, market_key(value.venue, value.symbol), partition
            )
        self.totals.add(corrections)
        self.totals.values += len(corrections.written)
        await self._signals(partition, signals, {choice.prototype.label for choice in book.plan.rules})

    async def _signals(self, partition: int, signals: Iterable[Signal], rules: Collection[str]) -> None:
        known: set[str] = set()
        unfounded: set[str] = set()
        async for signal in self._stored(SIGNALS.name, partition, Signal):
            known.add(signal.id)
            if signal.open_time >= self._since and signal.rule in rules:
                unfounded.add(signal.id)
        for signal in signals:
            unfounded.discard(signal.id)
            if signal.id not in known:
                key = market_key(signal.venue, signal.symbol)
                await self._output.publish(SIGNALS.name, signal, key, partition)
                self.totals.signals += 1
        self.totals.unfounded += len(unfounded)

    async def _recent(self, topic: str, partition: int, kind: type[D]) -> AsyncIterator[D]:
        async for record in self._stored(topic, partition, kind):
            if record.open_time >= self._since:
                yield record

    async def _stored(self, topic: str, partition: int, kind: type[R]) -> AsyncIterator[R]:
        async for records in self._scan(topic, partition):
            for row in range(len(records)):
                try:
                    record = rows.decode(records.value(row))
                except DecodeError:
                    continue  # no worker could use it either: it is in the dead letters
                if isinstance(record, kind):
                    yield record

    def _scan(self, topic: str, partition: int) -> AsyncIterator[RawRecords]:
        return scan(self._kafka, topic, partition, *self._bounds[topic, partition])
