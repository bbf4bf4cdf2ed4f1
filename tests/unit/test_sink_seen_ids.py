"""Which trades and quotes count as new."""

from __future__ import annotations

import numpy as np

from infra.range_set import RangeSet
from sinks.positions import PartitionRef
from sinks.timescale.seen_ids import SeenIds, Verdict

REF = PartitionRef(1, 0, "market.trades.v1")


def judge(
    seen: SeenIds, rows: list[tuple[int, int | None]], *, quotes: bool = False, dropped: tuple[int, ...] = ()
) -> Verdict:
    """Judge rows of (instrument, sequence) and take the verdict over."""
    instruments = np.array([instrument for instrument, _ in rows], np.int64)
    sequences = np.array([sequence or 0 for _, sequence in rows], np.int64)
    valid = np.array([sequence is not None for _, sequence in rows], np.bool_)
    kept = np.array([index not in dropped for index in range(len(rows))], np.bool_)
    call = seen.judge_quotes if quotes else seen.judge_trades
    verdict = call(REF, instruments, sequences, valid, kept)
    seen.adopt(verdict.seen)
    return verdict


def test_a_trade_is_new_once_for_its_instrument_in_any_order() -> None:
    seen = SeenIds()
    verdict = judge(seen, [(1, 5), (2, 5), (1, 4), (1, 5), (2, 7)])
    assert verdict.new.tolist() == [True, True, True, False, True]
    assert judge(seen, [(1, 4), (2, 6), (2, 7)]).new.tolist() == [False, True, False]
    assert not verdict.doubtful.any()


def test_of_equal_trades_the_first_to_arrive_is_taken() -> None:
    assert judge(SeenIds(), [(1, 9), (1, 3), (1, 9), (1, 3)]).new.tolist() == [True, True, False, False]


def test_a_refused_row_is_neither_stored_nor_remembered() -> None:
    seen = SeenIds()
    assert judge(seen, [(1, 1), (1, 2)], dropped=(1,)).new.tolist() == [True, False]
    assert judge(seen, [(1, 2)]).new.tolist() == [True]


def test_rows_without_a_number_are_left_to_the_table() -> None:
    verdict = judge(SeenIds(), [(1, None), (1, 1)], dropped=())
    assert verdict.doubtful.tolist() == [True, False]
    assert verdict.new.tolist() == [False, True]


def test_below_what_is_remembered_the_table_is_asked_and_nothing_dropped() -> None:
    seen = SeenIds(ranges_max=2)
    judge(seen, [(1, 10), (1, 20), (1, 30), (1, 40)])  # 10 and 20 are forgotten
    verdict = judge(seen, [(1, 10), (1, 15), (1, 25), (1, 30), (1, 50)])
    assert verdict.doubtful.tolist() == [True, True, False, False, False]
    assert verdict.new.tolist() == [False, False, True, False, True]


def test_a_verdict_changes_nothing_until_it_is_adopted() -> None:
    seen = SeenIds()
    one = np.ones(1, np.bool_)
    for _ in range(2):
        verdict = seen.judge_trades(REF, np.array([1]), np.array([5]), one, one)
        assert verdict.new.all()
        assert verdict.seen == {(REF, 1): RangeSet([(5, 6)])}


def test_a_quote_counts_only_if_it_is_newer_than_all_before() -> None:
    seen = SeenIds()
    assert judge(seen, [(1, 5), (1, 9), (1, 7), (2, 1), (1, 9), (1, 12)], quotes=True).new.tolist() == [
        *(True, True, False, True, False, True)
    ]
    assert judge(seen, [(1, 12), (1, 11), (1, 13), (2, None)], quotes=True).new.tolist() == [
        *(False, False, True, False)
    ]
