"""The report: one page of HTML that needs nothing else, neither a network nor another file.

The charts are drawn by the page's own script from columns that stand in it as JSON. Long runs are thinned
(`thinning`) and the list of trades is capped, so that a page stays below 5 MB; it says what was left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from math import isfinite
from typing import Any, Final

import jinja2
import msgspec
import numpy as np

from backtest.engine import Run
from backtest.report.assumptions import assumptions_of
from backtest.report.distribution import calendar_of, daily_returns, distribution_of
from backtest.report.terms import terms_of_note
from backtest.report.thinning import Series, series_of
from backtest.report.trade_list import MOST_TRADES, rounded, trade_columns
from backtest.report.values import moment, shown, span
from backtest.statistics import (
    FIGURES,
    MARKET_FIGURES,
    MarketStatistics,
    Statistics,
    figures_of,
    market_figures_of,
    statistics_by_market,
)
from backtest.strategy import Strategy
from infra.charts import as_script, as_style

MOST_CELLS: Final = 300_000
"""Numbers in all columns of the charts; a number takes ten bytes at most."""
MOST_STEPS: Final = 20_000
MOST_MARKETS: Final = 12
"""Whose prices are drawn: those with the most trades."""
SCRIPTS: Final = ("columns.js", "charts.js", "window.js", "tables.js")
_TILES: Final = ("return", "cagr", "sharpe", "max_drawdown", "trades", "profit_factor", "fees")


def page_of(strategy: Strategy, run: Run, found: Statistics, fingerprint: str) -> str:
    """The report of a run, as text; takes a second or two for a million candles."""
    markets = statistics_by_market(run)
    series = series_of(run, *_extent(markets))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("backtest.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    trades = trade_columns(run, series)
    values = figures_of(found)
    texts = {each.name: shown(each.unit, values[each.name]) for each in FIGURES}
    return environment.get_template("page.html.j2").render(
        strategy=strategy,
        summary=_summary(run, found),
        tiles=[(each, texts[each.name]) for name in _TILES for each in FIGURES if each.name == name],
        values=values,
        texts=texts,
        groups=_groups(texts),
        currency=_currency(run),
        markets=[(each.market, market_figures_of(each)) for each in markets],
        market_figures=MARKET_FIGURES,
        shown=shown,
        calendar=calendar_of(run),
        trades=trades,
        all_trades=len(run.trades),
        open_trades=sum(trades["open"]),
        parameters=dict(strategy.parameters),
        terms=terms_of_note(run.terms),
        assumptions=assumptions_of(run),
        notes=_notes(run, series, trades),
        fingerprint=fingerprint,
        style=as_style() + _file("page.css"),
        script="\n".join([as_script(), *map(_file, SCRIPTS)]),
        data=_data(run, found, series, trades),
    )


def _extent(markets: Sequence[MarketStatistics]) -> tuple[int, list[str]]:
    """How many steps are drawn, and of which markets."""
    drawn = sorted(markets, key=lambda each: -each.fills)[:MOST_MARKETS]
    return min(MOST_STEPS, MOST_CELLS // (4 * len(drawn) + 6)), [each.market for each in drawn]


def _summary(run: Run, found: Statistics) -> Mapping[str, str]:
    lengths = sorted({each.length for each in run.bars})
    return {
        "markets": ", ".join(each.market for each in run.bars),
        "candles": f"{found.candles:,} candles of {' and '.join(span(each / 1e6) for each in lengths)}",
        "start": moment(found.start),
        "end": moment(found.end),
        "capital": shown("money", float(run.terms.capital)),
    }


def _currency(run: Run) -> str:
    """Quote currency of all markets; empty if it is not known."""
    found = {each.market.rpartition("/")[2].partition(":")[0] for each in run.bars if "/" in each.market}
    return found.pop() if len(found) == 1 and all("/" in each.market for each in run.bars) else ""


def _groups(texts: Mapping[str, str]) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Headings, and under each its figures: label, value, meaning."""
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for each in FIGURES:
        groups.setdefault(each.group, []).append((each.label, texts[each.name], each.meaning))
    return list(groups.items())


def _notes(run: Run, series: Series, trades: Mapping[str, Any]) -> list[str]:
    """What the page does not show."""
    notes = []
    if series.candles > 1:
        notes.append(
            f"Charts put up to {series.candles:,} candles together into one of {span(series.length / 1e6)}; "
            "figures and extremes are those of all candles."
        )
    if len(run.trades) > MOST_TRADES:
        notes.append(
            f"Of {len(run.trades):,} trades the {MOST_TRADES // 2:,} with the largest profits and the "
            f"{MOST_TRADES // 2:,} with the largest losses are listed and drawn."
        )
    if len(series.prices) < len(run.bars):
        notes.append(f"Prices are drawn of the {len(series.prices)} markets with the most fills.")
    missing = sum(holes.candles for each in run.bars if (holes := each.holes()))
    if missing:
        notes.append(f"{missing:,} candles are missing in the data; charts leave no room for them.")
    return notes


def _data(run: Run, found: Statistics, series: Series, trades: Mapping[str, Any]) -> str:
    """The columns of the charts, as JSON that may stand in HTML."""
    starts = series.starts // 1000
    deepest = found.drawdown
    fall = np.array([deepest.peak, deepest.bottom, deepest.peak + deepest.length], np.int64) - 1
    of_trades = np.array([trade.profit_part for trade in run.trades])
    data = {
        "first": int(starts[0]),
        "gaps": np.diff(starts).tolist(),
        "length": int(series.length) // 1000,
        "fall": series.step_of(fall).tolist() if deepest.length else None,
        "capital": float(run.terms.capital),
        "currency": _currency(run),
        "markets": [each.market for each in run.bars],
        "prices": {
            each.market: [_column(column) for column in (each.opens, each.highs, each.lows, each.closes)]
            for each in series.prices
        },
        "equity": _column(series.equity),
        "lowest": _column(series.lowest) if series.candles > 1 else None,
        "highest": _column(series.highest) if series.candles > 1 else None,
        "under": [round(value, 5) for value in series.under.tolist()],
        "held": _column(series.held),
        "trades": trades,
        "distributions": {
            "trades": distribution_of(of_trades),
            "days": distribution_of(daily_returns(run)),
        },
    }
    # `<` could end the element that it stands in.
    return msgspec.json.encode(data).decode().replace("<", "\\u003c")


def _column(values: Any) -> list[float | None]:
    return [rounded(value) if isfinite(value) else None for value in values.tolist()]


def _file(name: str) -> str:
    return (resources.files("backtest.report") / "templates" / name).read_text("utf-8")
