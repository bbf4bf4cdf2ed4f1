"""Our candles against the venue's own: pure.

Both sides of a candle come by different ways, in any order. They are compared once the venue has closed its
candle and ours is complete; again when ours is revised.
"""

import math
from collections import OrderedDict
from typing import Final, NamedTuple, TypeAlias, TypeVar

from schemas.records import Candle, ExchangeCandle

KEPT: Final = 10_000
"""Candles that wait for their other side, on each side: the oldest are forgotten."""

RELATIVE: Final = 1e-9
"""Sums may differ so much: they are rounded by the venue, and added in another order. Prices may not."""

Key: TypeAlias = tuple[str, str, str, int]
T = TypeVar("T")


class Difference(NamedTuple):
    """One figure that differs.

    Attributes:
        field: Name of the figure, as in `Candle`.
        ours: What we computed.
        theirs: What the venue says.
    """

    field: str
    ours: float
    theirs: float


class Compared(NamedTuple):
    """A candle of which both sides are known.

    Attributes:
        candle: Ours.
        differences: What differs; empty where the two agree.
    """

    candle: Candle
    differences: tuple[Difference, ...]


class CandleComparison:
    """Holds the sides that wait for each other."""

    def __init__(self) -> None:
        self._ours: OrderedDict[Key, Candle] = OrderedDict()
        self._theirs: OrderedDict[Key, ExchangeCandle] = OrderedDict()
        self._open: dict[tuple[str, str, str], ExchangeCandle] = {}

    def take_ours(self, candle: Candle) -> Compared | None:
        """Take a candle of ours, or a revision of one; the comparison if the venue's is there."""
        key = (candle.venue, candle.symbol, candle.interval, candle.open_time)
        if not candle.complete:
            # What misses trades differs, and is known to.
            self._ours.pop(key, None)
            return None
        _keep(self._ours, key, candle)
        theirs = self._theirs.get(key)
        return None if theirs is None else compare(candle, theirs)

    def take_theirs(self, candle: ExchangeCandle) -> Compared | None:
        """Take a candle of the venue; the comparison if that is closed and ours is there.

        Where a venue does not say when it closes a candle, it has done so when it goes on to the next.
        """
        series = (candle.venue, candle.symbol, candle.interval)
        closed: ExchangeCandle | None = candle
        if candle.closed is None:
            closed = self._open.get(series)
            self._open[series] = candle
            if closed is not None and closed.open_time >= candle.open_time:
                closed = None
        if closed is None or closed.closed is False:
            return None
        key = (*series, closed.open_time)
        _keep(self._theirs, key, closed)
        ours = self._ours.get(key)
        return None if ours is None else compare(ours, closed)


def compare(ours: Candle, theirs: ExchangeCandle) -> Compared:
    """Every figure that the venue gives: prices and counts exactly, sums to a relative 1e-9."""
    differences = [
        Difference(name, getattr(ours, name), getattr(theirs, name))
        for name in ("open", "high", "low", "close", "trade_count")
        if getattr(theirs, name) is not None and getattr(ours, name) != getattr(theirs, name)
    ]
    differences += [
        Difference(name, getattr(ours, name), getattr(theirs, name))
        for name in ("volume", "quote_volume", "taker_buy_volume")
        if getattr(theirs, name) is not None
        and not math.isclose(getattr(ours, name), getattr(theirs, name), rel_tol=RELATIVE, abs_tol=1e-12)
    ]
    return Compared(ours, tuple(differences))


def _keep(held: OrderedDict[Key, T], key: Key, value: T) -> None:
    held[key] = value
    if len(held) > KEPT:
        held.popitem(last=False)
