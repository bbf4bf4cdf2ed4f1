"""A capture made here: seeded, small, with several symbols, for tests that must not depend on recordings."""

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

START_MS = 1_700_000_000_000 - 1_700_000_000_000 % 60_000 + 30_500
"""Half a minute into a minute, so that the first candle is one that the feed began inside."""


def write_capture(path: Path, *, seed: int = 7, seconds: int = 200, symbols: tuple[str, ...] = ()) -> Path:
    """Write a capture of Binance spot trades and best bids and asks.

    Args:
        path: Where to.
        seed: The same seed gives the same file.
        seconds: Market time covered.
        symbols: The venue's names.
    """
    names = symbols or ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(f"# venue=binance market=spot symbols={','.join(names)} source=made licence=none\n")
        for time_ms, frame in _frames(random.Random(seed), seconds, names):
            file.write(f"{(time_ms + 20) * 1_000_000} {json.dumps(frame, separators=(',', ':'))}\n")
    return path


def _frames(chance: random.Random, seconds: int, names: tuple[str, ...]) -> Iterator[tuple[int, object]]:
    price = {name: 100.0 * (index + 1) for index, name in enumerate(names)}
    number = {name: 1_000 * (index + 1) for index, name in enumerate(names)}
    time_ms = START_MS
    while time_ms < START_MS + seconds * 1_000:
        time_ms += int(chance.expovariate(1 / 25.0))
        name = chance.choice(names)
        price[name] *= 1 + chance.gauss(0, 2e-4)
        number[name] += 1
        text = f"{price[name]:.4f}"
        size = f"{chance.uniform(0.001, 3):.5f}"
        if chance.random() < 0.5:
            data: dict[str, object] = {
                "u": number[name],
                "s": name,
                "b": text,
                "B": size,
                "a": f"{price[name] + 0.01:.4f}",
                "A": "1.00000",
            }
            yield time_ms, {"stream": f"{name.lower()}@bookTicker", "data": data}
            number[name] -= 1
            continue
        yield (
            time_ms,
            {
                "stream": f"{name.lower()}@trade",
                "data": {
                    "e": "trade",
                    "E": time_ms + 1,
                    "s": name,
                    "t": number[name],
                    "p": text,
                    "q": size,
                    "T": time_ms - chance.randrange(3),
                    "m": chance.random() < 0.5,
                    "M": True,
                },
            },
        )
