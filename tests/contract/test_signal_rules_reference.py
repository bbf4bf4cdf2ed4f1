"""Rules against their definitions, written out once more over whole arrays; lines by TA-Lib."""

import csv
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
import talib

from processors.signal import SignalRule
from schemas.records import Candle
from tests.signal_candles import candle, decisions, random_candles

Floats: TypeAlias = npt.NDArray[np.float64]
Events: TypeAlias = list[tuple[int, str, float]]
"""Index of the candle, direction, strength."""


def columns(candles: Sequence[Candle]) -> dict[str, Floats]:
    names = ("open", "high", "low", "close", "volume")
    return {name: np.array([getattr(each, name) for each in candles]) for name in names}


def crossings(difference: Floats) -> Events:
    """Where a difference has another sign than before; it is never exactly 0 here."""
    d = difference
    return [
        (int(i), "long" if d[i] > 0 else "short", abs(d[i]) / (abs(d[i]) + abs(d[i - 1])))
        for i in range(1, len(d))
        if d[i] * d[i - 1] < 0
    ]


def moving_average_crossover(market: dict[str, Floats]) -> Events:
    return crossings(talib.SMA(market["close"], 10) - talib.SMA(market["close"], 30))


def macd_cross(market: dict[str, Floats]) -> Events:
    return crossings(talib.MACD(market["close"], 12, 26, 9)[2])


def rsi_level(market: dict[str, Floats]) -> Events:
    rsi = talib.RSI(market["close"], 14)
    events: Events = []
    for i in range(16, len(rsi)):
        if rsi[i] > 30 > rsi[i - 1]:
            before = rsi[15:i]
            run = (
                before[len(before) - int(np.argmax((before > 30)[::-1])) :] if (before > 30).any() else before
            )
            events.append((i, "long", (30 - run.min()) / 30))
        if rsi[i] < 70 < rsi[i - 1]:
            before = rsi[15:i]
            run = (
                before[len(before) - int(np.argmax((before < 70)[::-1])) :] if (before < 70).any() else before
            )
            events.append((i, "short", (run.max() - 70) / 30))
    return events


def bollinger_breakout(market: dict[str, Floats]) -> Events:
    close = market["close"]
    upper, middle, lower = talib.BBANDS(close, 20, 2, 2)
    side = np.where(close > upper, 1, np.where(close < lower, -1, 0))
    return [
        (i, "long" if side[i] > 0 else "short", 1 - (upper[i] - middle[i]) / abs(close[i] - middle[i]))
        for i in range(20, len(close))
        if side[i] and side[i] != side[i - 1]
    ]


def bollinger_squeeze(market: dict[str, Floats]) -> Events:
    close = market["close"]
    upper, middle, lower = talib.BBANDS(close, 20, 2, 2)
    width = (upper - lower) / middle
    events: Events = []
    lowest = None
    for i in range(19 + 125, len(close)):
        before = width[i - 125 : i]
        if lowest is None:
            if width[i] < before.min():
                lowest = width[i]
                events.append((i, "neutral", 1 - width[i] / before.max()))
            continue
        lowest = min(lowest, width[i])
        if width[i] >= 1.5 * lowest:
            events.append((i, "long" if close[i] > middle[i] else "short", 1 - lowest / width[i]))
            lowest = None
    return events


def volume_spike(market: dict[str, Floats]) -> Events:
    volume, rise = market["volume"], market["close"] - market["open"]
    threshold = np.array(
        [3 * volume[max(i - 20, 0) : i].mean() if i >= 20 else np.inf for i in range(len(volume))]
    )
    spikes = volume > threshold
    return [
        (i, "long" if rise[i] > 0 else "short" if rise[i] < 0 else "neutral", 1 - threshold[i] / volume[i])
        for i in range(20, len(volume))
        if spikes[i] and not spikes[i - 1]
    ]


def divergences(market: dict[str, Floats], hidden: bool) -> Events:
    rsi = talib.RSI(market["close"], 14)
    found: dict[int, list[tuple[str, float]]] = {}
    for direction, sign, prices in (("long", 1, market["low"]), ("short", -1, market["high"])):
        heights = sign * prices
        swings = [
            i
            for i in range(14 + 5, len(rsi) - 5)
            if heights[i] < heights[i - 5 : i].min() and heights[i] <= heights[i + 1 : i + 6].min()
        ]
        for one, two in pairwise(swings):
            lower, weaker = heights[one] > heights[two], sign * rsi[one] > sign * rsi[two]
            if two - one <= 60 and lower != weaker and weaker == hidden:
                found.setdefault(two + 5, []).append((direction, abs(rsi[one] - rsi[two]) / 100))
    return [(i, *max(each, key=lambda event: event[1])) for i, each in sorted(found.items())]


REFERENCES: dict[str, Callable[[dict[str, Floats]], Events]] = {
    "moving_average_crossover": moving_average_crossover,
    "macd_cross": macd_cross,
    "rsi_level": rsi_level,
    "rsi_divergence": lambda market: divergences(market, hidden=False),
    "rsi_hidden_divergence": lambda market: divergences(market, hidden=True),
    "bollinger_breakout": bollinger_breakout,
    "bollinger_squeeze": bollinger_squeeze,
    "volume_spike": volume_spike,
}


def assert_equal(name: str, candles: Sequence[Candle]) -> int:
    found = decisions(SignalRule.create(name), candles)
    expected = REFERENCES[name](columns(candles))
    assert [(i, decision.direction) for i, decision in found] == [event[:2] for event in expected]
    strengths: Any = [decision.strength for _, decision in found]
    np.testing.assert_allclose(strengths, [event[2] for event in expected], rtol=1e-6, atol=1e-9)
    return len(found)


@pytest.mark.parametrize("name", REFERENCES)
def test_equal_on_random_walks(name: str) -> None:
    assert sum(assert_equal(name, random_candles(3_000, seed)) for seed in (11, 12)) > 30


@pytest.mark.parametrize("name", REFERENCES)
def test_equal_on_recorded_candles(name: str, captures: Path) -> None:
    with (captures / "equities" / "aapl_daily.csv").open() as file:
        rows = list(csv.DictReader(file))
    fields = ("Open", "High", "Low", "Close", "Volume")
    candles = [candle(i, *[float(row[f"AAPL.{field}"]) for field in fields]) for i, row in enumerate(rows)]
    assert assert_equal(name, candles) > 0


def test_every_rule_has_a_reference() -> None:
    ours = {name for name, rule in SignalRule.known().items() if rule.__module__.startswith("processors.")}
    assert REFERENCES.keys() == ours
