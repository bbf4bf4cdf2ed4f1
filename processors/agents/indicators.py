"""Agent 2: closed candles to indicator values and signals.

Candles and time marks in; values, signals and the same marks out.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict

from faust.types import TP

from infra import metrics, tracing
from infra.kafka.dead_letters import DeadLetters
from infra.kafka.outgoing_records import OutgoingRecords
from infra.kafka.publisher import Headers, Publisher
from infra.kafka.record_batches import RawRecords
from infra.kafka.record_headers import find_header
from infra.kafka.tally import Age
from infra.logging import get_logger
from infra.settings import Settings
from infra.tracing import CORRELATION, HEADER, bound
from processors.agents.refusals import refuse_undecoded
from processors.agents.signal_headers import signal_headers
from processors.agents.venue_prices import VenuePrices
from processors.agents.writers import Message, indicator_bytes
from processors.series.book import SeriesBook
from processors.series.plan import SeriesPlan
from processors.spreads.plan import SpreadPlan
from schemas import rows
from schemas.columns import ColumnReader, Columns
from schemas.identity import ce_id, market_key
from schemas.records import Candle, Signal, TimeMark
from schemas.registry import ENTRIES
from schemas.topics import CANDLES, INDICATORS, SIGNALS

_TAKEN = (Candle, TimeMark)

log = get_logger(__name__)


class IndicatorStep:
    """Folds the candles of a partition into indicator values and signals; see `partitions.Step`.

    Args:
        settings: Which indicators and rules, and where.
        publisher: For values, signals, marks and dead letters.
    """

    name = "indicators"
    source = CANDLES

    def __init__(self, settings: Settings, publisher: Publisher) -> None:
        self._plan = SeriesPlan.of_settings(settings.processors)
        self._told: set[str] = set()
        self._tracer = tracing.current()
        self.parameters = self._plan.digest
        self._publisher = publisher
        self._letters = DeadLetters(publisher, f"process-{self.name}")
        self._prices = VenuePrices(SpreadPlan.of(settings), publisher)
        self._reader = ColumnReader(
            [entry for entry in ENTRIES if entry.record in _TAKEN], interned=("venue", "symbol", "interval")
        )

    @property
    def topic(self) -> str:
        """Name of the topic that is read."""
        return self.source.name

    def create(self, tp: TP) -> SeriesBook:
        """The state before the first record."""
        return SeriesBook(self._plan, self._report)

    def _report(self, label: str, candle: Candle, error: Exception) -> None:
        """Say once of each indicator and rule that it has raised: one that fails does not hold up others."""
        metrics.processors.SERIES_FAILURES.labels(label).inc()
        if label not in self._told:
            self._told.add(label)
            log.error(
                "an indicator or a rule has failed: no value, or no decision, at such candles",
                failed=label,
                candle=ce_id(candle),
                exc_info=error,
            )

    async def fold(self, state: SeriesBook, tp: TP, records: RawRecords) -> bool:
        """Take records in; publish what follows from each candle, and each mark after it."""
        columns = self._reader.read(records.data, records.value_start, records.value_length)
        await refuse_undecoded(self._letters, tp, records, columns)
        candles = dict(zip(columns.rows(Candle).tolist(), _candles(columns), strict=True))
        marks = set(columns.rows(TimeMark).tolist())
        traced = {} if self._tracer is None else self._tracer.sampled(records).contexts()
        correlations = find_header(records, CORRELATION.encode()).by_row()
        headers_of: dict[int, list[tuple[str, bytes]]] = {}
        values: list[Message] = []
        signals: list[tuple[Message, Headers | None, Age | None]] = []
        counted = asdict(state.counts)
        for row in sorted([*candles, *marks]):
            candle = candles.get(row)
            if candle is None:
                mark: Message = (records.key(row), columns.value(row))
                values.append(mark)
                signals.append((mark, None, None))
                continue
            key = market_key(candle.venue, candle.symbol).encode()
            span = traced[row].child(self.name) if row in traced else None
            with contextlib.nullcontext() if span is None else bound(span):
                derived = state.fold(candle)
            for record in derived:
                if isinstance(record, Signal):
                    headers = signal_headers(record, span, correlations.get(row))
                    age = Age("signal", record.event_time)
                    signals.append(((key, rows.encode(record)), headers, age))
                    continue
                if span is not None:
                    headers_of[len(values)] = [(HEADER, span.traceparent.encode())]
                values.append((key, indicator_bytes(record)))
        for outcome, count in asdict(state.counts).items():
            metrics.processors.SERIES_CANDLES.labels(outcome).inc(count - counted[outcome])
        for (key_bytes, value), told, since in signals:
            await self._publisher.publish(SIGNALS.name, value, key_bytes, tp.partition, told, age=since)
        outgoing = OutgoingRecords.of(values)
        if headers_of:
            outgoing = outgoing.with_headers(headers_of)
        await self._publisher.publish_columns(INDICATORS.name, tp.partition, outgoing, kind="IndicatorValue")
        await self._prices.write(columns, tp.partition)
        finals = columns.column(TimeMark, "final")
        return bool(finals.any())


def _candles(columns: Columns) -> list[Candle]:
    """The candles of a batch, in order."""
    texts = []
    for name in ("venue", "symbol", "interval"):
        known = columns.reader.dictionaries[name].keys
        texts.append([known[code] for code in columns.dictionary(Candle, name).tolist()])
    plain = [
        columns.column(Candle, name).tolist()
        for name in (
            "open_time",
            "close_time",
            "open",
            "high",
            "low",
            "close",
            "volume",
            "quote_volume",
            "taker_buy_volume",
            "trade_count",
        )
    ]
    sequences = [
        [number if known else None for number, known in zip(numbers, valid, strict=True)]
        for numbers, valid in (
            (columns.column(Candle, name).tolist(), columns.valid(Candle, name).tolist())
            for name in ("first_sequence", "last_sequence")
        )
    ]
    last = [columns.column(Candle, name).tolist() for name in ("revision", "complete")]
    averages = [
        average if known else None
        for average, known in zip(
            columns.column(Candle, "vwap").tolist(), columns.valid(Candle, "vwap").tolist(), strict=True
        )
    ]
    last += [averages, columns.column(Candle, "backfilled").tolist()]
    return [Candle(*fields) for fields in zip(*texts, *plain, *sequences, *last, strict=True)]
