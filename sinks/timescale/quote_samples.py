"""Quotes sampled by their own time: of each market the last quote of every interval.

Which quote that is, is known when the first one of the next interval arrives. Until then it is held
beside the table, in `kandle.quote_samples`, where each newer one replaces it; the view shows both. What is
held moves in the transaction of the offsets, so the rows are the same however the topic is cut into portions,
and whoever reads on. A time that goes back counts for the interval that has been reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from psycopg import sql

from sinks.database import Connection
from sinks.portion import Slice
from sinks.positions import Counts, PartitionRef
from sinks.timescale.copy_binary import (
    HEADER,
    POSTGRES_EPOCH_US,
    TRAILER,
    Bytes,
    Fixed,
    integers,
    lay_out,
    times,
)
from sinks.timescale.seen_ids import Market, Verdict
from sinks.timescale.table import TIME_TYPE, Int64s, Mask
from sinks.timescale.tables import QUOTES

_KEY: Final = ("topic_id", "partition", "newest")
_STAGE: Final = sql.Identifier("pg_temp", "stage_quote_samples")
_NO_DATA: Final = np.empty(0, np.uint8)


@dataclass(frozen=True, slots=True)
class Held:
    """The newest quote of a market.

    Attributes:
        newest: Newest time of any quote so far, microseconds since 1970.
        cells: int64[columns of QUOTES], as they are copied ...
        valid: bool[columns of QUOTES], ... where they are not null.
    """

    newest: int
    cells: Int64s
    valid: Mask


@dataclass(slots=True)
class Sampled:
    """What becomes of the quotes of a slice.

    Attributes:
        rows: Bytes of the quotes that ended an interval, for COPY.
        counts: Rows that began an interval (stored), that replaced one in theirs (revised), and the rest.
        held: The newest quotes after this slice; to be saved in the transaction and adopted after it.
    """

    rows: list[Bytes] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    held: dict[Market, Held] = field(default_factory=dict)


class QuoteSamples:
    """What is held of the partitions of this process.

    Args:
        every_ms: Length of an interval; 0: every quote is stored, and nothing is held.
    """

    def __init__(self, every_ms: int) -> None:
        self.every_us = every_ms * 1000
        self._held: dict[Market, Held] = {}

    async def load(self, db: Connection, refs: Sequence[PartitionRef]) -> None:
        """Read what is held of partitions, in place of what was known of them."""
        by_key = {(ref.topic_id, ref.partition): ref for ref in refs}
        self._held = {market: held for market, held in self._held.items() if market[0] not in refs}
        micros = "(extract(epoch FROM {}) * 1000000)::bigint"
        columns = [
            micros.format(f'"{column.name}"') if column.type == TIME_TYPE else column.name
            for column in QUOTES.cells
        ]
        cursor = await db.execute(
            f"SELECT topic_id, partition, {micros.format('newest')}, {', '.join(columns)} "  # noqa: S608
            "FROM kandle.quote_samples "
            "JOIN unnest(%s::integer[], %s::integer[]) AS r(topic_id, partition) USING (topic_id, partition)",
            ([ref.topic_id for ref in refs], [ref.partition for ref in refs]),
        )
        async for topic_id, partition, newest, *values in cursor:
            cells = np.array([_cell(c.type, v) for c, v in zip(QUOTES.cells, values, strict=True)], np.int64)
            valid = np.array([value is not None for value in values])
            self._held[by_key[topic_id, partition], values[-1]] = Held(newest, cells, valid)

    def times(self, refs: Iterable[PartitionRef]) -> Int64s:
        """Times of what is held of partitions, microseconds since 1970: rows to come."""
        wanted = set(refs)
        found = [held.cells[0] for (ref, _), held in self._held.items() if ref in wanted]
        return np.array(found, np.int64) + POSTGRES_EPOCH_US

    def release(self, refs: Iterable[PartitionRef]) -> tuple[list[Bytes], list[Market]]:
        """All that is held of partitions, as rows: quotes are not sampled any more."""
        wanted = set(refs)
        markets = [market for market in self._held if market[0] in wanted]
        if not markets:
            return [], []
        held = [self._held[market] for market in markets]
        cells, valid = np.stack([each.cells for each in held], 1), np.stack([each.valid for each in held], 1)
        return [_rows(cells, valid)], markets

    def take(self, slice_: Slice, instruments: Int64s, verdict: Verdict) -> Sampled:
        """Sample the quotes of a slice.

        Args:
            slice_: The slice.
            instruments: int64[n], numbers of the instruments.
            verdict: Which quotes are new by their number; what is doubtful has none, and is new if it is
                later than all before of its market, by (time, receive time).
        """
        chosen = np.flatnonzero(verdict.new | verdict.doubtful)
        kept = int(slice_.kept(QUOTES.record).sum())
        if not len(chosen):
            return Sampled(counts=Counts(repeated=kept))
        known = [
            (instrument, held)
            for instrument in np.unique(instruments[chosen]).tolist()
            if (held := self._held.get((slice_.ref, instrument))) is not None
        ]
        fields = QUOTES.fixed(slice_, instruments)
        cells = np.stack([each.cells[chosen] for each in fields])
        valid = np.stack([_valid(each)[chosen] for each in fields])
        newest, owner, sure = QUOTES.row_times(slice_)[chosen], instruments[chosen], verdict.new[chosen]
        if known:
            count = len(known)
            cells = np.concatenate((np.stack([held.cells for _, held in known], 1), cells), 1)
            valid = np.concatenate((np.stack([held.valid for _, held in known], 1), valid), 1)
            newest = np.concatenate(([held.newest for _, held in known], newest))
            owner = np.concatenate(([instrument for instrument, _ in known], owner))
            sure = np.concatenate((np.ones(count, np.bool_), sure))
        is_held = np.arange(len(owner)) < len(known)

        # Markets one after another, each with what is held first, then in order of arrival.
        order = np.argsort(owner, kind="stable")
        group = np.concatenate(([0], np.cumsum(owner[order][1:] != owner[order][:-1])))
        place = group * len(order) + _ranks(cells[0][order], cells[1][order])
        is_later = place > np.concatenate(([-1], np.maximum.accumulate(place)[:-1]))
        taken = sure[order] | is_later
        order, group = order[taken], group[taken]

        moments, rank = np.unique(newest[order], return_inverse=True)
        reached = np.maximum.accumulate(group * len(order) + rank) - group * len(order)
        interval = moments[reached] // self.every_us
        is_last = np.concatenate((group[1:] != group[:-1], [True]))
        ends = np.concatenate((interval[1:] > interval[:-1], [False])) & ~is_last
        begins = np.concatenate(([True], (ends | is_last)[:-1]))
        fresh = ~is_held[order]
        stored, replaced = int((begins & fresh).sum()), int((~begins & fresh).sum())
        sampled = Sampled(counts=Counts(stored, replaced, kept - stored - replaced))
        if ends.any():
            sampled.rows.append(_rows(cells[:, order[ends]], valid[:, order[ends]]))
        for at in np.flatnonzero(is_last & fresh).tolist():
            row = order[at]
            market = (slice_.ref, int(owner[row]))
            sampled.held[market] = Held(int(moments[reached[at]]), cells[:, row].copy(), valid[:, row].copy())
        return sampled

    async def save(self, db: Connection, held: Mapping[Market, Held]) -> None:
        """Write what is held inside the transaction."""
        if not held:
            return
        markets = sorted(held)
        rows = [held[market] for market in markets]
        key = [
            integers(np.array([ref.topic_id for ref, _ in markets]), 4),
            integers(np.array([ref.partition for ref, _ in markets]), 4),
            times(np.array([row.newest for row in rows], np.int64)),
        ]
        cells, valid = np.stack([row.cells for row in rows], 1), np.stack([row.valid for row in rows], 1)
        names = (*_KEY, *QUOTES.columns)
        listed = sql.SQL(", ").join(map(sql.Identifier, names))
        await db.execute(
            sql.SQL(
                "CREATE TEMPORARY TABLE IF NOT EXISTS {} (LIKE kandle.quote_samples) ON COMMIT DELETE ROWS"
            ).format(_STAGE)
        )
        copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(_STAGE, listed)
        async with db.cursor() as cursor, cursor.copy(copy) as out:
            await out.write(HEADER)
            await out.write(lay_out([*key, *_fields(cells, valid)], _NO_DATA).data)
            await out.write(TRAILER)
        changes = sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in ("newest", *QUOTES.columns)
        )
        await db.execute(
            sql.SQL(
                "INSERT INTO kandle.quote_samples ({0}) SELECT {0} FROM {1} "
                "ON CONFLICT (topic_id, partition, instrument_id) DO UPDATE SET {2}"
            ).format(listed, _STAGE, changes)
        )

    async def remove(self, db: Connection, markets: Sequence[Market]) -> None:
        """Give up what is held of markets, inside the transaction."""
        await db.execute(
            "DELETE FROM kandle.quote_samples q USING unnest(%s::integer[], %s::integer[], %s::integer[]) "
            "AS r(topic_id, partition, instrument_id) WHERE q.topic_id = r.topic_id "
            "AND q.partition = r.partition AND q.instrument_id = r.instrument_id",
            (
                [ref.topic_id for ref, _ in markets],
                [ref.partition for ref, _ in markets],
                [instrument for _, instrument in markets],
            ),
        )

    def adopt(self, held: Mapping[Market, Held], released: Iterable[Market]) -> None:
        """The transaction is committed."""
        self._held.update(held)
        for market in released:
            self._held.pop(market, None)


def _ranks(first: Int64s, second: Int64s) -> npt.NDArray[np.int64]:
    """Places of pairs in ascending order; equal pairs have one."""
    order = np.lexsort((second, first))
    first, second = first[order], second[order]
    steps = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.concatenate(([0], np.cumsum(steps)))
    return ranks


def _valid(fixed: Fixed) -> Mask:
    return np.ones(len(fixed.cells), np.bool_) if fixed.valid is None else fixed.valid


def _fields(cells: Int64s, valid: Mask) -> list[Fixed]:
    return [Fixed(cells[i], column.width, valid[i]) for i, column in enumerate(QUOTES.cells)]


def _rows(cells: Int64s, valid: Mask) -> Bytes:
    return lay_out(_fields(cells, valid), _NO_DATA)


def _cell(kind: str, value: Any) -> int:
    """A value of the database as it is copied; null: 0."""
    if value is None:
        return 0
    if kind == TIME_TYPE:
        return int(value) - POSTGRES_EPOCH_US
    return int(np.float64(value).view(np.int64)) if kind == "double precision" else int(value)
