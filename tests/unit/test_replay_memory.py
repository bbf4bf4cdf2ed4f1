"""What indicators and rules remember, and from when on a replay of a middle part can be compared."""

from __future__ import annotations

import numpy as np
import pytest

from infra.keyed_rows import Rows
from kandle.replays.memory import RULE, Memory, Series, memory_of
from processors.series.plan import SeriesPlan

SECOND = 1_000_000


@pytest.fixture(scope="module")
def memory() -> Memory:
    plan = SeriesPlan.of(
        ["sma(20)", "wma(7)", "bollinger(15)", "ema(20)", "rsi(14)", "obv", "vwap(1d)", "donchian(5)"],
        ["moving_average_crossover(3,8)", "macd_cross", "volume_spike(20,3)"],
    )
    return memory_of(plan, ["1s", "1m"])


def test_what_has_a_window_forgets_with_it(memory: Memory) -> None:
    """At the 20th candle a simple average over 20 has seen none but those of the replay."""
    assert memory.values["1s", "sma_20"] == memory.values["1m", "sma_20"] == 19
    assert memory.values["1m", "wma_7"] == 6
    assert memory.values["1m", "bollinger_15_2.upper"] == 14
    assert memory.values["1m", "donchian_5.upper"] == 4


def test_what_fades_or_adds_up_never_forgets(memory: Memory) -> None:
    assert [memory.values["1m", name] for name in ("ema_20", "rsi_14", "obv")] == [None] * 3


def test_what_begins_anew_each_day_forgets_with_the_day(memory: Memory) -> None:
    assert memory.values["1m", "vwap_1d"] == 24 * 60 - 1
    assert memory.values["1s", "vwap_1d"] is None, "a day of seconds is more than is tried"


def test_a_rule_remembers_what_its_indicators_do_and_more(memory: Memory) -> None:
    assert (memory.rules["1m", "moving_average_crossover_3_8"] or 0) >= 8
    assert (memory.rules["1m", "volume_spike_20_3"] or 0) >= 20
    assert memory.rules["1m", "macd_cross_12_26_9"] is None


def candles(times: dict[str, list[int]]) -> Rows:
    listed = [(interval, time) for interval, own in times.items() for time in own]
    return Rows.of(
        {
            "instrument_id": [7] * len(listed),
            "interval": [interval for interval, _ in listed],
            "time": [time * SECOND for _, time in listed],
        }
    )


def values(*rows: tuple[int, str, str, int]) -> Rows:
    return Rows.of(
        {
            "instrument_id": [number for number, *_ in rows],
            "interval": [interval for _, interval, *_ in rows],
            "name": [name for *_, name, _ in rows],
            "time": [time * SECOND for *_, time in rows],
        }
    )


def test_rows_are_compared_once_their_series_has_forgotten() -> None:
    series = Series(
        candles({"1s": [5, 3, 1, 9], "1m": [60]}),
        Memory({("1s", "a"): 2, ("1s", "b"): None, ("1m", "a"): 1, ("1s", "c"): 0}, {("1s", "a"): 9}),
    )
    rows = values(
        (7, "1s", "a", 3),
        (7, "1s", "a", 5),  # the third candle: two were forgotten
        (7, "1s", "a", 9),
        (7, "1s", "b", 9),
        (7, "1m", "a", 60),
        (8, "1s", "a", 9),
        (7, "1s", "c", 1),
        (7, "1s", "unknown", 9),
    )
    expected = [False, True, True, False, False, False, True, False]
    np.testing.assert_array_equal(series.forgotten(rows, "name"), expected)


def test_notes_say_what_is_compared_and_what_is_not() -> None:
    memory = Memory({("1s", "a"): 2, ("1m", "a"): 2, ("1s", "b"): None, ("1m", "b"): None}, {("1s", "r"): 0})
    series = Series(Rows({}), memory)
    assert series.notes("name") == [
        "after 2 whole candles of a series: a of 1s, a of 1m",
        "not compared, as they never forget what was before: b",
    ]
    assert series.notes(RULE) == ["after 0 whole candles of a series: r of 1s"]
