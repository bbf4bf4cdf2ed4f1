"""The figures of a run in words: the one place that says what each of them means, and in which unit.

The names are those in JSON. The table in the terminal and the report are made of these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Final, Literal, TypeAlias

from backtest.statistics.summary import Statistics

Unit: TypeAlias = Literal["time", "count", "money", "part", "ratio", "duration"]
"""time: µs since the epoch; money: quote currency; part: 0.01 is 1 %; duration: seconds."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What one figure is.

    Attributes:
        name: In JSON.
        label: For people.
        unit: Of its value.
        meaning: In words.
        path: Where its value stands in the statistics, by attributes; as its name if empty.
        group: Heading under which people find it.
    """

    name: str
    label: str
    unit: Unit
    meaning: str
    path: str = ""
    group: str = ""


def _group(group: str, *figures: Figure) -> tuple[Figure, ...]:
    return tuple(replace(each, group=group) for each in figures)


FIGURES: Final[Sequence[Figure]] = (
    *_group(
        "run",
        Figure("start", "start", "time", "Open time of the first candle."),
        Figure("end", "end", "time", "Close time of the last candle."),
        Figure("candles", "candles", "count", "Candles that the strategy was shown."),
    ),
    *_group(
        "result",
        Figure("final_equity", "final equity", "money", "Cash and positions at the last closes."),
        Figure(
            "open_profit",
            "open profit",
            "money",
            "Its part that is not realized: positions still open at the end, without fees.",
        ),
        Figure("return", "return", "part", "Final equity over capital, less 1.", path="total_return"),
        Figure(
            "cagr",
            "return a year",
            "part",
            "The same for a year of 365.25 days: (final equity / capital) ^ (1 / years) - 1.",
        ),
        Figure(
            "volatility",
            "volatility",
            "part",
            "Standard deviation of the returns of days times the root of the days of a year.",
        ),
        Figure(
            "sharpe",
            "Sharpe ratio",
            "ratio",
            "Mean of the returns of days over their standard deviation, for a year; no interest.",
        ),
        Figure(
            "sortino",
            "Sortino ratio",
            "ratio",
            "The same over the root mean square of the returns below 0, over all days.",
        ),
        Figure("calmar", "Calmar ratio", "ratio", "Return a year over maximum drawdown."),
    ),
    *_group(
        "drawdown",
        Figure(
            "max_drawdown",
            "maximum drawdown",
            "part",
            "Deepest fall of the equity below a peak, as a part of the peak; the first is the capital.",
            path="drawdown.depth",
        ),
        Figure(
            "max_drawdown_peak",
            "peak",
            "time",
            "Last moment at the peak before that fall.",
            path="drawdown.peak",
        ),
        Figure("max_drawdown_bottom", "bottom", "time", "When it was deepest.", path="drawdown.bottom"),
        Figure(
            "max_drawdown_recovered",
            "recovered",
            "time",
            "When the peak was reached again; null if it was not.",
            path="drawdown.recovered",
        ),
        Figure(
            "max_drawdown_s",
            "its length",
            "duration",
            "From that peak until it was reached again, or until the end.",
            path="drawdown_s",
        ),
        Figure(
            "longest_drawdown_s",
            "longest drawdown",
            "duration",
            "Longest time from any peak until it was reached again, or until the end.",
        ),
        Figure(
            "under_water",
            "time under water",
            "part",
            "Part of the candles at whose close the equity was below an earlier peak.",
        ),
    ),
    *_group(
        "days and months",
        Figure("best_day", "best day", "part", "Highest return of a UTC day with candles."),
        Figure("worst_day", "worst day", "part", "The lowest."),
        Figure("best_month", "best month", "part", "Highest return of a UTC month with candles."),
        Figure("worst_month", "worst month", "part", "The lowest."),
    ),
    *_group(
        "trading",
        Figure("exposure", "exposure", "part", "Part of the candles at whose close anything was held."),
        Figure("turnover", "turnover", "ratio", "Value of all fills over the mean equity."),
        Figure("fees", "fees", "money", "All that were paid."),
        Figure("funding", "funding", "money", "Received less paid for positions in perpetuals."),
        Figure("interest", "interest", "money", "Paid for what was borrowed to be sold short."),
        Figure("liquidations", "liquidations", "count", "Fills by which the margin ran out."),
    ),
    *_group(
        "trades",
        Figure("trades", "trades", "count", "Lots, or parts of them, that were closed, first in, first out."),
        Figure(
            "win_rate",
            "win rate",
            "part",
            "Part of the trades with a profit above 0.",
            path="closed.win_rate",
        ),
        Figure(
            "profit_factor",
            "profit factor",
            "ratio",
            "Sum of profits over sum of losses; null without a loss.",
            path="closed.profit_factor",
        ),
        Figure(
            "expectancy",
            "expectancy",
            "money",
            "Mean profit of a trade, fees and interest deducted, without funding.",
            path="closed.expectancy",
        ),
        Figure(
            "average_win", "average win", "money", "Mean of the profits above 0.", path="closed.average_win"
        ),
        Figure("average_loss", "average loss", "money", "Mean of those below 0.", path="closed.average_loss"),
        Figure(
            "best_trade", "best trade", "part", "Highest profit over the value at entry.", path="closed.best"
        ),
        Figure("worst_trade", "worst trade", "part", "The lowest.", path="closed.worst"),
        Figure(
            "wins_in_a_row",
            "wins in a row",
            "count",
            "Most of them, in the order of closing.",
            path="closed.wins_in_a_row",
        ),
        Figure("losses_in_a_row", "losses in a row", "count", "Most of them.", path="closed.losses_in_a_row"),
    ),
    *_group(
        "buy and hold",
        Figure(
            "buy_and_hold",
            "return",
            "part",
            "Last close over first open, less 1, without costs; of several markets the mean.",
        ),
        Figure(
            "buy_and_hold_max_drawdown",
            "maximum drawdown",
            "part",
            "Of the equity of that, the capital in equal parts in all markets.",
        ),
        Figure(
            "alpha",
            "alpha",
            "part",
            "Mean return of days less beta times that of buy and hold, for a year; no interest.",
        ),
        Figure(
            "beta",
            "beta",
            "ratio",
            "Covariance of the returns of days with those of buy and hold over the variance of the latter.",
        ),
    ),
)
"""All of them, in the order in which they are told."""


def figures_of(found: Statistics) -> dict[str, Any]:
    """The figures by their names in JSON; times are µs, what is not defined is None."""
    return values_of(FIGURES, found)


def values_of(figures: Sequence[Figure], found: object) -> dict[str, Any]:
    """The values of some figures by name; nan and infinity are None."""
    values = {each.name: attrgetter(each.path or each.name)(found) for each in figures}
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
