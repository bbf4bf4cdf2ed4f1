"""Candles for tests of rules, and what a rule decides at them."""

from collections.abc import Iterable, Sequence
from random import Random

import msgspec

from processors.series.machine import Machine
from processors.signal import Decision, SignalRule
from schemas.records import Candle

MINUTE = 60_000_000


def candle(index: int, open: float, high: float, low: float, close: float, volume: float = 1.0) -> Candle:
    times = (index * MINUTE, (index + 1) * MINUTE)
    prices = (open, high, low, close, volume)
    return Candle("binance", "BTC/USDT", "1m", *times, *prices, volume * close, 0.0, 1, None, None, 0, True)


def of_closes(closes: Iterable[float]) -> list[Candle]:
    """Candles that consist of their closes."""
    return [candle(index, close, close, close, close) for index, close in enumerate(closes)]


def of_volumes(volumes: Iterable[float], rise: float = 0.0) -> list[Candle]:
    """Candles that all rise by `rise`."""
    return [
        candle(index, 100.0, 100.0 + abs(rise), 100.0 - abs(rise), 100.0 + rise, volume)
        for index, volume in enumerate(volumes)
    ]


def random_candles(count: int, seed: int, step: float = 0.03) -> list[Candle]:
    """A random walk with calm and wild stretches, and now and then much volume."""
    random = Random(seed)
    made, close, wild = [], 100.0, 1.0
    for index in range(count):
        wild = random.choice((0.1, 0.4, 1.0)) if index % 40 == 0 else wild
        opened, close = close, max(1.0, close * (1.0 + wild * random.uniform(-step, step)))
        high, low = max(opened, close) * 1.002, min(opened, close) * 0.998
        volume = random.uniform(0.5, 1.5) * (8.0 if random.random() < 0.03 else 1.0)
        made.append(candle(index, opened, high, low, close, volume))
    return made


def scaled(candles: Iterable[Candle], factor: float) -> list[Candle]:
    """The same market in another currency."""
    return [
        msgspec.structs.replace(
            each,
            open=each.open * factor,
            high=each.high * factor,
            low=each.low * factor,
            close=each.close * factor,
        )
        for each in candles
    ]


def decisions(rule: SignalRule, candles: Sequence[Candle]) -> list[tuple[int, Decision]]:
    """What a rule decides, with the index of the candle."""
    machine = Machine([], [rule])
    return [
        (index, firing.decision) for index, each in enumerate(candles) for firing in machine.update(each)[1]
    ]
