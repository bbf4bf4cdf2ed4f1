"""Candles the slow way: every trade is kept, every candle computed from the sorted list of its trades."""

import math
from collections import defaultdict
from dataclasses import dataclass, field

from processors.candle_batches import Refusal
from processors.candle_rules import CandleRules
from schemas.records import Candle, Gap, TimeMark, Trade

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
    waiting: list[tuple[int, Trade]] = field(default_factory=list)


class ReferenceCandles:
    """Takes one record at a time, as the builder is meant to."""

    def __init__(self, rules: CandleRules) -> None:
        self.rules = rules
        self.feeds: defaultdict[str, Feed] = defaultdict(Feed)
        self.trades: defaultdict[CandleKey, list[Trade]] = defaultdict(list)
        self.seen: defaultdict[str, set[int]] = defaultdict(set)
        self.gaps: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        self.pending: set[CandleKey] = set()
        self.revisions: defaultdict[CandleKey, int] = defaultdict(int)
        self.stale_repeats: set[int] = set()
        """Offsets of repeats so old that a builder may have forgotten the first of them."""
        self.output: list[Output] = []

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
        if trade.sequence is not None and trade.sequence in self.seen[key]:
            if too_late:
                self.stale_repeats.add(offset)
            return
        if too_late:
            self.output.append((offset, Refusal.TOO_LATE))
            return
        if trade.sequence is not None:
            self.seen[key].add(trade.sequence)
        for index, interval in enumerate(self.rules.intervals):
            candle = (key, index, interval.open_time(trade.event_time))
            self.trades[candle].append(trade)
            self.pending.add(candle)

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
                feed.ended_at = None
            else:
                feed.away.append((-math.inf, mark.time))
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
        due = [candle for candle in self.pending if self._is_due(candle, venue, feed)]
        for candle in sorted(due, key=lambda c: (c[0].encode(), c[1], c[2])):
            self.pending.discard(candle)
            self.output.append(self._candle(candle))
            self.revisions[candle] += 1

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
        _, index, opened = candle
        interval = self.rules.intervals[index]
        trades = self.trades[candle]
        ordered = sorted(trades, key=lambda t: (t.event_time, -1 if t.sequence is None else t.sequence))
        volume = math.fsum(trade.size for trade in trades)
        notional = math.fsum(trade.price * trade.size for trade in trades)
        sequences = [trade.sequence for trade in trades if trade.sequence is not None]
        return Candle(
            venue=trades[0].venue,
            symbol=trades[0].symbol,
            interval=interval.name,
            open_time=opened,
            close_time=opened + interval.length,
            open=ordered[0].price,
            high=max(trade.price for trade in trades),
            low=min(trade.price for trade in trades),
            close=ordered[-1].price,
            volume=volume,
            quote_volume=notional,
            taker_buy_volume=math.fsum(trade.size for trade in trades if trade.side == "buy"),
            trade_count=len(trades),
            first_sequence=min(sequences, default=None),
            last_sequence=max(sequences, default=None),
            revision=self.revisions[candle],
            complete=self._is_complete(candle),
            vwap=notional / volume if volume > 0 else None,
        )
