"""Under what a strategy trades."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from backtest.costs import Costs


@dataclass(frozen=True, slots=True)
class Terms:
    """Under what a strategy trades.

    Attributes:
        capital: Cash to begin with, quote currency.
        costs: Fees and slippage.
        lot: Smallest step of a size.
        leverage: 1: a position needs all of its value.
    """

    capital: Decimal = Decimal(10_000)
    costs: Costs = field(default_factory=Costs)
    lot: Decimal = Decimal(1)
    leverage: Decimal = Decimal(1)
