"""Cost of the indicators: `python -m tests.bench.indicators`.

Each takes a random walk of candles, one after the other, as a series does. Prints one JSON object:
microseconds a candle, the best of several runs; what a candle costs late in a series by early in it; and
with a window of a thousand candles by the usual one, where there is a window.
"""

import json
import time

from processors.indicator import Indicator
from tests.indicator_series import Bar, walk

CANDLES = 60_000
PART = 2_000
WIDE = {
    **{f"{name}(1000)": name for name in ("sma", "ema", "wma", "bollinger", "donchian", "volume_profile")},
    "stochastic(1000)": "stochastic",
}


def costs(spec: str, series: list[Bar]) -> list[float]:
    """Seconds of each part of a series."""
    indicator = Indicator.create(spec)
    found = []
    for start in range(0, len(series), PART):
        part, update = series[start : start + PART], indicator.update
        began = time.perf_counter()
        for bar in part:
            update(bar)
        found.append(time.perf_counter() - began)
    return found


def main() -> None:
    """Measure and print."""
    series = walk(CANDLES)
    usual = {name: costs(name, series)[1:] for name in sorted(Indicator.known())}
    wide = {name: costs(spec, series)[1:] for spec, name in WIDE.items()}
    third = len(next(iter(usual.values()))) // 3
    result = {
        "us_per_candle": {name: round(min(parts) / PART * 1e6, 3) for name, parts in usual.items()},
        "late_to_early": {
            name: round(min(parts[-third:]) / min(parts[:third]), 2) for name, parts in usual.items()
        },
        "wide_to_usual": {name: round(min(parts) / min(usual[name]), 2) for name, parts in wide.items()},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
