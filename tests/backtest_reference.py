"""Fills by trades and by quotes in plain Python, row by row, for tests: slow, and short enough to be read.

Written from what the docs promise. The account carries everything, and nothing costs anything.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

Row = Sequence[float]
FAR = 1e18
_NUMBERS = count()
"""Of fills, in the order in which they come."""


@dataclass
class Wish:
    """An order, and what is to become of it: seconds, and prices as in `Strategy.buy`."""

    number: int
    side: str
    size: int
    placed: float
    how: dict[str, Any]
    withdrawn: float = FAR
    state: str = "new"
    left: int = 0
    trigger: float | None = None
    fills: list[tuple[int, tuple[float, int, int, float, bool]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.left = self.size
        self.trigger = self.how.get("stop") or self.how.get("take_profit")
        self.state = "waiting" if {"stop", "take_profit", "trail"} & set(self.how) else "new"

    @property
    def limit(self) -> float | None:
        return self.how.get("limit")

    @property
    def over(self) -> bool:
        return self.state == "over"

    def beyond(self, price: float, level: float, *, up: bool) -> bool:
        return price >= level if up else price <= level

    def triggered(self, price: float) -> bool:
        """Look at a price; a trailing stop follows it."""
        up = (self.side == "buy") is ("take_profit" not in self.how)
        if self.trigger is not None and self.beyond(price, self.trigger, up=up):
            return True
        if "trail" in self.how:
            sign = 1 if self.side == "buy" else -1
            follows = price + sign * self.how["trail"]
            if self.trigger is None or sign * follows < sign * self.trigger:
                self.trigger = follows
        return False

    def fill(self, time: float, size: int, price: float, *, maker: bool) -> int:
        size = min(size, self.left)
        if size:
            self.left -= size
            self.fills.append((next(_NUMBERS), (time, self.number, size, price, maker)))
            self.state = self.state if self.left else "over"
        return size

    def settle(self) -> None:
        """After the first look: it waits, or it is over."""
        if not self.over and self.how.get("time_in_force", "gtc") != "gtc":
            self.state = "over"
        elif not self.over and self.limit is not None:
            self.state = "resting"


def begin_trails(wishes: Iterable[Wish], prices: Iterable[tuple[float, float]]) -> None:
    """A trailing stop begins at the last price that is known when it is placed."""
    known = list(prices)
    for wish in wishes:
        before = [price for time, price in known if time <= wish.placed]
        if "trail" in wish.how and before:
            wish.triggered(before[-1])


def trade_fills(rows: Sequence[Row], wishes: Sequence[Wish], latency: float) -> list[Any]:
    """Fills by trades: second, order, size, price, whether as a maker."""
    begin_trails(wishes, ((time, price) for time, price, _ in rows))
    for time, price, size in rows:
        share = int(size)
        for wish in wishes:
            if time <= wish.placed or time < wish.placed + latency or wish.over:
                continue
            if time > wish.withdrawn if not latency else time >= wish.withdrawn + latency:
                wish.state = "over"
            elif wish.state == "waiting":
                wish.state = "new" if wish.triggered(price) else "waiting"
            elif wish.limit is None:
                wish.fill(time, wish.left, price, maker=False)
            else:
                share -= _limit_by_trade(wish, time, price, share)
    return _in_order(wishes)


def _limit_by_trade(wish: Wish, time: float, price: float, share: int) -> int:
    limit, force = wish.limit or 0.0, wish.how.get("time_in_force", "gtc")
    better = price < limit if wish.side == "buy" else price > limit
    had = 0
    if price == limit:
        if force != "fok" or share >= wish.left:
            had = wish.fill(time, share, price, maker=force == "gtc")
    elif better and wish.state == "resting":
        wish.fill(time, wish.left, limit, maker=True)
    elif better and wish.how.get("post_only"):
        wish.state = "over"
    elif better:
        wish.fill(time, wish.left, price, maker=False)
    if wish.state == "new":
        wish.settle()
    return had


def quote_fills(rows: Sequence[Row], wishes: Sequence[Wish], latency: float) -> list[Any]:
    """Fills by quotes: second, order, size, price, whether as a maker."""
    begin_trails(wishes, ((row[0], (row[1] + row[3]) / 2) for row in rows if row[2] and row[4]))
    met: set[int] = set()
    stands: list[float] | None = None
    for time, _, what in sorted(_happenings(rows, wishes, latency), key=lambda each: each[:2]):
        if isinstance(what, Wish):
            if what.number in met:
                what.state = "over"
            else:
                met.add(what.number)
                if stands is not None:
                    _meet(what, time, stands)
            continue
        stands = list(what)
        for wish in wishes:
            if wish.number in met and not wish.over:
                _meet(wish, time, stands)
    return _in_order(wishes)


def _happenings(
    rows: Sequence[Row], wishes: Sequence[Wish], latency: float
) -> Iterator[tuple[float, int, Any]]:
    """Quotes, arrivals and withdrawals: what a timer asks for comes after the quotes of its second."""
    for row in rows:
        yield row[0], 1, row
    for wish in wishes:
        yield wish.placed + latency, 0 if latency else 2, wish
        if wish.withdrawn != FAR:
            yield wish.withdrawn + latency, 0 if latency else 2, wish


def _meet(wish: Wish, time: float, stands: list[float]) -> None:
    at = 3 if wish.side == "buy" else 1
    price, there = stands[at], int(stands[at + 1])
    if wish.over:
        return
    if wish.state == "waiting":
        if not there or not wish.triggered(price):
            return
        wish.state = "new"
    force = wish.how.get("time_in_force", "gtc")
    reached = wish.limit is None or (price <= wish.limit if wish.side == "buy" else price >= wish.limit)
    if reached and there:
        if wish.how.get("post_only") and wish.state == "new":
            wish.state = "over"
        elif force != "fok" or there >= wish.left:
            maker = wish.state == "resting"
            paid = wish.limit if maker and wish.limit is not None else price
            stands[at + 1] -= wish.fill(time, there, paid, maker=maker)
    if wish.state == "new":
        wish.settle()


def _in_order(wishes: Sequence[Wish]) -> list[Any]:
    return [fill for _, fill in sorted(each for wish in wishes for each in wish.fills)]
