"""Walk-forward: parameters are chosen on one stretch of time and judged on the next, which is new to them.

    |---- in ----|-- out --|
              |---- in ----|-- out --|
                        |---- in ----|-- out --|

What is judged is the equity of the chosen set from the beginning of `out` on. The run itself begins with
`in`, so that its indicators, its memory and its position are those of who has traded it all along; what
changing from one set to the next would cost is not counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np

from backtest.search.ranking import Ranking
from backtest.search.trials import Outcome, Stretch
from backtest.search.windows import Window
from backtest.statistics.drawdown import Floats, Times, falls_of
from backtest.statistics.returns import changes, days_of, ratios_of, yearly
from schemas.errors import ConfigurationError
from schemas.records import Micros

IN_TO_OUT: Final = 4
"""How much longer `in` is than `out` where only a number of folds is given."""
MOST_FOLDS: Final = 1_000
SECOND_US: Final = 1_000_000
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_LENGTH: Final = re.compile(r"(\d+)([smhdw])")


@dataclass(frozen=True, slots=True)
class Fold:
    """One choice and its judgement.

    Attributes:
        inside: Where the parameters are chosen.
        outside: Where they are judged; begins where `inside` ends.
    """

    inside: Window
    outside: Window


@dataclass(frozen=True, slots=True)
class Judgement:
    """Figures of an equity curve on its own; parts, not percent. nan where one is not defined.

    Attributes:
        start: µs.
        end: µs.
        total_return: Last equity over that at the start, less 1.
        cagr: The same for a year.
        sharpe: Of the returns of days, for a year.
        max_drawdown: Deepest fall below a peak since the start, as a part of it.
        trades: How many were closed.
    """

    start: Micros
    end: Micros
    total_return: float
    cagr: float
    sharpe: float
    max_drawdown: float
    trades: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A fold, and what came of it.

    Attributes:
        fold: Which.
        inside: All trials that chose; the first of them is the one that was chosen.
        outside: The run of the same parameters to the end of the fold; it may have failed.
    """

    fold: Fold
    inside: Ranking
    outside: Outcome

    @property
    def judgement(self) -> Judgement | None:
        """The figures outside; None if the run has failed."""
        return None if self.outside.stretch is None else judged(self.outside.stretch)


def folds_of(text: str, whole: Window, step: Micros) -> list[Fold]:
    """The folds of `IN:OUT`, as `90d:30d`, or of a number of folds; the last ones end with the data.

    Args:
        text: As written.
        whole: Time that the data span.
        step: Length of a candle, µs: folds by number begin and end with one.

    Raises:
        ConfigurationError: It is neither, or the data are too short for a fold.
    """
    length = whole.end - whole.start
    if text.strip().isdecimal():
        count = int(text)
        if not 1 <= count <= MOST_FOLDS:
            raise ConfigurationError(f"walk-forward takes 1 to {MOST_FOLDS} folds, got {text}")
        outside = length // (count + IN_TO_OUT) // step * step
        if not outside:
            raise ConfigurationError(f"the data are too short for {count} folds")
        inside = length - count * outside
    else:
        parts = [_LENGTH.fullmatch(part.strip()) for part in text.split(":")]
        if len(parts) != 2 or not (parts[0] and parts[1]):
            raise ConfigurationError(
                f"walk-forward takes IN:OUT, as 90d:30d (s, m, h, d, w), or a number of folds; got {text!r}"
            )
        inside, outside = (int(part[1]) * _UNITS_S[part[2]] * SECOND_US for part in parts if part)
        count = max(0, length - inside) // outside if outside > 0 else 0
        if inside <= 0 or not 1 <= count <= MOST_FOLDS:
            raise ConfigurationError(
                f"walk-forward {text} leaves {count} folds of the data's {length / 86_400e6:.2f} days; "
                f"1 to {MOST_FOLDS} are possible"
            )
    last = whole.end - count * outside
    borders = [last + number * outside for number in range(count)]
    return [Fold(Window(at - inside, at), Window(at, at + outside)) for at in borders]


def judged(stretch: Stretch) -> Judgement:
    """The figures of a stretch."""
    return _judged(stretch.start, stretch.before, stretch.times, stretch.equity, stretch.trades)


def stitched(stretches: Sequence[Stretch], capital: float) -> tuple[Times, Floats]:
    """One equity curve of stretches that follow each other: what each gains is gained on all that there is.

    A stretch that begins without equity, or with debts, gains nothing.
    """
    equity = capital
    parts = []
    for each in stretches:
        grown = each.equity / each.before if each.before > 0.0 else np.ones(len(each.equity))
        parts.append(grown * equity)
        equity = float(parts[-1][-1]) if len(grown) else equity
    times: Times = np.concatenate([each.times for each in stretches])
    curve: Floats = np.concatenate(parts)
    return times, curve


def judged_together(stretches: Sequence[Stretch], capital: float) -> Judgement:
    """The figures of the stitched curve."""
    times, equity = stitched(stretches, capital)
    return _judged(stretches[0].start, capital, times, equity, sum(each.trades for each in stretches))


def _judged(start: Micros, before: float, times: Times, equity: Floats, trades: int) -> Judgement:
    if not len(times) or not before > 0.0:
        return Judgement(start, int(times[-1]) if len(times) else start, nan, nan, nan, nan, trades)
    end, growth = int(times[-1]), float(equity[-1]) / before
    days = days_of(times)
    daily = changes(equity[days.last], before)
    ratios = ratios_of(daily[~np.isnan(daily)], days.per_year)
    depth = falls_of(equity, times, before, start).deepest.depth
    return Judgement(start, end, growth - 1, yearly(growth, end - start), ratios.sharpe, depth, trades)
