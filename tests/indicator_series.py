"""Series of candles, and what an indicator says to them."""

import csv
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from processors.indicator import Indicator
from tests.expected_candles import expected_candles, wire_trades

Column = npt.NDArray[np.float64]
MINUTE = 60_000_000


class Bar(NamedTuple):
    """What an indicator sees of a candle."""

    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


def walk(count: int, seed: int = 11, scale: float = 60_000.0, step: float = 0.004) -> list[Bar]:
    """A random walk of prices, with volumes over many magnitudes, a candle a minute."""
    random = np.random.default_rng(seed)
    closes = scale * np.exp(random.normal(0.0, step, count).cumsum())
    opens = np.concatenate((closes[:1], closes[:-1]))
    highs = np.maximum(opens, closes) * (1.0 + random.exponential(step, count))
    lows = np.minimum(opens, closes) / (1.0 + random.exponential(step, count))
    volumes = random.lognormal(0.0, 4.0, count)
    return bars(range(0, count * MINUTE, MINUTE), opens, highs, lows, closes, volumes)


def bars(times: Iterable[int], *columns: Iterable[Any]) -> list[Bar]:
    """Candles of columns."""
    return [
        Bar(time, *map(float, values)) for time, *values in zip(times, *columns, strict=True)
    ]  # open, high, low, close, volume


def recorded_seconds(captures: Path) -> list[Bar]:
    """Candles of a second of the recorded trades of BTC/USDT."""
    return _seconds(captures / "binance-spot-btcusdt.capture.gz")


@cache
def _seconds(path: Path) -> list[Bar]:
    fields = ("open", "high", "low", "close", "volume")
    found = expected_candles(wire_trades(path), "1s")
    return [
        Bar(open_ms * 1_000, *(candle[field] for field in fields))
        for (_, open_ms), candle in sorted(found.items())
    ]


def recorded_days(captures: Path) -> list[Bar]:
    """Candles of a day of a share, recorded elsewhere."""
    with (captures / "equities" / "aapl_daily.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [f"AAPL.{field}" for field in ("Open", "High", "Low", "Close", "Volume")]
    return [Bar(day * 1_440 * MINUTE, *(float(row[name]) for name in names)) for day, row in enumerate(rows)]


def column(series: Sequence[Bar], field: str) -> Column:
    """One field of a series."""
    return np.array([getattr(bar, field) for bar in series], np.float64)


def outputs_of(spec: str, series: Sequence[Bar]) -> dict[str, Column]:
    """The outputs of an indicator, NaN where it has none."""
    indicator = Indicator.create(spec)
    found = {name: np.full(len(series), np.nan) for name in indicator.names()}
    for index, bar in enumerate(series):
        for name, value in (indicator.update(bar) or {}).items():
            found[name][index] = value
    return found


def assert_equal(
    found: dict[str, Column], expected: dict[str, Column], rtol: float = 1e-9, atol: float = 0.0
) -> None:
    """Equal outputs, defined at the same candles."""
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol, atol, equal_nan=True, err_msg=name)
