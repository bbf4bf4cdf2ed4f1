"""Flow values by plain Python over records: what the states must give."""

import math
from collections.abc import Sequence

from schemas.records import BookUpdate, Gap, IndicatorValue, Quote, TimeMark
from tests.flow_records import Item

SECOND = 1_000_000
Levels = list[tuple[float, float]]


def top(name: str, bid: tuple[float, float], ask: tuple[float, float]) -> dict[str, float]:
    """The four values of the best bid and ask."""
    values = {f"{name}.spread": ask[0] - bid[0], f"{name}.mid": (bid[0] + ask[0]) / 2}
    total = bid[1] + ask[1]
    if total > 0:
        values[f"{name}.imbalance"] = (bid[1] - ask[1]) / total
        values[f"{name}.microprice"] = (bid[0] * ask[1] + ask[0] * bid[1]) / total
    return values


def depth(name: str, bids: Levels, asks: Levels) -> dict[str, float]:
    """The imbalance of these levels."""
    bid, ask = (math.fsum(size for _, size in side) for side in (bids, asks))
    return {f"{name}.imbalance": (bid - ask) / (bid + ask)} if bids and asks else {}


def watermarks(items: Sequence[Item]) -> list[tuple[int, TimeMark, int | None, bool]]:
    """Of each mark: its place, itself, the second that it made its venue pass, whether the feed has ended."""
    sources: dict[str, dict[str, TimeMark]] = {}
    reached: dict[str, int] = {}
    found: list[tuple[int, TimeMark, int | None, bool]] = []
    for place, item in enumerate(items):
        if not isinstance(item, TimeMark):
            continue
        venue = sources.setdefault(item.venue, {})
        before = reached.get(item.venue)
        known = venue.get(item.source)
        if known is None and item.final and before is not None and item.time <= before:
            found.append((place, item, None, bool(venue) and all(m.final for m in venue.values())))
            continue
        is_late = known is not None and item.time <= known.time
        if known is not None and known.final and is_late and (item.final or item.instance == known.instance):
            found.append((place, item, None, all(m.final for m in venue.values())))
            continue
        goes_back = known is not None and not known.final and is_late
        item_time = known.time if known is not None and goes_back else item.time
        venue[item.source] = TimeMark(item.venue, item.source, item_time, item.final, item.instance)
        alive = [mark.time for mark in venue.values() if not mark.final]
        after = min(alive, default=item_time)
        reached[item.venue] = after = after if before is None else max(before, after)
        passed = None if before is None or after // SECOND == before // SECOND else after // SECOND - 1
        found.append((place, item, passed, not alive))
    return found


def reference(items: Sequence[Item], levels: Sequence[int]) -> list[tuple[TimeMark, list[IndicatorValue]]]:
    """All marks with the values before them.

    Args:
        items: The log; ids of quotes and books may repeat.
        levels: Depths of the book whose imbalance is wanted.
    """
    states: dict[tuple[str, str], _Market] = {}
    marks = {place: (mark, passed, ended) for place, mark, passed, ended in watermarks(items)}
    found: list[tuple[TimeMark, list[IndicatorValue]]] = []
    for place, item in enumerate(items):
        if isinstance(item, TimeMark):
            mark, passed, ended = marks[place]
            values: list[IndicatorValue] = []
            for name, market in sorted(states.items()):
                if name[0] != mark.venue:
                    continue
                if passed is not None and market.is_fresh:
                    values += market.values(name, passed * SECOND, levels)
                    market.is_fresh = False
                market.is_sound &= not ended
            found.append((mark, values))
        elif isinstance(item, Gap):
            if item.status != "filled" and (item.venue, item.symbol) in states:
                states[item.venue, item.symbol].is_sound = False
        else:
            states.setdefault((item.venue, item.symbol), _Market()).take(item)
    return found


class _Market:
    def __init__(self) -> None:
        self.quote: Quote | None = None
        self.bids: dict[float, float] | None = None
        self.asks: dict[float, float] = {}
        self.last: int | None = None
        self.is_fresh = self.is_sound = False

    def take(self, item: Quote | BookUpdate) -> None:
        if isinstance(item, Quote):
            if item.sequence is not None:
                if self.last is not None and item.sequence <= self.last:
                    return
                self.last = item.sequence
            self.quote, self.is_fresh, self.is_sound = item, True, True
            return
        if item.kind == "snapshot":
            self.bids, self.asks, self.last, self.is_sound = {}, {}, item.last_sequence, True
        elif self.bids is None:
            return
        elif self.last is not None and item.last_sequence is not None:
            if item.last_sequence <= self.last:
                return
            assert item.first_sequence is not None
            self.is_sound &= item.first_sequence <= self.last + 1
            self.last = item.last_sequence
        self.is_fresh = True
        for side, prices, sizes in (
            (self.bids, item.bid_prices, item.bid_sizes),
            (self.asks, item.ask_prices, item.ask_sizes),
        ):
            side.update(zip(prices, sizes, strict=True))
            for price in [price for price, size in side.items() if not size]:
                del side[price]

    def values(self, name: tuple[str, str], opened: int, levels: Sequence[int]) -> list[IndicatorValue]:
        found: dict[str, float] = {}
        if self.quote is not None:
            quote = self.quote
            if quote.bid is not None and quote.ask is not None:
                found = top("quote", (quote.bid, quote.bid_size), (quote.ask, quote.ask_size))
        elif self.bids is not None:
            bids, asks = sorted(self.bids.items(), reverse=True), sorted(self.asks.items())
            if bids and asks:
                found = top("book_top", bids[0], asks[0])
            for count in levels:
                found |= depth(f"book_{count}", bids[:count], asks[:count])
        return [
            IndicatorValue(*name, "1s", opened, full, value, 0, self.is_sound)
            for full, value in found.items()
        ]
