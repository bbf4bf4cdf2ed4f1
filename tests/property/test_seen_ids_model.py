"""Which trades and quotes are new, against sets that hold every id."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from infra.range_set import RangeSet
from sinks.positions import PartitionRef
from sinks.timescale.seen_ids import SeenIds, Verdict

REF = PartitionRef(1, 0, "market.trades.v1")
Row = tuple[int, int, bool, bool]
"""Instrument, sequence, whether it has one, whether it is kept."""
ROWS = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 12), st.integers(0, 9).map(bool), st.integers(0, 9).map(bool)
    ),
    max_size=20,
)
ASCENDING = ROWS.map(lambda rows: sorted(rows, key=lambda row: row[1]))
PORTIONS = st.lists(ROWS | ASCENDING, max_size=6)


def judged(seen: SeenIds, rows: list[Row], *, quotes: bool) -> Verdict:
    instruments, sequences = (np.array([row[i] for row in rows], np.int64) for i in (0, 1))
    valid, kept = (np.array([row[i] for row in rows], np.bool_) for i in (2, 3))
    # What is not kept may have no number of an instrument.
    instruments[~kept] = -1
    judge = seen.judge_quotes if quotes else seen.judge_trades
    verdict = judge(REF, instruments, sequences, valid, kept)
    seen.adopt(verdict.seen)
    return verdict


@given(PORTIONS)
def test_a_trade_is_new_if_its_id_was_never_seen(portions: list[list[Row]]) -> None:
    seen, model = SeenIds(), set[tuple[int, int]]()
    for rows in portions:
        verdict = judged(seen, rows, quotes=False)
        # Of equal ids the first to arrive is taken.
        expected = []
        for instrument, sequence, valid, kept in rows:
            is_new = valid and kept and (instrument, sequence) not in model
            expected.append(is_new)
            if is_new:
                model.add((instrument, sequence))
        assert verdict.new.tolist() == expected
        assert verdict.doubtful.tolist() == [kept and not valid for _, _, valid, kept in rows]
        for (_, instrument), ids in verdict.seen.items():
            assert {i for start, stop in ids for i in range(start, stop)} == {
                i for owner, i in model if owner == instrument
            }


@given(PORTIONS, st.integers(1, 3))
def test_with_sets_that_forget_a_trade_is_stored_once_or_looked_up(
    portions: list[list[Row]], ranges_max: int
) -> None:
    seen, model = SeenIds(ranges_max), set[tuple[int, int]]()
    for rows in portions:
        verdict = judged(seen, rows, quotes=False)
        for row, new, doubtful in zip(rows, verdict.new.tolist(), verdict.doubtful.tolist(), strict=True):
            if row[2] and row[3]:
                assert not (new and row[:2] in model)
                assert new or doubtful or row[:2] in model
                assert not (new and doubtful)
                if new:
                    model.add(row[:2])


@given(PORTIONS)
def test_a_quote_is_new_if_it_is_above_all_before(portions: list[list[Row]]) -> None:
    seen, model = SeenIds(), dict[int, tuple[int, int]]()
    for rows in portions:
        verdict = judged(seen, rows, quotes=True)
        expected = []
        for instrument, sequence, valid, kept in rows:
            first, newest = model.get(instrument, (sequence, -1))
            is_new = valid and kept and sequence > newest
            expected.append(is_new)
            if is_new:
                model[instrument] = (first, sequence)
        assert verdict.new.tolist() == expected
        for (_, instrument), ids in verdict.seen.items():
            first, newest = model[instrument]
            assert ids == RangeSet([(first, newest + 1)])
