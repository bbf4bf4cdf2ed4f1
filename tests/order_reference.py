"""A slow account of orders filled by candles, to hold the broker against: whole prices, walked one by one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

RANKS: Final = {"market": 0, "stop": 1, "stop_limit": 1, "trailing": 1, "limit": 2, "take_profit": 2}
Candle = tuple[int, int, int, int]
"""Open, high, low and close."""


@dataclass
class Wish:
    """An order as the reference keeps it; what it does not have is None."""

    number: int
    kind: str
    side: int
    size: int
    limit: int | None = None
    trigger: int | None = None
    trail: int | None = None
    kept: str = "gtc"
    post_only: bool = False
    reduce_only: bool = False
    group: int = 0
    state: str = "open"
    resting: bool = False

    @property
    def alive(self) -> bool:
        return self.state in ("open", "triggered")


@dataclass
class Reference:
    """One account in one market; `fills` are number, signed size, price, maker."""

    cash: Fraction
    leverage: int
    maintenance: Fraction
    taker: Fraction
    maker: Fraction
    wishes: list[Wish] = field(default_factory=list)
    fills: list[tuple[int, int, int, bool]] = field(default_factory=list)
    lots: list[list[int]] = field(default_factory=list)
    last: int = 0
    liquidated: int | None = None
    """The price at which the account was first seen to have too little."""

    @property
    def held(self) -> int:
        return sum(size for size, _ in self.lots)

    def place(self, given: Mapping[str, Any]) -> None:
        wish = Wish(len(self.wishes) + 1, **given)
        self.wishes.append(wish)
        if wish.trail is not None and self.last:
            wish.trigger = self.last + wish.side * wish.trail

    def cancel(self, number: int) -> None:
        for wish in self.wishes:
            if wish.number == number and wish.alive:
                wish.state = "cancelled"

    def fund(self, rate: Fraction, mark: int) -> None:
        self.cash -= self.held * mark * rate

    def take(self, candle: Candle) -> None:
        first, high, low, last = candle
        due = sorted((each for each in self.wishes if each.alive), key=lambda each: RANKS[each.kind])
        for wish in due:
            self._look(wish, first)
            if not wish.alive or wish.kind == "market":
                continue
            if self._waits(wish):
                self._follow(wish, first)
            elif wish.kept != "gtc":
                wish.state = "expired"
            else:
                wish.resting = True
        self._watch(first)
        for price in _path(first, high, low, last, self.held):
            self._watch(price, passed=True)
            for wish in due:
                self._look(wish, price)
            for wish in due:
                self._follow(wish, price)
            self._watch(price)
        self.last = last

    def _waits(self, wish: Wish) -> bool:
        return wish.kind not in ("market", "limit") and wish.state == "open"

    def _follow(self, wish: Wish, price: int) -> None:
        if wish.trail is not None and self._waits(wish):
            found = price + wish.side * wish.trail
            known = found if wish.trigger is None else wish.trigger
            wish.trigger = min(known, found) if wish.side > 0 else max(known, found)

    def _look(self, wish: Wish, price: int) -> None:
        if not wish.alive:
            return
        if self._waits(wish):
            upwards = (wish.side > 0) is not (wish.kind == "take_profit")
            if wish.trigger is None or (price < wish.trigger if upwards else price > wish.trigger):
                return
            wish.state = "triggered"
            if wish.limit is not None and (price - wish.limit) * wish.side > 0:
                wish.resting = True
                if wish.kept != "gtc":
                    wish.state = "expired"
                return
        if wish.limit is not None and (price - wish.limit) * wish.side > 0:
            return
        if wish.post_only and not wish.resting:
            wish.state = "refused"
            return
        self._fill(wish, price)

    def _fill(self, wish: Wish, price: int) -> None:
        held, size = self.held, wish.size
        rate = self.maker if wish.resting else self.taker
        against = held * wish.side < 0
        if wish.reduce_only:
            size = min(size, abs(held)) if against else 0
            if not size:
                wish.state = "cancelled"
                return
        closed = min(size, abs(held)) if against else 0
        opened = size - closed
        bound = 0 if closed else sum(abs(units) * paid for units, paid in self.lots)
        if opened:
            equity = self.cash + held * price - closed * price * rate
            if opened * price * (1 + rate) > equity * self.leverage - bound:
                wish.state = "refused"
                return
        wish.state = "filled"
        self.fills.append((wish.number, wish.side * size, price, wish.resting))
        self.cash -= wish.side * size * price + size * price * rate
        self._settle(wish.side * size, price)
        for other in self.wishes:
            if wish.group and other.group == wish.group and other.alive:
                other.state = "cancelled"

    def _settle(self, signed: int, price: int) -> None:
        while signed and self.lots and self.lots[0][0] * signed < 0:
            part = min(abs(signed), abs(self.lots[0][0]))
            sign = 1 if signed > 0 else -1
            self.lots[0][0] += sign * part
            signed -= sign * part
            if not self.lots[0][0]:
                self.lots.pop(0)
        if signed:
            self.lots.append([signed, price])

    def _watch(self, price: int, passed: bool = False) -> None:
        """Look whether the margin is used up at a price, or was before it was reached."""
        held = self.held
        left = self.cash + held * price - self.maintenance * abs(held) * price
        if held and self.liquidated is None and (left < 0 or (left == 0 and not passed)):
            self.liquidated = price


def _path(first: int, high: int, low: int, last: int, held: int) -> Iterable[int]:
    """All prices behind the open, one after the other."""
    if held:
        down = held > 0
    elif high - first != first - low:
        down = high - first > first - low
    else:
        down = last >= first
    at = first
    for to in (low, high, last) if down else (high, low, last):
        step = 1 if to > at else -1
        yield from range(at + step, to + step, step)
        at = to
