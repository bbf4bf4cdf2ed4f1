"""The figures of a run once more, in plain Python over lists: slow, and written from their definitions."""

import datetime as dt
from collections.abc import Sequence
from itertools import groupby, pairwise
from math import sqrt
from statistics import mean, stdev
from typing import Any

from backtest.engine import Run


def returns_by(period: str, run: Run, equity: Sequence[float]) -> dict[str, float]:
    """Returns of UTC days (`%Y-%m-%d`) or months (`%Y-%m`) in which candles close."""
    moments = [
        dt.datetime.fromtimestamp((int(time) - 1) / 1e6, dt.UTC).strftime(period) for time in run.times
    ]
    ends = {
        key: [value for _, value in rows][-1]
        for key, rows in groupby(zip(moments, equity, strict=True), lambda row: row[0])
    }
    befores = [float(run.terms.capital), *ends.values()]
    return {
        key: after / before - 1
        for key, (before, after) in zip(ends, pairwise(befores), strict=True)
        if before > 0
    }


def held_equity(run: Run) -> list[float]:
    """Equity of buy and hold at the times of the run."""
    share = float(run.terms.capital) / len(run.bars)
    found = []
    for time in run.times:
        total = 0.0
        for bars in run.bars:
            closed = [
                close
                for start, close in zip(bars.open_times, bars.closes, strict=True)
                if start + bars.length <= time
            ]
            total += share * (closed[-1] / bars.opens[0] if closed else 1.0)
        found.append(total)
    return found


def expected_figures(run: Run) -> dict[str, Any]:
    """All figures that are not sums over the run's own fields."""
    return expected_curve_figures(run) | _trade_figures(run)


def expected_curve_figures(run: Run) -> dict[str, Any]:
    """Those of the equity and of buy and hold.

    Raises:
        ArithmeticError: One of them is not defined.
    """
    capital, equity = float(run.terms.capital), [float(value) for value in run.equity]
    start = min(bars.open_times[0] for bars in run.bars)
    curve, times = [capital, *equity], [start, *map(int, run.times)]
    days = returns_by("%Y-%m-%d", run, equity)
    months = returns_by("%Y-%m", run, equity)
    held = held_equity(run)
    other = [value for day, value in returns_by("%Y-%m-%d", run, held).items() if day in days]
    per_year = 365 if any(dt.date.fromisoformat(day).weekday() > 4 for day in days) else 252
    daily = list(days.values())
    if len(daily) < 2:
        raise ZeroDivisionError
    center, base = mean(daily), mean(other)
    beta = sum((a - center) * (b - base) for a, b in zip(daily, other, strict=True)) / sum(
        (b - base) ** 2 for b in other
    )
    falls = [(1 - low / max(curve[: at + 1]), at) for at, low in enumerate(curve)]
    depth, bottom = max(falls, key=lambda fall: (fall[0], -fall[1]))
    cagr = (equity[-1] / capital) ** (365.25 * 86_400e6 / (times[-1] - start)) - 1
    calmar = cagr / depth
    top = max(curve[: bottom + 1])
    peak = max(at for at in range(bottom) if curve[at] == top)
    back = next((at for at in range(bottom, len(curve)) if curve[at] >= top), None)
    return {
        "final_equity": equity[-1],
        "return": equity[-1] / capital - 1,
        "cagr": cagr,
        "volatility": stdev(daily) * sqrt(per_year),
        "sharpe": center / stdev(daily) * sqrt(per_year),
        "sortino": center / sqrt(mean(min(day, 0.0) ** 2 for day in daily)) * sqrt(per_year),
        "calmar": calmar,
        "max_drawdown": depth,
        "max_drawdown_peak": times[peak],
        "max_drawdown_bottom": times[bottom],
        "max_drawdown_recovered": None if back is None else times[back],
        "max_drawdown_s": (times[-1 if back is None else back] - times[peak]) / 1e6,
        "longest_drawdown_s": _longest_fall(curve, times),
        "under_water": sum(fall > 0 for fall, _ in falls) / len(equity),
        "best_day": max(daily),
        "worst_day": min(daily),
        "best_month": max(months.values()),
        "worst_month": min(months.values()),
        "buy_and_hold": held[-1] / capital - 1,
        "buy_and_hold_max_drawdown": max(
            1 - low / max([capital, *held[: at + 1]]) for at, low in enumerate(held)
        ),
        "alpha": (center - beta * base) * per_year,
        "beta": beta,
    }


def _longest_fall(curve: Sequence[float], times: Sequence[int]) -> float:
    """Seconds from a peak until it is reached again, or until the end, where a lower point is between."""
    longest = 0
    for at, top in enumerate(curve):
        if top < max(curve[: at + 1]) or at + 1 == len(curve) or curve[at + 1] >= top:
            continue
        back = next((later for later in range(at + 1, len(curve)) if curve[later] >= top), len(curve) - 1)
        longest = max(longest, times[back] - times[at])
    return longest / 1e6


def _trade_figures(run: Run) -> dict[str, Any]:
    profits = [float(trade.profit) for trade in run.trades]
    wins, losses = [p for p in profits if p > 0], [p for p in profits if p < 0]
    parts = [float(trade.profit) / abs(float(trade.size) * float(trade.entry_price)) for trade in run.trades]
    runs = [(won, len(list(rows))) for won, rows in groupby(p > 0 for p in profits)]
    return {
        "win_rate": len(wins) / len(profits),
        "profit_factor": sum(wins) / -sum(losses),
        "expectancy": mean(profits),
        "average_win": mean(wins),
        "average_loss": mean(losses),
        "best_trade": max(parts),
        "worst_trade": min(parts),
        "wins_in_a_row": max(length for won, length in runs if won),
        "losses_in_a_row": max(length for won, length in runs if not won),
    }
