"""Which rows of a live run and of a replay of a part of it are held against each other."""

from __future__ import annotations

import numpy as np

from infra.keyed_rows import Rows
from kandle.replays.bounds import ALWAYS, Bounds, MarkedRows, Reached, Source
from kandle.verification.known_instruments import KnownInstruments
from kandle.verification.stored import Range, columns_of
from sinks.timescale.tables import CANDLES

SECOND = 1_000_000
KNOWN = KnownInstruments([(1, "binance", "A/B"), (2, "gateio", "A/B")])


def marked(first: dict[str, int], **last: tuple[int, bool]) -> MarkedRows:
    """A partition; sources are named venue_name."""
    rows = MarkedRows(columns_of(CANDLES, KNOWN), KNOWN, Range())
    rows.first = first
    rows.last = {Source(*name.split("_")): mark for name, mark in last.items()}
    return rows


def venue_of(number: int) -> str:
    return KNOWN.name_of(number).partition(":")[0]


def candles(*rows: tuple[int, int, int]) -> Rows:
    """By instrument, open and end."""
    number, begin, end = zip(*rows, strict=True)
    return Rows.of({"instrument_id": number, "time": begin, "close_time": end})


def test_the_slowest_partition_and_the_slowest_source_decide() -> None:
    live = [marked({"binance": 0}, binance_a=(900, False)), marked({"binance": 0}, binance_a=(950, False))]
    replay = [
        marked({"binance": 100}, binance_a=(500, False), binance_b=(480, False), replay_x=(0, True)),
        marked({"binance": 120}, binance_a=(600, False)),
    ]
    bounds = Bounds.of(live, replay, 20, from_the_start=False)
    assert bounds.since["binance"] == 120
    assert bounds.reached == {"binance": Reached(480, False)}
    rows = candles((1, 120, 460), (1, 119, 460), (1, 130, 461), (2, 130, 140))
    np.testing.assert_array_equal(bounds.covered(rows, venue_of), [True, False, False, False])


def test_a_run_from_the_start_is_compared_from_its_first_row() -> None:
    side = [marked({"binance": 100}, binance_a=(500, False))]
    bounds = Bounds.of(side, side, 20, from_the_start=True)
    assert bounds.since == {"binance": ALWAYS}
    np.testing.assert_array_equal(bounds.covered(candles((1, 1, 480)), venue_of), [True])


def test_a_feed_that_has_ended_closes_all_that_it_opened() -> None:
    side = [marked({"binance": 100}, binance_a=(500, True), binance_b=(450, True))]
    bounds = Bounds.of(side, side, 20, from_the_start=True)
    assert bounds.reached == {"binance": Reached(500, True)}
    rows = candles((1, 490, 550), (1, 500, 560), (1, 501, 561))
    np.testing.assert_array_equal(bounds.covered(rows, venue_of), [True, True, False])


def test_what_only_one_side_knows_is_not_compared() -> None:
    live = [marked({"gateio": 100}, gateio_a=(500, False))]
    replay = [marked({"binance": 100}, binance_a=(500, False))]
    bounds = Bounds.of(live, replay, 0, from_the_start=True)
    np.testing.assert_array_equal(
        bounds.covered(candles((1, 100, 110), (2, 100, 110)), venue_of), [False, False]
    )


def test_values_end_with_their_candle_and_bars_begin_with_their_session() -> None:
    side = [marked({"binance": 10 * SECOND}, binance_a=(100 * SECOND, False))]
    bounds = Bounds.of(side, side, 0, from_the_start=False)
    values = Rows.of(
        {
            "instrument_id": [1, 1, 1],
            "time": [40 * SECOND, 41 * SECOND, 99 * SECOND],
            "interval": ["1m", "1m", "1s"],
        }
    )
    np.testing.assert_array_equal(bounds.covered(values, venue_of), [True, False, True])
    bars = Rows.of(
        {
            "instrument_id": [1, 1],
            "time": [20 * SECOND] * 2,
            "session": [9 * SECOND, 10 * SECOND],
            "close_time": [30 * SECOND] * 2,
        }
    )
    np.testing.assert_array_equal(bounds.covered(bars, venue_of), [False, True])
