"""Bars the slow way: every bar is computed from the sorted list of its trades."""

import math
from collections import defaultdict

from processors.bars.plan import BarPlan, BarSpec
from processors.candles.rules import CandleRules
from schemas.records import Gap, TimeMark, Trade, TradeBar
from tests.candle_reference import Feed, ReferenceCandles, order, within

DAY = 86_400_000_000


class ReferenceBars:
    """Takes one record at a time; which trades count, and how far feeds have come, the candles tell."""

    def __init__(self, plan: BarPlan, rules: CandleRules) -> None:
        self.plan = plan
        self.candles = ReferenceCandles(rules)
        self.waiting: list[Trade] = []
        self.frontiers: defaultdict[str, float] = defaultdict(float)
        self.open: defaultdict[tuple[str, int], list[Trade]] = defaultdict(list)
        self.numbers: defaultdict[tuple[str, int, int], int] = defaultdict(int)
        self.late = 0
        self.closed: list[tuple[str, int, TradeBar]] = []
        self.output: list[TradeBar] = []

    def take(self, offset: int, record: Trade | TimeMark | Gap) -> None:
        known = len(self.candles.accepted)
        self.candles.take(offset, record)
        for trade in self.candles.accepted[known:]:
            is_late = trade.event_time < self.frontiers[trade.venue]
            self.late += is_late
            self.waiting += [] if is_late else [trade]
        if isinstance(record, TimeMark):
            self._mark(record.venue, self.candles.feeds[record.venue])

    def _mark(self, venue: str, feed: Feed) -> None:
        mine = [trade for trade in self.waiting if trade.venue == venue]
        frontier = feed.watermark - self.plan.grace + 1
        if feed.ended_at is not None:
            frontier = max(frontier, feed.ended_at, *(trade.event_time + 1 for trade in mine))
        self.frontiers[venue] = max(self.frontiers[venue], frontier)
        ready = [trade for trade in mine if trade.event_time < self.frontiers[venue]]
        self.waiting = [t for t in self.waiting if t.venue != venue or t.event_time >= self.frontiers[venue]]
        for trade in sorted(ready, key=order):
            for index, spec in enumerate(self.plan.specs):
                if spec.covers(f"{venue}:{trade.symbol}"):
                    self._add(index, spec, trade)
        for (key, index), trades in list(self.open.items()):
            end = trades[0].event_time // DAY * DAY + DAY if trades else math.inf
            if key.startswith(f"{venue}:") and end + self.plan.grace <= feed.watermark:
                self._close(key, index, full=False)
        self.closed.sort(key=lambda entry: (entry[0].encode(), entry[1], entry[2].session, entry[2].number))
        self.output += [bar for _, _, bar in self.closed]
        self.closed = []

    def _add(self, index: int, spec: BarSpec, trade: Trade) -> None:
        key = f"{trade.venue}:{trade.symbol}"
        trades = self.open[key, index]
        if trades and trades[0].event_time // DAY != trade.event_time // DAY:
            self._close(key, index, full=False)
        trades = self.open[key, index]
        trades.append(trade)
        amounts = {
            "tick": [1.0 for _ in trades],
            "volume": [each.size for each in trades],
            "value": [each.size * each.price for each in trades],
        }
        if math.fsum(amounts[spec.kind]) >= spec.threshold * (1 - 1e-12):
            self._close(key, index, full=True)

    def _close(self, key: str, index: int, *, full: bool) -> None:
        trades = self.open.pop((key, index))
        spec = self.plan.specs[index]
        session = trades[0].event_time // DAY * DAY
        end = trades[-1].event_time if full else session + DAY
        feed = self.candles.feeds[trades[0].venue]
        away = [*feed.away, *([] if feed.ended_at is None else [(feed.ended_at, math.inf)])]
        is_away = any(session < until and end > since for since, until in away)
        misses = any(session <= until and end >= since for since, until in self.candles.gaps[key])
        volume = math.fsum(trade.size for trade in trades)
        value = math.fsum(trade.size * trade.price for trade in trades)
        sequences = [trade.sequence for trade in trades if trade.sequence is not None]
        bar = TradeBar(
            venue=trades[0].venue,
            symbol=trades[0].symbol,
            kind=spec.kind,
            threshold=spec.threshold,
            session=session,
            number=self.numbers[key, index, session],
            open_time=trades[0].event_time,
            close_time=trades[-1].event_time,
            open=trades[0].price,
            high=max(trade.price for trade in trades),
            low=min(trade.price for trade in trades),
            close=trades[-1].price,
            volume=volume,
            quote_volume=value,
            taker_buy_volume=math.fsum(trade.size for trade in trades if trade.side == "buy"),
            trade_count=len(trades),
            first_sequence=min(sequences, default=None),
            last_sequence=max(sequences, default=None),
            vwap=within(value / volume, trades) if volume > 0 else None,
            full=full,
            complete=not (is_away or misses),
        )
        self.numbers[key, index, session] += 1
        self.closed.append((key, index, bar))
