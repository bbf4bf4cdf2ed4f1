"""Under what a strategy trades."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias

from backtest.costs import Costs
from schemas.errors import ConfigurationError
from schemas.records import Micros

Fills: TypeAlias = Literal["candle", "trade", "quote", "book"]
Queue: TypeAlias = Literal["back", "proportional", "front"]


@dataclass(frozen=True, slots=True)
class Terms:
    """Under what a strategy trades.

    Attributes:
        capital: Cash to begin with, quote currency.
        costs: Fees and slippage.
        lot: Smallest step of a size.
        leverage: 1: a position needs all of its value.
        maintenance: Part of the value of positions at which, if the equity falls to it, all are liquidated;
            0: when nothing is left.
        borrowing: Interest of what is sold short, for a year, as a part of its value at entry; paid when it
            is bought back.
        fills: What orders are filled by; None: by the finest of book, quote, trade and candle that there is
            of a market.
        latency: After which an order, or its withdrawal, reaches the market, µs.
        queue: Where a limit stands among those of its price that were there before, with fills by book. back:
            behind them, and only trades let it move up. proportional: what is withdrawn there, it moves up by
            its share. front: before them.
        interval: Of the candles that are made of markets without any.
    """

    capital: Decimal = Decimal(10_000)
    costs: Costs = field(default_factory=Costs)
    lot: Decimal = Decimal(1)
    leverage: Decimal = Decimal(1)
    maintenance: Decimal = Decimal(0)
    borrowing: Decimal = Decimal(0)
    fills: Fills | None = None
    latency: Micros = 0
    queue: Queue = "back"
    interval: str = "1m"

    def __post_init__(self) -> None:
        if not 0 <= self.maintenance * self.leverage < 1:
            raise ConfigurationError(
                f"a maintenance margin of {self.maintenance} is to be below the initial one, "
                f"1 / {self.leverage} of the value"
            )
