"""What a backtest has come to, as one JSON object for programs."""

from typing import Any, Final

from backtest.engine import Run
from backtest.report.assumptions import assumptions_of
from backtest.report.terms import terms_shown
from backtest.statistics import FIGURES, Statistics, figures_of, market_figures_of, statistics_by_market
from backtest.strategy import Strategy
from kandle.times import format_time

_MOMENTS: Final = frozenset(each.name for each in FIGURES if each.unit == "time")


def as_json(
    strategy: Strategy, run: Run, found: Statistics, fingerprint: str, with_trades: bool
) -> dict[str, Any]:
    """The object that `--json` prints; times are ISO 8601, what is not defined is null."""
    figures = {
        name: format_time(value) if name in _MOMENTS and value is not None else value
        for name, value in figures_of(found).items()
    }
    shown: dict[str, Any] = {
        "strategy": strategy.name,
        "parameters": dict(strategy.parameters),
        **figures,
        "orders": len(run.orders),
        "fills": len(run.fills),
        "markets": [each.market for each in run.bars],
        "by_market": [market_figures_of(each) for each in statistics_by_market(run)],
        "interval_s": run.bars[0].length / 1_000_000,
        "missing_candles": sum(holes.candles for each in run.bars if (holes := each.holes())),
        "terms": terms_shown(run.terms),
        "assumptions": assumptions_of(run),
        "filled_by": dict(run.filled_by),
        "seed": None,  # nothing in a run is drawn by chance
        "hash": fingerprint,
    }
    if with_trades:
        shown["trade_list"] = [
            {
                "market": trade.market,
                "size": float(trade.size),
                "entry_time": format_time(trade.entry_time),
                "entry_price": float(trade.entry_price),
                "exit_time": format_time(trade.exit_time),
                "exit_price": float(trade.exit_price),
                "fee": float(trade.fee),
                "profit": float(trade.profit),
            }
            for trade in run.trades
        ]
    return shown
