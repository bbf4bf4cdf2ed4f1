"""Prices of venues to signals, for the symbols of one partition. Pure.

A price is the close of a candle as it was first written: revisions come when others may have been judged
already, and so have no say. At each open time at which one of the venues has a candle, a symbol is judged
once all its venues have passed the end and the grace: what could come has come then, in whichever order the
lanes of the venues lie in the log. A price that comes by its lane after that is late and left out, whether
the judgement was held up by another venue or not. So the signals depend on the times in the data alone.
"""

import math
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final, TypeAlias

import msgspec

from infra.kafka.partitioner import partition_of
from processors.engine.snapshots import read_snapshot, write_snapshot
from processors.spreads.clocks import SavedClocks, VenueClocks
from processors.spreads.plan import STATE_VERSION, SpreadChoice, SpreadPlan
from processors.spreads.rule import cheapest, spread_bps
from schemas.identity import candle_id, market_key, signal_id
from schemas.records import Micros, Signal, TimeMark, VenuePrice

WAITING_MAX: Final = 200_000
"""Prices that wait for a venue that is behind; then the oldest are given up, so that memory is bounded."""


class Price(msgspec.Struct, array_like=True, frozen=True):
    """A price of a symbol at a venue: the close of a candle."""

    open_time: Micros
    price: float
    complete: bool


Prices: TypeAlias = dict[str, Price]
"""By venue."""


@dataclass(slots=True)
class _Judge:
    """The state of one rule.

    Attributes:
        waiting: Prices by open time and symbol that are not judged yet.
        order: The open times in `waiting`, as a heap.
        last: The newest prices that were judged, by symbol.
        reached: Symbols whose spread was at the threshold or above when it was last judged.
        judged: All open times up to this one are judged; None before the first.
    """

    waiting: dict[Micros, dict[str, Prices]] = field(default_factory=dict)
    order: list[Micros] = field(default_factory=list)
    last: dict[str, Prices] = field(default_factory=dict)
    reached: set[str] = field(default_factory=set)
    judged: Micros | None = None


class _Saved(msgspec.Struct, array_like=True):
    waiting: list[tuple[Micros, list[tuple[str, list[tuple[str, Price]]]]]]
    last: list[tuple[str, list[tuple[str, Price]]]]
    reached: list[str]
    judged: Micros | None


class _Rest(msgspec.Struct, array_like=True):
    judges: list[_Saved]
    clocks: SavedClocks


@dataclass(slots=True)
class SpreadCounts:
    """What has happened since this object was made.

    Attributes:
        late: Prices that came by their lane after the mark that should have followed them.
        given_up: Prices that waited for a venue when there were too many.
    """

    late: int = 0
    given_up: int = 0


class SpreadBook:
    """The state of one partition.

    Args:
        plan: What is compared.
    """

    def __init__(self, plan: SpreadPlan) -> None:
        self._plan = plan
        self.counts = SpreadCounts()
        self._clocks = VenueClocks(plan.partitions)
        self._judges = [_Judge() for _ in plan.choices]
        self._level = 0
        self._lanes: dict[tuple[str, str], int] = {}
        self._positions: dict[tuple[str, str], tuple[int, ...]] = {}

    def take_price(self, price: VenuePrice) -> None:
        """Take the price of a candle that has closed; repeats change nothing."""
        if price.revision > 0 or not (math.isfinite(price.price) and price.price > 0):
            return
        self._clocks.see(price.venue)
        due = price.close_time + self._plan.grace
        if self._clocks.has_passed(price.venue, self._lane(price.venue, price.symbol), due):
            self.counts.late += 1
            return
        for position in self._choices(price.interval, price.symbol):
            choice, judge = self._plan.choices[position], self._judges[position]
            if choice.venues and price.venue not in choice.venues:
                continue
            if judge.judged is not None and price.open_time <= judge.judged:
                continue
            if price.open_time not in judge.waiting:
                heappush(judge.order, price.open_time)
            symbols = judge.waiting.setdefault(price.open_time, {})
            prices = symbols.setdefault(price.symbol, {})
            if price.venue not in prices:
                prices[price.venue] = Price(price.open_time, price.price, price.complete)
                self._level += 1
        while self._level > WAITING_MAX:
            self._give_up()

    def take_mark(self, mark: TimeMark) -> tuple[list[Signal], TimeMark | None]:
        """Take a mark of a lane.

        Returns:
            The signals that were due, in order of the rules, open time and symbol; and the mark that says
            how far all lanes of the source are, to be written after them, if that has changed.

        Raises:
            ValidationError: The mark names no lane.
        """
        source = self._clocks.take(mark)
        signals: list[Signal] = []
        for choice, judge in zip(self._plan.choices, self._judges, strict=True):
            horizon = self._clocks.horizon(choice.venues) - self._plan.grace - choice.length
            while judge.order and judge.order[0] <= horizon:
                opened, symbols = self._next(judge)
                for symbol, prices in sorted(symbols.items()):
                    signals += self._judge(choice, judge, symbol, opened, prices)
                judge.judged = opened
            if math.isfinite(horizon):
                reached = int(horizon)
                judge.judged = reached if judge.judged is None else max(reached, judge.judged)
        return signals, self._clocks.forward(mark.venue, source)

    def _judge(
        self, choice: SpreadChoice, judge: _Judge, symbol: str, opened: Micros, prices: Prices
    ) -> list[Signal]:
        last = judge.last.setdefault(symbol, {})
        last.update(prices)
        oldest = opened - choice.rule.max_age * choice.length
        held = {venue: price for venue, price in sorted(last.items()) if price.open_time >= oldest}
        complete = all(price.complete for price in held.values())
        if len(held) < 2 or not (complete or self._plan.on_incomplete):
            return []
        numbers = {venue: price.price for venue, price in held.items()}
        spread = spread_bps(numbers)
        if not choice.rule.is_reached(spread):
            judge.reached.discard(symbol)
            return []
        if symbol in judge.reached:
            return []
        judge.reached.add(symbol)
        venue = cheapest(numbers)
        return [
            Signal(
                id=signal_id(venue, symbol, choice.interval, opened, choice.rule.label),
                venue=venue,
                symbol=symbol,
                interval=choice.interval,
                open_time=opened,
                event_time=opened + choice.length,
                rule=choice.rule.label,
                direction="long",
                strength=choice.rule.strength(spread),
                values={**numbers, "spread_bps": spread},
                candle_id=candle_id(venue, symbol, choice.interval, held[venue].open_time, 0),
                complete=complete,
            )
        ]

    def _give_up(self) -> None:
        level = self._level
        self._next(min((judge for judge in self._judges if judge.order), key=lambda judge: judge.order[0]))
        self.counts.given_up += level - self._level

    def _next(self, judge: _Judge) -> tuple[Micros, dict[str, Prices]]:
        """Take out the prices of the oldest open time that waits."""
        opened = heappop(judge.order)
        symbols = judge.waiting.pop(opened)
        self._level -= sum(map(len, symbols.values()))
        return opened, symbols

    def _lane(self, venue: str, symbol: str) -> int:
        """The partition of candles that a market's come from: that of its key."""
        lane = self._lanes.get((venue, symbol))
        if lane is None:
            lane = partition_of(market_key(venue, symbol).encode(), self._plan.partitions)
            self._lanes[venue, symbol] = lane
        return lane

    def _choices(self, interval: str, symbol: str) -> tuple[int, ...]:
        found = self._positions.get((interval, symbol))
        if found is None:
            found = self._positions[interval, symbol] = tuple(self._plan.choices_of(interval, symbol))
        return found

    def snapshot(self) -> bytes:
        """The whole state; equal states give equal bytes."""
        judges = [
            _Saved(
                [(opened, _sorted(symbols)) for opened, symbols in sorted(judge.waiting.items())],
                _sorted(judge.last),
                sorted(judge.reached),
                judge.judged,
            )
            for judge in self._judges
        ]
        return write_snapshot(STATE_VERSION, self._plan.digest, {}, _Rest(judges, self._clocks.save()))

    def restore(self, snapshot: bytes) -> None:
        """Replace the state by that of a snapshot.

        Raises:
            ForeignSnapshotError: It is of another version or another plan, or damaged; the state is
            unchanged.
        """
        _, rest = read_snapshot(STATE_VERSION, self._plan.digest, (), _Rest, snapshot)
        self._judges = [
            _Judge(
                {opened: _prices(symbols) for opened, symbols in saved.waiting},
                [opened for opened, _ in saved.waiting],
                _prices(saved.last),
                set(saved.reached),
                saved.judged,
            )
            for saved in rest.judges
        ]
        waiting = [symbols for judge in self._judges for symbols in judge.waiting.values()]
        self._level = sum(len(prices) for symbols in waiting for prices in symbols.values())
        self._clocks.load(rest.clocks)


def _sorted(symbols: dict[str, Prices]) -> list[tuple[str, list[tuple[str, Price]]]]:
    return [(symbol, sorted(prices.items())) for symbol, prices in sorted(symbols.items())]


def _prices(saved: list[tuple[str, list[tuple[str, Price]]]]) -> dict[str, Prices]:
    return {symbol: dict(prices) for symbol, prices in saved}
