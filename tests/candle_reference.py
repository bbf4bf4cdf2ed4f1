"""Candles the slow way: every trade is kept, every candle computed from the sorted list of its trades."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from processors.candles.batches import Refusal
from processors.candles.rules import CandleRules
from schemas.records import Candle, Gap, LiveCandle, TimeMark, Trade

Output = Candle | tuple[int, Refusal]
CandleKey = tuple[str, int, int]  # market key, index of the interval, open time


@dataclass
class Feed:
    """What is known of one venue."""

    sources: dict[str, int] = field(default_factory=dict)
    """Time of each joined source."""
    last_words: dict[str, int] = field(default_factory=dict)
    watermark: float = -math.inf
    newest: float = -math.inf
    ended_at: float | None = None
    away: list[tuple[float, float]] = field(default_factory=list)
    """(from, to): candles with open < to and end > from lack trades."""
    absent: list[tuple[float, float]] = field(default_factory=list)
    """Likewise, but no source at all was there."""
    waiting: list[tuple[int, Trade]] = field(default_factory=list)


class ReferenceCandles:
    """Takes one record at a time, as the builder is meant to."""

    def __init__(self, rules: CandleRules) -> None:
        self.rules = rules
        self.feeds: defaultdict[str, Feed] = defaultdict(Feed)
        self.trades: defaultdict[CandleKey, list[Trade]] = defaultdict(list)
        self.accepted: list[Trade] = []
        self.seen: dict[tuple[str, int], Trade] = {}
        self.gaps: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        self.pending: set[CandleKey] = set()
        self.revisions: defaultdict[CandleKey, int] = defaultdict(int)
        self.stale_repeats: set[int] = set()
        """Offsets of repeats so old that a builder may have forgotten the first of them."""
        self.output: list[Output] = []
        self.untold: set[CandleKey] = set()
        self.live: list[LiveCandle] = []
        self.carried: dict[CandleKey, float] = {}
        """Candles made for want of trades, and the price that they carry."""

    def take(self, offset: int, record: Trade | TimeMark | Gap) -> None:
        match record:
            case Trade():
                self._trade(offset, record)
            case TimeMark():
                self._mark(record)
            case Gap() if record.status == "given_up":
                self._gap(record)

    def _trade(self, offset: int, trade: Trade) -> None:
        feed = self.feeds[trade.venue]
        if feed.newest > -math.inf and trade.event_time > feed.newest + self.rules.lead:
            feed.waiting.append((offset, trade))
            return
        key = f"{trade.venue}:{trade.symbol}"
        shortest = self.rules.intervals[0]
        opened = shortest.open_time(trade.event_time)
        too_late = opened + shortest.length + self.rules.grace + self.rules.hold <= feed.watermark
        if trade.sequence is not None and (first := self.seen.get((key, trade.sequence))) is not None:
            if too_late:
                self.stale_repeats.add(offset)
            elif said(first) != said(trade):
                self.output.append((offset, Refusal.OTHER_VALUES))
            return
        if too_late:
            self.output.append((offset, Refusal.TOO_LATE))
            return
        if trade.sequence is not None:
            self.seen[key, trade.sequence] = trade
        self.accepted.append(trade)
        was_written = (key, 0, opened) in self.revisions
        for index, interval in enumerate(self.rules.intervals):
            candle = (key, index, interval.open_time(trade.event_time))
            self.trades[candle].append(trade)
            self.pending.add(candle)
            self.untold.add(candle)
        self._carry_on(key, len(self.rules.intervals) if was_written else 1)

    def _gap(self, gap: Gap) -> None:
        key = f"{gap.venue}:{gap.symbol}"
        opened, closed = min(gap.from_time, gap.to_time), max(gap.from_time, gap.to_time)
        watermark = self.feeds[gap.venue].watermark
        for candle in list(self.revisions):
            length = self.rules.intervals[candle[1]].length
            held = candle[2] + length + self.rules.grace + self.rules.hold > watermark
            touched = candle[2] <= closed and candle[2] + length > opened
            if candle[0] == key and held and touched and self._is_complete(candle):
                self.pending.add(candle)
        self.gaps[key].append((opened, closed))

    def _mark(self, mark: TimeMark) -> None:
        feed = self.feeds[mark.venue]
        if mark.source not in feed.sources and not (mark.final and mark.time <= feed.watermark):
            if feed.sources:
                feed.away.append((min(feed.watermark, mark.time), mark.time))
            elif feed.ended_at is not None:
                feed.away.append((feed.ended_at, max(mark.time, feed.ended_at + 1)))
                feed.absent.append(feed.away[-1])
                feed.ended_at = None
            else:
                feed.away.append((-math.inf, mark.time))
                feed.absent.append(feed.away[-1])
            feed.sources[mark.source] = mark.time
        if mark.source in feed.sources:
            feed.sources[mark.source] = max(feed.sources[mark.source], mark.time)
            feed.newest = max(feed.newest, mark.time)
            if mark.final:
                ended = feed.sources.pop(mark.source)
                if feed.sources:
                    feed.away.append((ended, ended + 1))
                else:
                    feed.ended_at = ended
        waiting, feed.waiting = feed.waiting, []
        far = [offset for offset, trade in waiting if trade.event_time > feed.newest + self.rules.lead]
        for offset, trade in waiting:
            if offset not in far:
                self._trade(offset, trade)
        self.output += [(offset, Refusal.TOO_FAR_AHEAD) for offset in far]
        reached = min(feed.sources.values()) if feed.sources else feed.ended_at
        feed.watermark = max(feed.watermark, -math.inf if reached is None else reached)
        self._close(mark.venue, feed)

    def _close(self, venue: str, feed: Feed) -> None:
        if self.rules.carry:
            for key in {candle[0] for candle in self.trades if candle[0].startswith(f"{venue}:")}:
                self._carry(key, feed)
        due = [candle for candle in self.pending if self._is_due(candle, venue, feed)]
        for candle in sorted(due, key=lambda c: (c[0].encode(), c[1], c[2])):
            self.pending.discard(candle)
            self.output.append(self._candle(candle))
            self.revisions[candle] += 1
            self.untold.discard(candle)
        names = [interval.name for interval in self.rules.live]
        told = [
            candle
            for candle in self.untold
            if candle[0].startswith(f"{venue}:") and self.rules.intervals[candle[1]].name in names
        ]
        for candle in sorted(told, key=lambda c: (c[0].encode(), c[1], c[2])):
            self.untold.discard(candle)
            shown = self._candle(candle)
            fields = {name: getattr(shown, name) for name in LiveCandle.__struct_fields__[:-1]}
            self.live.append(LiveCandle(**fields, as_of=int(feed.watermark)))

    def _carry(self, key: str, feed: Feed) -> None:
        """Make the candles of intervals without trades that are due."""
        intervals, length = self.rules.intervals, self.rules.intervals[0].length
        self._carry_on(key, len(intervals))
        opened = min(candle[2] for candle, trades in self.trades.items() if candle[:2] == (key, 0) and trades)
        limit = feed.watermark - (0 if feed.ended_at is not None else self.rules.grace)
        absent = [*feed.absent, *([] if feed.ended_at is None else [(feed.ended_at, math.inf)])]
        while opened + length <= limit:
            shortest = (key, 0, opened)
            is_absent = any(opened < until and opened + length > since for since, until in absent)
            if not self.trades.get(shortest) and shortest not in self.carried and not is_absent:
                for index, interval in enumerate(intervals):
                    candle = (key, index, interval.open_time(opened))
                    if not self.trades.get(candle) and candle not in self.carried:
                        self.carried[candle] = self._price_before(candle)
                        self.pending.add(candle)
            opened += length

    def _carry_on(self, key: str, count: int) -> None:
        """Have candles without trades written again where the close before them has changed."""
        for candle, price in self.carried.items():
            is_empty = candle[0] == key and candle[1] < count and not self.trades.get(candle)
            if is_empty and (now := self._price_before(candle)) != price:
                self.carried[candle] = now
                self.pending.add(candle)

    def _price_before(self, candle: CandleKey) -> float:
        before = [
            trade
            for (key, index, _), trades in self.trades.items()
            if (key, index) == (candle[0], 0)
            for trade in trades
            if trade.event_time < candle[2]
        ]
        # Of trades of one moment without sequences the last to come holds.
        return sorted(before, key=order)[-1].price

    def _is_due(self, candle: CandleKey, venue: str, feed: Feed) -> bool:
        end = candle[2] + self.rules.intervals[candle[1]].length
        ended = feed.ended_at is not None
        return candle[0].startswith(f"{venue}:") and (ended or end + self.rules.grace <= feed.watermark)

    def _is_complete(self, candle: CandleKey) -> bool:
        opened, end = candle[2], candle[2] + self.rules.intervals[candle[1]].length
        feed = self.feeds[candle[0].partition(":")[0]]
        away = [*feed.away, *([] if feed.ended_at is None else [(feed.ended_at, math.inf)])]
        return not any(opened < until and end > since for since, until in away) and not any(
            opened <= until and end > since for since, until in self.gaps[candle[0]]
        )

    def _candle(self, candle: CandleKey) -> Candle:
        key, index, opened = candle
        interval = self.rules.intervals[index]
        trades = self.trades.get(candle, [])
        ordered = sorted(trades, key=order)
        price = 0.0 if ordered else self._price_before(candle)
        venue, _, symbol = key.partition(":")
        volume = math.fsum(trade.size for trade in trades)
        notional = math.fsum(trade.price * trade.size for trade in trades)
        sequences = [trade.sequence for trade in trades if trade.sequence is not None]
        return Candle(
            venue=venue,
            symbol=symbol,
            interval=interval.name,
            open_time=opened,
            close_time=opened + interval.length,
            open=ordered[0].price if ordered else price,
            high=max((trade.price for trade in trades), default=price),
            low=min((trade.price for trade in trades), default=price),
            close=ordered[-1].price if ordered else price,
            volume=volume,
            quote_volume=notional,
            taker_buy_volume=math.fsum(trade.size for trade in trades if trade.side == "buy"),
            trade_count=len(trades),
            first_sequence=min(sequences, default=None),
            last_sequence=max(sequences, default=None),
            revision=self.revisions[candle],
            complete=self._is_complete(candle),
            vwap=within(notional / volume, trades) if volume > 0 else None,
        )


def order(trade: Trade) -> tuple[int, int]:
    """Where a trade stands among those of its symbol."""
    return trade.event_time, -1 if trade.sequence is None else trade.sequence


def said(trade: Trade) -> tuple[float, float, str, int]:
    """What must be the same under the same sequence."""
    return trade.price, trade.size, trade.side, trade.event_time


def within(average: float, trades: Sequence[Trade]) -> float:
    """An average that rounding has not led out of the prices."""
    prices = [trade.price for trade in trades]
    return min(max(average, min(prices)), max(prices))
