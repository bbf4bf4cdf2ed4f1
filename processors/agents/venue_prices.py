"""Closed candles to the prices of venues, keyed by symbol: what the agent of candles writes besides.

Only if a rule of venues asks for it. A price goes to the partition of its symbol; the marks go to all
partitions, since prices from this one may be in any of them.
"""

from __future__ import annotations

import numpy as np

from infra.kafka.partitioner import partition_of
from infra.kafka.publisher import Publisher
from processors.spreads.clocks import lane_source
from processors.spreads.plan import SpreadPlan
from schemas import rows
from schemas.columns import Columns
from schemas.records import Candle, TimeMark, VenuePrice
from schemas.topics import VENUE_PRICES

_TEXTS = ("venue", "symbol", "interval")
_NUMBERS = ("open_time", "close_time", "close", "revision", "complete")


class VenuePrices:
    """Writes the prices of one worker.

    Args:
        plan: Which intervals are wanted, and how many partitions there are.
        publisher: For prices and marks.
    """

    def __init__(self, plan: SpreadPlan, publisher: Publisher) -> None:
        self._intervals = plan.intervals
        self._partitions = plan.partitions
        self._publisher = publisher
        self._places: dict[str, tuple[bytes, int]] = {}

    async def write(self, columns: Columns, partition: int) -> None:
        """Write the prices of the candles that have just closed, and each mark after those before it.

        Args:
            columns: Consecutive records of a partition of the candles; `venue`, `symbol` and `interval` are
                interned.
            partition: Which one.
        """
        if not self._intervals:
            return
        prices = self._prices(columns)
        for row in sorted([*prices, *columns.rows(TimeMark).tolist()]):
            price = prices.get(row)
            if price is None:
                await self._write_mark(columns.value(row), partition)
            else:
                key, target = self._place(price.symbol)
                await self._publisher.publish(VENUE_PRICES.name, price, key, target)

    async def _write_mark(self, value: bytes | None, partition: int) -> None:
        mark = rows.decode(value)
        assert isinstance(mark, TimeMark)
        source = lane_source(mark.source, partition)
        renamed = rows.encode(TimeMark(mark.venue, source, mark.time, mark.final, mark.instance))
        for target in range(self._partitions):
            await self._publisher.publish(
                VENUE_PRICES.name, renamed, partition=target, kind=TimeMark.__name__
            )

    def _prices(self, columns: Columns) -> dict[int, VenuePrice]:
        """The prices by row.

        Left out are revisions, since others may have been judged already; history, which is no news; and
        candles without trades, since their price is an older one.
        """
        intervals = columns.reader.dictionaries["interval"].keys
        codes = [code for code, name in enumerate(intervals) if name in self._intervals]
        wanted = np.isin(columns.dictionary(Candle, "interval"), codes)
        wanted &= columns.column(Candle, "revision") == 0
        wanted &= ~columns.column(Candle, "backfilled")
        wanted &= columns.column(Candle, "trade_count") > 0
        texts = []
        for name in _TEXTS:
            known = columns.reader.dictionaries[name].keys
            texts.append([known[code] for code in columns.dictionary(Candle, name)[wanted].tolist()])
        numbers = [columns.column(Candle, name)[wanted].tolist() for name in _NUMBERS]
        fields = zip(*texts, *numbers, strict=True)
        found = columns.rows(Candle)[wanted].tolist()
        return {row: VenuePrice(*values) for row, values in zip(found, fields, strict=True)}

    def _place(self, symbol: str) -> tuple[bytes, int]:
        """Key and partition of a symbol."""
        place = self._places.get(symbol)
        if place is None:
            key = symbol.encode()
            place = self._places[symbol] = key, partition_of(key, self._partitions)
        return place
