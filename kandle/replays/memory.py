"""How many candles an indicator or a rule remembers: found by trying, as users bring some of their own.

A replay that begins in the midst of the live run has not seen what was before. A simple average forgets that
once its window has passed, and is equal from then on to the last bit. An exponential one never does: what is
left of the past gets ever smaller, and where it vanishes in rounding is chance. Two instances, of which one
has seen other candles before, tell which is which.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, Final

import numpy as np

from infra.keyed_rows import Column, Ints, Mask, Rows, group
from processors.indicator import Indicator
from processors.intervals import INTERVALS, Interval
from processors.series.machine import Machine
from processors.series.plan import SeriesPlan
from processors.signal import SignalRule
from schemas.records import Candle

BEFORE: Final = 400
RULE: Final = "rule"
"""The column that names the rule of a signal; that of a value is `name`."""
TRIED: Final = 2_000
"""Candles that both see: more than a day of minutes, so that what is counted anew each day is found to be."""
VANISHING: Final = 1e-6
"""A last difference that is smaller, in proportion, has faded and not ended."""
START: Final = 1_700_006_400_000_000
"""A midnight (UTC). Both see what comes after the first candle of that day: the longest way to the next."""

Kept = Mapping[tuple[str, str], int | None]
"""By interval and name: candles; None: for ever."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered.

    Attributes:
        values: By interval and full name of a value.
        rules: By interval and label of a rule.
    """

    values: Kept
    rules: Kept


def memory_of(plan: SeriesPlan, intervals: Sequence[str]) -> Memory:
    """What indicators and rules of a plan remember; takes some milliseconds for each."""
    values: dict[tuple[str, str], int | None] = {}
    rules: dict[tuple[str, str], int | None] = {}
    for name in intervals:
        interval = INTERVALS[name]
        for indicator in (choice.prototype for choice in plan.indicators):
            kept = _of_indicator(indicator, interval)
            values |= {(name, full): kept for full in indicator.names().values()}
        for rule in (choice.prototype for choice in plan.rules):
            rules[name, rule.label] = _of_rule(rule, interval)
    return Memory(values, rules)


class Series:
    """The candles of each series that a replay has made, by which one can tell what it has forgotten.

    Args:
        candles: Its candles, from where on it has seen everything.
        memory: What indicators and rules remember.
    """

    def __init__(self, candles: Rows, memory: Memory) -> None:
        self._memory = memory
        self._times: dict[tuple[int, str], Ints] = {}
        if not len(candles):
            return
        columns = candles.columns
        for (number, interval), of in _groups(candles, "interval"):
            self._times[number, interval] = np.sort(columns["time"].values[of])

    def forgotten(self, rows: Rows, name: str) -> Mask:
        """Which rows are of a time by which what was before the replay is forgotten.

        Args:
            rows: Values, or signals.
            name: The column that names the indicator or the rule.
        """
        mask = np.zeros(len(rows), np.bool_)
        times = rows.columns["time"].values
        memory = self._memory.rules if name == RULE else self._memory.values
        for (number, interval, label), of in _groups(rows, "interval", name):
            kept = memory.get((interval, label))
            known = self._times.get((number, interval))
            if kept is not None and known is not None and kept < len(known):
                mask |= of & (times >= known[kept])
        return mask

    def notes(self, name: str) -> list[str]:
        """What is compared from when on, for people; `name` as in `forgotten`."""
        memory = self._memory.rules if name == RULE else self._memory.values
        ends: dict[int, list[str]] = {}
        for (interval, label), kept in memory.items():
            if kept is not None:
                ends.setdefault(kept, []).append(f"{label} of {interval}")
        told = [
            f"after {kept:,} whole candles of a series: {', '.join(labels)}"
            for kept, labels in sorted(ends.items())
        ]
        endless = sorted({label for (_, label), kept in memory.items() if kept is None})
        if endless:
            told.append(f"not compared, as they never forget what was before: {', '.join(endless)}")
        return told


def _groups(rows: Rows, *names: str) -> Iterator[tuple[tuple[Any, ...], Mask]]:
    """Rows by the number of their instrument and some texts."""
    columns = [rows.columns[name] for name in ("instrument_id", *names)]
    codes, _ = group([(column.values, column.present) for column in columns], len(rows))
    _, firsts, members = np.unique(codes, return_index=True, return_inverse=True)
    for place, first in enumerate(firsts.tolist()):
        words = [_word(column, first) for column in columns[1:]]
        yield (int(columns[0].values[first]), *words), members == place


def _word(column: Column, row: int) -> str:
    return "" if column.words is None else str(column.words[int(column.values[row])])


def _of_indicator(indicator: Indicator, interval: Interval) -> int | None:
    strange, fresh = indicator.fresh(), indicator.fresh()
    for candle in _candles(interval, BEFORE, seed=1):
        strange.update(candle)
    last, difference = -1, 1.0
    for place, candle in enumerate(_candles(interval, TRIED, seed=2)):
        theirs, ours = strange.update(candle) or {}, fresh.update(candle) or {}
        if theirs != ours:
            last, difference = place, _apart(theirs, ours)
    return None if last == TRIED - 1 or difference < VANISHING else last + 1


def _of_rule(rule: SignalRule, interval: Interval) -> int | None:
    needed = [_of_indicator(indicator, interval) for indicator in rule.fresh().needs()]
    if None in needed:
        return None
    strange, fresh = Machine([], [rule]), Machine([], [rule])
    for candle in _candles(interval, BEFORE, seed=1):
        strange.update(candle)
    last = -1
    for place, candle in enumerate(_candles(interval, TRIED, seed=2)):
        if strange.update(candle)[1] != fresh.update(candle)[1]:
            last = place
    if last == TRIED - 1:
        return None
    # It fires now and then only, so a trial may not show all. What it sees, and what it remembers by itself,
    # which its parameters bound, come on top.
    bounds = [int(value) for value in rule.parameters.values() if not isinstance(value, str) and value > 0]
    return last + 1 + sum(bounds) + max(chain([0], (kept or 0 for kept in needed)))


def _apart(theirs: Mapping[str, float], ours: Mapping[str, float]) -> float:
    """The largest difference in proportion; a value that is missing on one side is far away."""
    if theirs.keys() != ours.keys():
        return 1.0
    return max(
        abs(value - ours[name]) / max(abs(value), abs(ours[name]))
        for name, value in theirs.items()
        if value != ours[name]
    )


@cache
def _walk(seed: int, count: int) -> tuple[tuple[float, float, float, float, float], ...]:
    chance, price, made = random.Random(seed), 100.0 * seed, []  # noqa: S311 - no secret
    for _ in range(count):
        opened = price
        price *= 1 + chance.gauss(0, 0.004)
        high, low = max(opened, price) * (1 + chance.random() / 500), min(opened, price) * 0.999
        made.append((opened, high, low, price, chance.lognormvariate(0, 1)))
    return tuple(made)


def _candles(interval: Interval, count: int, *, seed: int) -> Iterator[Candle]:
    """Whole candles one after the other: those of seed 1 end where those of seed 2 begin."""
    start = interval.open_time(START) + interval.length * (1 - count if seed == 1 else 1)
    for number, (opened, high, low, close, volume) in enumerate(_walk(seed, count)):
        at = start + number * interval.length
        yield Candle(
            "tried",
            "A/B",
            interval.name,
            at,
            at + interval.length,
            opened,
            high,
            low,
            close,
            volume,
            volume * close,
            volume / 2,
            10,
            None,
            None,
            0,
            complete=True,
        )
