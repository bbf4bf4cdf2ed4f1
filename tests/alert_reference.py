"""Price alerts in plain Python: every trade that counts is kept, every alert looks at all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from processors.alerts.versions import Version
from schemas.records import TimeMark, Trade
from tests.candle_stream import Item

SECOND = 1_000_000
Fired = tuple[str, int, float, str, float]
"""Alert id, event time, price, direction, reference."""


@dataclass
class _Watch:
    version: Version
    trades: list[Trade] = field(default_factory=list)
    fired: list[Fired] = field(default_factory=list)
    side: int = 0
    armed: bool = True

    def take(self, trade: Trade) -> Fired | None:
        alert = self.version.alert
        if not alert.event_time <= trade.event_time < self.version.until:
            return None
        if (trade.venue, trade.symbol) != (alert.venue, alert.symbol):
            return None
        before = self.trades[-1].price if self.trades else 0.0
        found = self._crossing(trade.price, before) if alert.kind == "crosses" else self._condition(trade)
        self.trades.append(trade)
        if found is None:
            self.armed = True
            return None
        over = bool(self.fired) and (not alert.repeats or self.fired[-1][1] == trade.event_time)
        if over or not self.armed:
            return None
        if alert.kind == "crosses":
            self.side = -self.side
        else:
            self.armed = False
        direction, reference = found
        self.fired.append((alert.id, trade.event_time, trade.price, direction, reference))
        return self.fired[-1]

    def _crossing(self, price: float, before: float) -> tuple[str, float] | None:
        now = (price > self.version.alert.level) - (price < self.version.alert.level)
        if now == 0 or now == self.side:
            return None
        if self.side == 0:
            self.side = now
            return None
        return ("long" if now > 0 else "short"), before

    def _condition(self, trade: Trade) -> tuple[str, float] | None:
        alert, price = self.version.alert, trade.price
        if alert.kind == "above":
            return ("long", 0.0) if price >= alert.level else None
        if alert.kind == "below":
            return ("short", 0.0) if price <= alert.level else None
        begin = trade.event_time // SECOND - alert.window_s
        prices = [each.price for each in self.trades if each.event_time // SECOND >= begin]
        if not prices:
            return None
        low, high = min(prices), max(prices)
        rise, fall = price / low - 1, 1 - price / high
        if rise * 100 >= alert.level - 1e-9 and rise >= fall - 1e-12:
            return "long", low
        return ("short", high) if fall * 100 >= alert.level - 1e-9 else None


class ReferenceAlerts:
    """All alerts over all that a partition brings."""

    def __init__(self, versions: Sequence[Version], lead: int) -> None:
        self._watches = [_Watch(version) for version in versions]
        self._lead = lead
        self._marked: dict[str, int] = {}
        self._counted: dict[tuple[str, str], list[Trade]] = {}
        self._waiting: list[Trade] = []

    def fold(self, items: Sequence[Item]) -> list[Fired]:
        fired: list[Fired] = []
        for item in items:
            if isinstance(item, TimeMark):
                self._marked[item.venue] = max(item.time, self._marked.get(item.venue, item.time))
                mine = [trade for trade in self._waiting if trade.venue == item.venue]
                self._waiting = [trade for trade in self._waiting if trade.venue != item.venue]
                for trade in mine:
                    if trade.event_time <= self._marked[item.venue] + self._lead:
                        fired += self._take(trade)
            elif isinstance(item, Trade) and item.venue in self._marked and item.price > 0:
                if item.event_time > self._marked[item.venue] + self._lead:
                    self._waiting.append(item)
                else:
                    fired += self._take(item)
        return fired

    def _take(self, trade: Trade) -> list[Fired]:
        counted = self._counted.setdefault((trade.venue, trade.symbol), [])
        newest = counted[-1].event_time if counted else trade.event_time
        highest = max(
            (-1 if each.sequence is None else each.sequence for each in counted if each.event_time == newest),
            default=-1,
        )
        if trade.event_time < newest:
            return []
        if trade.event_time == newest and trade.sequence is not None and trade.sequence <= highest:
            return []
        counted.append(trade)
        found = [watch.take(trade) for watch in self._watches]
        return sorted(each for each in found if each is not None)
