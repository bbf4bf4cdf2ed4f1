"""What a backtest has come to: one JSON object for programs, tables for people."""

from collections.abc import Sequence
from typing import Any, Final

from backtest.account import ClosedTrade
from backtest.engine import Run
from backtest.statistics import Statistics, figures_of
from backtest.strategy import Strategy
from backtest.terms import Terms
from kandle.times import format_time
from kandle.venue_calls import moment, table

ASSUMPTIONS: Final = (
    "Orders are placed at the close of a candle and looked at from the next one on.",
    "Market orders are filled at the next open.",
    "Limit orders are filled at their price, or at the open where that is better.",
    "Stop orders are filled at their price, or at the open where that is worse.",
    "Where a candle reaches stops and limits, the stops came first.",
    "An order is filled whole or not at all; volume and queue are not looked at.",
    "Fees are a part of the value of each fill; short positions pay no interest, and nothing is liquidated.",
    "Open positions stay open at the end, valued at the last close.",
)
_MOMENTS: Final = ("start", "end", "max_drawdown_peak", "max_drawdown_bottom", "max_drawdown_recovered")
_PARTS: Final = frozenset(
    {
        *("return", "cagr", "buy_and_hold", "volatility", "max_drawdown", "under_water", "exposure"),
        *("win_rate", "best_trade", "worst_trade"),
    }
)


def as_json(
    strategy: Strategy, run: Run, found: Statistics, fingerprint: str, with_trades: bool
) -> dict[str, Any]:
    """The object that `--json` prints; times are ISO 8601."""
    figures = figures_of(found)
    for name in _MOMENTS:
        if figures[name] is not None:
            figures[name] = format_time(figures[name])
    shown: dict[str, Any] = {
        "strategy": strategy.name,
        "parameters": dict(strategy.parameters),
        **figures,
        "orders": len(run.orders),
        "fills": len(run.fills),
        "markets": [each.market for each in run.bars],
        "interval_s": run.bars[0].length / 1_000_000,
        "missing_candles": sum(holes.candles for each in run.bars if (holes := each.holes())),
        "terms": _terms(run.terms),
        "assumptions": ASSUMPTIONS,
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


def as_text(strategy: Strategy, run: Run, found: Statistics, fingerprint: str) -> str:
    """The table for people."""
    rows: list[tuple[str, str]] = [
        ("strategy", strategy.name),
        *((key, str(value)) for key, value in strategy.parameters.items()),
        *((key, f"{value:.10g}") for key, value in _terms(run.terms).items()),
        *((name.replace("_", " "), _shown(name, value)) for name, value in figures_of(found).items()),
        ("hash", fingerprint),
    ]
    return table(("figure", "value"), rows)


def trade_table(trades: Sequence[ClosedTrade]) -> str:
    """The trades for people."""
    header = ("entry", "exit", "market", "size", "entry price", "exit price", "fee", "profit", "profit %")
    return table(
        header,
        [
            (
                moment(trade.entry_time),
                moment(trade.exit_time),
                trade.market,
                float(trade.size),
                float(trade.entry_price),
                float(trade.exit_price),
                float(trade.fee),
                float(trade.profit),
                round(100 * trade.profit_part, 2),
            )
            for trade in trades
        ],
    )


def _terms(terms: Terms) -> dict[str, float]:
    return {
        "capital": float(terms.capital),
        "fee": float(terms.costs.fee),
        "maker_fee": float(terms.costs.maker_fee),
        "slippage": float(terms.costs.slippage),
        "lot": float(terms.lot),
        "leverage": float(terms.leverage),
    }


def _shown(name: str, value: float | None) -> str:
    if name in _MOMENTS:
        return moment(None if value is None else int(value))
    if value is None:
        return "-"
    if name in _PARTS:
        return f"{100 * value:.2f} %"
    if name == "longest_drawdown_s":
        return f"{value:.0f} ({value / 86_400:.1f} days)"
    return str(value) if isinstance(value, int) else f"{value:.2f}"
