"""Candles and 24 h figures of a simulated market, counted from its trades. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
MONDAY_MS: Final = 4 * 86_400_000
"""The first Monday of the epoch: weeks begin on Mondays."""


class Execution(NamedTuple):
    """A trade, price and size as the venue wrote them, its time in ms since the epoch."""

    number: int
    price: str
    size: str
    time_ms: int
    buyer_is_maker: bool


@dataclass(slots=True)
class Bar:
    """What executions of an interval come to; volumes in base units, worth in quote currency."""

    open_ms: int
    open: str
    high: str
    low: str
    close: str
    first_id: int
    last_id: int
    volume: float = 0.0
    worth: float = 0.0
    taker_volume: float = 0.0
    taker_worth: float = 0.0
    count: int = 0

    def add(self, one: Execution) -> None:
        """Count one more execution."""
        price, size = float(one.price), float(one.size)
        self.high = max(self.high, one.price, key=float)
        self.low = min(self.low, one.price, key=float)
        self.close, self.last_id = one.price, one.number
        self.volume += size
        self.worth += price * size
        if not one.buyer_is_maker:
            self.taker_volume += size
            self.taker_worth += price * size
        self.count += 1


def bar_of(executions: Iterable[Execution], open_ms: int) -> Bar | None:
    """All executions as one bar; None if there are none."""
    bar: Bar | None = None
    for one in executions:
        if bar is None:
            bar = _begin(one, open_ms)
        bar.add(one)
    return bar


def bars_of(executions: Iterable[Execution], interval_ms: int) -> list[Bar]:
    """The bars of an interval, oldest first; intervals without a trade are left out."""
    bars: dict[int, Bar] = {}
    offset = MONDAY_MS if interval_ms == UNITS_MS["w"] else 0
    for one in executions:
        open_ms = (one.time_ms - offset) // interval_ms * interval_ms + offset
        bar = bars.get(open_ms)
        if bar is None:
            bar = bars[open_ms] = _begin(one, open_ms)
        bar.add(one)
    return [bars[open_ms] for open_ms in sorted(bars)]


def interval_ms_of(name: str) -> int | None:
    """Length of an interval (`1m`) in ms; None if it is none of a fixed length."""
    found = re.fullmatch(r"(\d{1,2})([smhdw])", name)
    return int(found[1]) * UNITS_MS[found[2]] if found is not None and int(found[1]) else None


def _begin(one: Execution, open_ms: int) -> Bar:
    return Bar(open_ms, one.price, one.price, one.price, one.price, one.number, one.number)
