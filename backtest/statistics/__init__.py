"""What a run amounts to, in figures. `figures` says in words what each of them means."""

from backtest.statistics.drawdown import Drawdown
from backtest.statistics.figures import FIGURES, Figure, Unit, figures_of
from backtest.statistics.markets import (
    MARKET_FIGURES,
    MarketStatistics,
    market_figures_of,
    statistics_by_market,
)
from backtest.statistics.summary import Statistics, statistics_of

__all__ = [
    "FIGURES",
    "MARKET_FIGURES",
    "Drawdown",
    "Figure",
    "MarketStatistics",
    "Statistics",
    "Unit",
    "figures_of",
    "market_figures_of",
    "statistics_by_market",
    "statistics_of",
]
