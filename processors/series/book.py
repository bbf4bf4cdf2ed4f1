"""Closed candles to indicator values and signals, for all series of one partition.

Pure: values in, values out. A series is one venue, symbol and interval. A revision of its newest candle is
applied to the state before that candle; an older revision is only counted.

The venue's own history (`backfilled`) warms indicators up: their values are written, but no signal comes from
it, and the candles built here outweigh it. One that is not newer than the newest candle is dropped; a candle
of ours for the same interval takes its place, as a revision does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from processors.engine.pages import Page
from processors.indicator import State
from processors.series.machine import Failure, Firing, Machine, raise_failure
from processors.series.plan import STATE_VERSION, Choice, SeriesPlan, T
from processors.series.shelf import Name, SeriesShelf
from schemas.identity import market_key
from schemas.records import Candle, IndicatorValue, Signal

REPLAYED = 4
"""Candles that are folded again for a revision or a checkpoint, at most; the state is copied once in so many:
the more, the cheaper a candle, and the dearer a checkpoint."""


@dataclass(slots=True)
class SeriesCounts:
    """What has happened to the candles of a partition since this object was made.

    Attributes:
        applied: Taken as the newest of their series.
        revised: Revisions of the newest candle, applied.
        repeats: Seen before, dropped.
        too_old: Revisions of older candles, or candles from before the newest one: not applied.
        history: Candles of the venue's history that are not newer than the newest one: dropped.
    """

    applied: int = 0
    revised: int = 0
    repeats: int = 0
    too_old: int = 0
    history: int = 0


class _Packed(msgspec.Struct, array_like=True):
    """A series at rest: a state, the candles since then, and the rules that fired at the last of them."""

    base: list[State]
    since: list[Candle]
    fired: list[str]


_UNPACK = msgspec.msgpack.Decoder(_Packed)


def _chosen(choices: Sequence[Choice[T]], key: str, interval: str) -> list[T]:
    """What runs on a series, once each where choices overlap."""
    covering = [choice.prototype for choice in choices if choice.covers(key, interval)]
    return list({prototype.label: prototype for prototype in covering}.values())


class Series:
    """The state of one series.

    Kept once, after the newest candle. For a revision it is rebuilt: from the state at some earlier candle,
    and the few candles since then.
    """

    def __init__(self, plan: SeriesPlan, key: str, interval: str, failed: Failure) -> None:
        indicators = _chosen(plan.indicators, key, interval)
        rules = _chosen(plan.rules, key, interval)
        self._on_incomplete = plan.on_incomplete
        self._published = [name for indicator in indicators for name in indicator.names().values()]
        self._machine = Machine(indicators, rules, gapless=plan.gapless, failed=failed)
        self._base = self._machine.states()
        self._since: list[Candle] = []
        self._fired: set[str] = set()

    def take(self, candle: Candle, counts: SeriesCounts) -> list[IndicatorValue | Signal]:
        """Values and signals of a candle; none if it is a repeat or too old."""
        newest = self._since[-1] if self._since else None
        if newest is None or candle.open_time > newest.open_time:
            if len(self._since) == REPLAYED:
                self._base, self._since = self._machine.states(), []
            self._fired.clear()
            counts.applied += 1
        elif candle.backfilled:
            counts.history += 1
            return []
        elif candle.open_time < newest.open_time:
            if candle.revision > 0:
                counts.too_old += 1
            else:
                counts.repeats += 1
            return []
        elif candle.revision <= newest.revision and not newest.backfilled:
            counts.repeats += 1
            return []
        else:
            self._since.pop()
            self._rewind()
            counts.revised += 1
        self._since.append(candle)
        return self._records(candle, *self._machine.update(candle))

    def _rewind(self) -> None:
        """Make the state anew from what is kept."""
        self._machine.restore(self._base)
        for candle in self._since:
            self._machine.update(candle)

    def _records(
        self, candle: Candle, values: Mapping[str, float], fired: Sequence[Firing]
    ) -> list[IndicatorValue | Signal]:
        venue, symbol, interval, opened = candle.venue, candle.symbol, candle.interval, candle.open_time
        records: list[IndicatorValue | Signal] = [
            IndicatorValue(
                venue, symbol, interval, opened, name, values[name], candle.revision, candle.complete
            )
            for name in self._published
            if name in values
        ]
        if candle.backfilled:
            return records
        for firing in fired:
            if firing.rule in self._fired or not (firing.sound or self._on_incomplete):
                continue
            self._fired.add(firing.rule)
            records.append(firing.signal(candle))
        return records

    def pack(self) -> bytes:
        """See `shelf.Sleeper`."""
        return msgspec.msgpack.encode(_Packed(self._base, self._since, sorted(self._fired)))

    def unpack(self, packed: bytes) -> None:
        """See `shelf.Sleeper`."""
        found = _UNPACK.decode(packed)
        self._base, self._since, self._fired = found.base, found.since, set(found.fired)
        self._rewind()


class SeriesBook:
    """Folds the closed candles of one partition into indicator values and signals.

    Candles of a series come in order of open time, as the builder writes them; repeats are dropped. Not safe
    for two threads at once.

    Args:
        plan: What is computed.
        failed: Told of an indicator or a rule that raises; it has no value for that candle then. What
            `failed` raises comes out of `fold`.
    """

    def __init__(self, plan: SeriesPlan, failed: Failure = raise_failure) -> None:
        self.plan = plan
        self._failed = failed
        self.counts = SeriesCounts()
        self._shelf = SeriesShelf(self._empty, self._kind, STATE_VERSION, plan.digest)

    def fold(self, candle: Candle) -> list[IndicatorValue | Signal]:
        """Values in the order of the plan, then signals."""
        name = (candle.venue, candle.symbol, candle.interval)
        return self._shelf.take(name, candle.open_time, candle.close_time).take(candle, self.counts)

    @property
    def awake(self) -> int:
        """Series in memory; the others rest, as in the checkpoint, until their next candle."""
        return self._shelf.awake

    def _empty(self, name: Name) -> Series:
        venue, symbol, interval = name
        return Series(self.plan, market_key(venue, symbol), interval, self._failed)

    def _kind(self, name: Name) -> tuple[str, ...]:
        """The indicators and rules of a series."""
        venue, symbol, interval = name
        key = market_key(venue, symbol)
        chosen = (*_chosen(self.plan.indicators, key, interval), *_chosen(self.plan.rules, key, interval))
        return tuple(part.label for part in chosen)

    def pages(self) -> Iterable[Page]:
        """The state, see `pages.Paged`."""
        return self._shelf.pages()

    def load(self, pages: Mapping[str, bytes]) -> None:
        """Replace the state by what was saved.

        Raises:
            ForeignSnapshotError: It is of another version or another plan, or damaged; the state is
                unchanged.
        """
        self._shelf.load(pages)
