"""Each trade once, without a unique index: the sequence numbers stored so far, as ranges beside the offsets.

Where a venue's numbers are dense, all ids ever stored are one range per market, and a repeat is known for
ever. Where they are not, the lowest ranges are forgotten (`RANGES_MAX`); a number below the floor, and a
trade without one, is looked up in the table itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from infra.range_set import ID_MIN, RangeSet
from sinks.database import Connection
from sinks.positions import PartitionRef
from sinks.timescale.id_runs import id_runs, newest_only

RANGES_MAX: Final = 4096
"""Ranges kept per market: about 60 kB, which each transaction that touches the market writes again."""

Int64s = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]
Market = tuple[PartitionRef, int]
"""A partition and an instrument in it."""


@dataclass(slots=True)
class Verdict:
    """What to do with the rows of a slice.

    Attributes:
        new: bool[n]: store.
        doubtful: bool[n]: ask the table.
        seen: The sets after this slice, by market; to be saved in the transaction and adopted after it.
    """

    new: Mask
    doubtful: Mask
    seen: dict[Market, RangeSet] = field(default_factory=dict)


class SeenIds:
    """The sets of the partitions that this process holds."""

    def __init__(self, ranges_max: int = RANGES_MAX) -> None:
        self._sets: dict[Market, RangeSet] = {}
        self._trimmed: set[Market] = set()
        self._ranges_max = ranges_max

    async def load(self, db: Connection, refs: Sequence[PartitionRef]) -> None:
        """Read the sets of partitions, in place of what was known of them."""
        by_key = {(ref.topic_id, ref.partition): ref for ref in refs}
        self._sets = {market: ids for market, ids in self._sets.items() if market[0] not in refs}
        cursor = await db.execute(
            "SELECT s.topic_id, s.partition, s.instrument_id, s.ids::text, s.floor FROM kandle.seen_ids s "
            "JOIN unnest(%s::integer[], %s::integer[]) AS r(topic_id, partition) USING (topic_id, partition)",
            ([ref.topic_id for ref in refs], [ref.partition for ref in refs]),
        )
        async for topic_id, partition, instrument_id, text, floor in cursor:
            market = (by_key[topic_id, partition], instrument_id)
            self._sets[market] = RangeSet.from_multirange(text, floor)
        self._trimmed = {market for market, ids in self._sets.items() if ids.floor > ID_MIN}

    def judge_trades(
        self, ref: PartitionRef, instruments: Int64s, sequences: Int64s, valid: Mask, kept: Mask
    ) -> Verdict:
        """Single out the trades that were not stored before.

        Args:
            ref: Partition of the slice.
            instruments: int64[n], numbers of the instruments.
            sequences: int64[n], the venue's running numbers ...
            valid: bool[n], ... where it has one.
            kept: bool[n], rows that are to be stored at all.
        """
        chosen = kept & valid
        verdict = Verdict(chosen.copy(), kept & ~valid)
        runs = id_runs(instruments, sequences, chosen)
        behind = runs.disordered
        for index, instrument in enumerate(runs.owners):
            market = (ref, instrument)
            seen = self._sets[market].copy() if market in self._sets else RangeSet()
            own = slice(runs.edges[index], runs.edges[index + 1])
            # Nearly always ids go on behind all that was seen; then all of them are new.
            is_ahead = not behind[instrument] and runs.starts[own.start] >= seen.floor
            if is_ahead and seen.append(runs.starts[own], runs.stops[own]):
                seen.trim(self._ranges_max)
                verdict.seen[market] = seen
            else:
                behind[instrument] = True
        if behind.any():
            rest = np.flatnonzero(chosen)
            rest = rest[behind[instruments[rest]]]
            verdict.new[rest] = False
            self._judge_one_by_one(ref, instruments, sequences, rest, verdict)
        return verdict

    def below_floor(self, ref: PartitionRef, instruments: Int64s, sequences: Int64s) -> Mask:
        """Which of rows that have a number have one too low for the set to say that it is new."""
        floors = np.full(int(instruments.max(initial=-1)) + 1, ID_MIN)
        for own, instrument in self._trimmed:
            if own == ref and instrument < len(floors):
                floors[instrument] = self._sets[own, instrument].floor
        return sequences < floors[instruments]

    def _judge_one_by_one(
        self, ref: PartitionRef, instruments: Int64s, sequences: Int64s, rows: Rows, verdict: Verdict
    ) -> None:
        """Repeats, late trades, ids below the floor: the set is asked for each of these rows."""
        for instrument, own in _by_instrument(instruments, sequences, rows):
            market = (ref, instrument)
            seen = self._sets[market].copy() if market in self._sets else RangeSet()
            ids = sequences[own]
            if ids[0] < seen.floor:
                low = ids < seen.floor
                verdict.doubtful[own[low]] = ~seen.contains_array(ids[low])
                own, ids = own[~low], ids[~low]
            new = seen.add_sorted_array(ids)
            if new.any():
                verdict.new[own[new]] = True
                seen.trim(self._ranges_max)
                verdict.seen[market] = seen

    def judge_quotes(
        self, ref: PartitionRef, instruments: Int64s, sequences: Int64s, valid: Mask, kept: Mask
    ) -> Verdict:
        """Single out the quotes that are newer than all before: an older best price is of no use.

        The set of a market is the one range from its first number to its newest. Arguments as `judge_trades`.
        """
        chosen = kept & valid
        owners = np.flatnonzero(np.bincount(instruments[chosen])).tolist()
        spans = np.full((2, owners[-1] + 1 if owners else 0), -1, np.int64)
        for instrument in owners:
            for start, stop in self._sets.get((ref, instrument), ()):
                spans[:, instrument] = start, stop - 1
        before = spans[1].copy()
        verdict = Verdict(newest_only(instruments, sequences, chosen, spans), kept & ~valid)
        for instrument in np.flatnonzero(spans[1] > before).tolist():
            first, newest = spans[:, instrument].tolist()
            verdict.seen[ref, instrument] = RangeSet([(first, newest + 1)])
        return verdict

    async def save(self, db: Connection, seen: Mapping[Market, RangeSet]) -> None:
        """Write sets inside the transaction."""
        if not seen:
            return
        markets = sorted(seen, key=lambda market: (market[0].topic_id, market[0].partition, market[1]))
        await db.execute(
            "INSERT INTO kandle.seen_ids AS s (topic_id, partition, instrument_id, ids, floor) "
            "SELECT * FROM unnest(%s::integer[], %s::integer[], %s::integer[], %s::int8multirange[], "
            "%s::bigint[]) ON CONFLICT (topic_id, partition, instrument_id) DO UPDATE "
            "SET ids = excluded.ids, floor = excluded.floor",
            (
                [ref.topic_id for ref, _ in markets],
                [ref.partition for ref, _ in markets],
                [instrument for _, instrument in markets],
                [seen[market].to_multirange() for market in markets],
                [seen[market].floor for market in markets],
            ),
        )

    def adopt(self, seen: Mapping[Market, RangeSet]) -> None:
        """The transaction is committed: the sets are what is stored."""
        self._sets.update(seen)
        self._trimmed.update(market for market, ids in seen.items() if ids.floor > ID_MIN)


def _by_instrument(instruments: Int64s, sequences: Int64s, rows: Rows) -> list[tuple[int, Rows]]:
    """The rows of each instrument, by ascending sequence; equal ones in order of arrival."""
    order = rows[np.lexsort((sequences[rows], instruments[rows]))]
    owner = instruments[order]
    edges = np.flatnonzero(owner[1:] != owner[:-1]) + 1
    return [(int(instruments[part[0]]), part) for part in np.split(order, edges)]
