"""Agent 1: all that is made of trades.

Trades, time marks and gaps in; candles and the same marks out, open candles, the signals of price alerts,
and, where the settings ask for them, bars with the same marks.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np
from faust.types import TP

from infra import metrics, tracing
from infra.kafka.dead_letters import DeadLetters
from infra.kafka.outgoing_records import OutgoingRecords
from infra.kafka.publisher import Publisher
from infra.kafka.record_batches import RawRecords
from infra.metrics.columns import observe_ages
from infra.settings import Settings
from infra.tracing import SampledRecords
from processors.agents.candle_messages import CandleMessages, LiveMessages, with_marks
from processors.agents.candle_traces import CandleTraces, Continued, put_candles, with_traces
from processors.agents.refusals import refuse, refuse_undecoded
from processors.agents.signal_headers import signal_headers
from processors.agents.trade_state import TradeState
from processors.alerts.book import AlertBook, Firing, signal_of
from processors.alerts.reader import AlertReader
from processors.bars.builder import BarBook
from processors.bars.plan import BarPlan
from processors.candles.batches import CandleColumns, Refusal, Refused
from processors.candles.builder import CandleBuilder
from processors.candles.columns import rows_from_columns
from processors.candles.rules import CandleRules
from schemas import rows
from schemas.columns import ColumnReader
from schemas.errors import ValidationError
from schemas.identity import market_key
from schemas.key_table import KeyTable
from schemas.records import Gap, TimeMark, Trade, TradeBar
from schemas.registry import ENTRIES
from schemas.topics import BARS, CANDLES, LIVE_CANDLES, SIGNALS, TRADES

FLUSH_TIMEOUT_S: Final = 60.0

_TAKEN = (Trade, TimeMark, Gap)


class TradeStep:
    """Folds the trades of a partition; see `partitions.Step`.

    Args:
        settings: Intervals, times, open and empty candles, bars.
        publisher: For candles, bars, marks, signals of alerts and dead letters.
    """

    name = "trades"
    source = TRADES

    def __init__(self, settings: Settings, publisher: Publisher) -> None:
        chosen = settings.processors
        self._rules = CandleRules.of_settings(chosen)
        self._plan = BarPlan.of_settings(chosen)
        self.parameters = self._rules.digest + (self._plan.digest if self._plan.specs else "")
        self._publisher = publisher
        self._letters = DeadLetters(publisher, f"process-{self.name}")
        self._reader = ColumnReader([entry for entry in ENTRIES if entry.record in _TAKEN])
        self._keys = KeyTable()
        self._messages: dict[int, CandleMessages] = {}
        self._live: dict[int, LiveMessages] = {}
        self._alerts = AlertReader(settings.kafka)
        self._tracer = tracing.current()
        self._traces: dict[int, CandleTraces] = {}

    @property
    def topic(self) -> str:
        """Name of the topic that is read."""
        return self.source.name

    def create(self, tp: TP) -> TradeState:
        """The state before the first record."""
        self._alerts.expire()
        if self._tracer is not None:
            self._traces[tp.partition] = CandleTraces(self._tracer.candle_every_us)
        self._messages[tp.partition], self._live[tp.partition] = CandleMessages(), LiveMessages()
        bars = BarBook(self._plan) if self._plan.specs else None
        return TradeState(CandleBuilder(self._rules), AlertBook(self._rules.lead), bars)

    async def fold(self, state: TradeState, tp: TP, records: RawRecords) -> bool:
        """Take records in; publish the candles that marks closed, and the marks after them."""
        began_ns = time.time_ns()
        sampled = None if self._tracer is None else self._tracer.sampled(records)
        columns = self._reader.read(records.data, records.value_start, records.value_length)
        key_ids = self._keys.intern(records.data, records.key_start, records.key_length)
        batch = rows_from_columns(columns, self._keys.keys, key_ids, records.offsets)
        state.alerts.learn(await self._alerts.refresh())
        if fired := state.alerts.fold(batch):
            await self._tell(tp, fired, sampled)
        folded = state.candles.fold(batch)
        await refuse_undecoded(self._letters, tp, records, columns)
        for refused in folded.refused:
            await self._refuse(tp, records, refused)
        continued: Continued = {}
        if sampled is not None:
            continued = self._traces[tp.partition].fold(sampled, batch, folded.candles)
        if batch.marks:  # no other record closes a candle
            await self._publish_candles(tp, folded.candles, continued, sorted(batch.marks), records)
        else:
            self._publisher.poll()
        if self._tracer is not None and continued:
            where = CANDLES.name, tp.partition
            put_candles(self._tracer, folded.candles, continued, *where, began_ns)
        if len(folded.live):
            live = self._live[tp.partition].of(folded.live)
            await self._publisher.publish_columns(LIVE_CANDLES.name, tp.partition, live, kind="LiveCandle")
        if state.bars is not None:
            late = state.bars.counts.late
            bars = state.bars.fold(replace(batch, kinds=folded.kinds), folded.admitted)
            metrics.processors.BAR_TRADES_LEFT_OUT.inc(state.bars.counts.late - late)
            await self._publish_bars(tp, bars, sorted(batch.marks), records)
        return any(mark.final for mark in batch.marks.values())

    async def _publish_candles(
        self,
        tp: TP,
        candles: CandleColumns,
        continued: Continued,
        marks: Sequence[int],
        records: RawRecords,
    ) -> None:
        """Publish closed candles, and the marks after what they closed."""
        messages = with_traces(self._messages[tp.partition].of(candles), continued)
        outgoing = with_marks(candles.mark_rows, messages, marks, records)
        ends = candles.ends[candles.revisions == 0]
        observe = partial(observe_ages, metrics.stages.EVENT_AGE.labels("candle"), ends)
        await self._publisher.publish_columns(
            CANDLES.name, tp.partition, outgoing, kind="Candle", on_acknowledged=observe
        )

    async def _publish_bars(
        self, tp: TP, bars: Sequence[tuple[int, TradeBar]], marks: Sequence[int], records: RawRecords
    ) -> None:
        """Publish bars, and the marks after what they closed."""
        derived = OutgoingRecords.of(
            [(market_key(bar.venue, bar.symbol).encode(), rows.encode(bar)) for _, bar in bars]
        )
        mark_rows = np.array([row for row, _ in bars], np.int64)
        outgoing = with_marks(mark_rows, derived, marks, records)
        await self._publisher.publish_columns(BARS.name, tp.partition, outgoing, kind="TradeBar")

    async def _tell(self, tp: TP, fired: Sequence[Firing], sampled: SampledRecords | None) -> None:
        """Publish the signals of alerts and wait until the broker has them: before any mark that follows.

        A final mark tells the sinks that all signals before it are there. It is forwarded by way of the
        candles; signals that were still on their way here could come after it.
        """
        traced = {} if sampled is None else sampled.contexts()
        causes = {sampled.records.value(row): span for row, span in traced.items()} if sampled else {}
        for firing in fired:
            signal, cause = signal_of(firing), causes.get(firing.value)
            key = market_key(signal.venue, signal.symbol)
            headers = signal_headers(signal, cause and cause.child(self.name))
            await self._publisher.publish(SIGNALS.name, signal, key, tp.partition, headers)
        await self._publisher.flush(FLUSH_TIMEOUT_S)

    async def _refuse(self, tp: TP, records: RawRecords, refused: Refused) -> None:
        if refused.refusal is Refusal.TOO_LATE:
            metrics.processors.LATE_TRADES.labels(refused.key.partition(":")[0]).inc()
        elif refused.refusal is Refusal.OTHER_VALUES:
            metrics.processors.CONFLICTING_TRADES.labels(refused.key.partition(":")[0]).inc()
        error = ValidationError(refused.refusal.reason)
        if refused.row >= 0:
            await refuse(self._letters, tp, records, refused.row, error)
            return
        key = refused.key.encode("utf-8", "surrogateescape")
        await self._letters.send(tp.topic, tp.partition, refused.offset, key, refused.value, error=error)
