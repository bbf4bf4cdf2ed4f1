"""Liquidation between candles: by the price at which a position could be closed."""

from __future__ import annotations

from typing import Final

import numpy as np

from backtest.account import decimal_of
from backtest.broker import Broker
from backtest.history import Numbers
from backtest.orders import ZERO
from schemas.records import Micros

_FIRST_ROWS: Final = 1_024


def first_dangerous(
    broker: Broker, market: str, bids: Numbers, asks: Numbers, start: int, stop: int, *, calm: bool
) -> int:
    """The first row that may liquidate the account; `stop` if there is none.

    Args:
        broker: Of the run.
        market: Whose prices they are.
        bids: At which what is long could be sold; by trades, the price of each; nan where there is none.
        asks: At which what is short could be bought back.
        start: First row.
        stop: Row behind the last one.
        calm: Whether it is known that no row can, as all markets together are within safe bounds.
    """
    guard = broker.margin.guards.get(market)
    if guard is None or calm:
        return stop
    low, high = guard
    rows = _FIRST_ROWS
    while start < stop:
        part = slice(start, min(start + rows, stop))
        hits = (bids[part] <= low) | (asks[part] >= high)
        at = int(hits.argmax())
        if hits[at]:
            return start + at
        start += len(hits)
        rows *= 2
    return stop


def bounds(bids: Numbers, asks: Numbers, start: int, stop: int) -> tuple[float, float] | None:
    """The lowest bid and the highest ask of some rows; None if there are none."""
    if start >= stop:
        return None
    low, high = float(np.fmin.reduce(bids[start:stop])), float(np.fmax.reduce(asks[start:stop]))
    return None if low != low or high != high else (low, high)


def liquidate(broker: Broker, market: str, bid: float, ask: float, time: Micros) -> None:
    """Liquidate the account if the prices of a market have come to its margin, or beyond; at that price."""
    guard = broker.margin.guards.get(market)
    if guard is None or not (bid <= guard[0] or ask >= guard[1]):
        return
    size = broker.account.size(market)
    price = bid if size > ZERO else ask
    if price != price or broker.margin.is_safe({market: (price, price)}):
        return
    danger = broker.danger(market)
    if danger is None:
        return
    exact = decimal_of(price)
    if exact <= danger if size > ZERO else exact >= danger:
        broker.liquidate(market, exact, time)
