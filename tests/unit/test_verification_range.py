"""The condition by which a verification reads rows of a range."""

from __future__ import annotations

from kandle.verification.stored import Range, where


def test_bounds_are_constants_that_partitions_can_be_chosen_by() -> None:
    bounded = where(Range(1_700_000_000_000_001, -1)).as_string(None)
    assert bounded == (
        "true AND \"time\" >= '2023-11-14 22:13:20.000001+00:00'::timestamptz "
        "AND \"time\" < '1969-12-31 23:59:59.999999+00:00'::timestamptz"
    )
    assert where(Range()).as_string(None) == "true"
