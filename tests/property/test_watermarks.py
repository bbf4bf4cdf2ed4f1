"""The watermark of a venue is told three times: by candles, compiled; by bars; and by flows. They agree."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from processors.candles.builder import CandleBuilder
from processors.candles.rules import CandleRules
from processors.candles.watermark import Watermarks
from processors.flows.feed_clock import FeedClock
from schemas.records import TimeMark
from tests.candle_stream import KeyIds, rows_from

SECOND = 1_000_000
RULES = CandleRules.of(("1s",))


@st.composite
def feeds(draw: st.DrawFn) -> list[TimeMark]:
    """Marks of up to three sources, each in its order; some leave, and come again as another run."""
    times = dict.fromkeys("abc", 0)
    runs = dict.fromkeys("abc", 0)
    marks = []
    for source, step, final in draw(
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.booleans()), max_size=40)
    ):
        times[source] += step * SECOND
        marks.append(TimeMark("binance", source, times[source], final, f"{source}{runs[source]}"))
        runs[source] += final
    return marks


@given(feeds())
def test_candles_bars_and_flows_come_as_far(marks: list[TimeMark]) -> None:
    candles, clock, ids = CandleBuilder(RULES), FeedClock(), KeyIds()
    bars = Watermarks(RULES, np.zeros_like(candles._tables.state.counters))
    for offset, mark in enumerate(marks):
        candles.fold(rows_from([mark], offset, ids))
        bars.advance(bars.take(mark))
        clock.take(mark)
        assert candles.watermark("binance") == bars.watermark("binance") == clock.watermark
        assert (bars.fed == {}) == clock.has_ended
