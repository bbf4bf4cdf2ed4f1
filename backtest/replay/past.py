"""The past in one order: what a replay would publish, record by record."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple

import numpy as np

from backtest.replay.choice import SymbolChoice
from backtest.replay.flow import Flow
from backtest.replay.source import MARKET, Partition, Period, Portion, Source
from schemas.errors import DecodeError
from schemas.identity import market_key
from schemas.records import Instrument, Micros, Record
from schemas.rows import decode
from schemas.topics import INSTRUMENTS

AT_ONCE: Final = 512
"""Records that are decoded at a time, a few milliseconds."""


class Moment(NamedTuple):
    """A record of the past.

    Attributes:
        due: When its turn is, µs: its time, or that of a later one which it stood behind.
        time: Its event time, µs.
        partition: Where it stands.
        position: Its position there.
        record: The record.
    """

    due: Micros
    time: Micros
    partition: Partition
    position: int
    record: Record


class Past:
    """What of a source is served.

    Args:
        source: Where the records come from.
        period: What of it.
        symbols: Symbols or keys that are wanted; None: all.
    """

    def __init__(self, source: Source, period: Period, symbols: Collection[str] | None = None) -> None:
        self._source = source
        self._period = period
        self._symbols = symbols
        self.unreadable = 0
        """Records that could not be decoded, and were passed over."""

    async def instruments(self) -> list[Instrument]:
        """What the source lists.

        Raises:
            KandleError: The source cannot be read.
        """
        moments = self._read([INSTRUMENTS.base_name], {})
        found: dict[str, Instrument] = {}
        async with aclosing(moments):
            async for moment in moments:
                if isinstance(moment.record, Instrument):
                    found[market_key(moment.record.venue, moment.record.symbol)] = moment.record
        return list(found.values())

    def moments(self, after: Mapping[Partition, int]) -> AsyncGenerator[Moment, None]:
        """The records of the market after these positions, with gaps and marks, in their order."""
        return self._read([topic.base_name for topic in MARKET], after)

    async def _read(
        self, topics: Sequence[str], after: Mapping[Partition, int]
    ) -> AsyncGenerator[Moment, None]:
        choice = None if self._symbols is None else SymbolChoice(self._symbols)
        flow = Flow(self._source.streams(topics, self._period, after), self._period.until, choice)
        dues: dict[Partition, Micros] = {}
        try:
            while await flow.fill():
                for moment in self._ordered(flow.merge.take(count=AT_ONCE), dues):
                    yield moment
        finally:
            await flow.close()

    def _ordered(self, portions: Iterable[Portion], dues: dict[Partition, Micros]) -> list[Moment]:
        """The records of some portions in one order; `dues` is how far each partition is."""
        found: list[Moment] = []
        for portion in portions:
            due = np.maximum.accumulate(portion.times)
            due = np.maximum(due, dues.get(portion.partition, due[0]))
            dues[portion.partition] = int(due[-1])
            columns = zip(due.tolist(), portion.times.tolist(), portion.positions.tolist(), strict=True)
            for row, (at, time, position) in enumerate(columns):
                try:
                    record = decode(portion.values.value(row))
                except DecodeError:
                    self.unreadable += 1
                    continue
                found.append(Moment(at, time, portion.partition, position, record))
        found.sort(key=lambda moment: moment.due)
        return found
