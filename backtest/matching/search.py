"""Where in a column of prices something befalls an order: looked for without a Python object a row.

What is found is never too late; whether an order is really touched there, its exact prices decide.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from backtest.account import decimal_of
from backtest.broker import Broker
from backtest.history import Numbers
from backtest.orders import Order

_FIRST_ROWS: Final = 1_024
"""Looked at together; twice as many each time when nothing was found."""
_ROUNDING: Final = 1e-12
"""By which a trailing stop in doubles may lie beside the exact one, as a part of it."""


def touched(order: Order, price: float) -> bool:
    """Whether something may befall an order at a price; nan: there is none."""
    waits = order.waits
    if order.kind == "trailing" if waits else order.limit is None or not order.resting:
        return True
    level = float(order.level or 0)
    return price >= level if order.rises else price <= level


def first_reaching(order: Order, prices: Numbers, start: int, stop: int) -> int:
    """The first row at whose price an order that waits for one is touched; `stop` if there is none.

    Args:
        order: Its `level` is a price, or it is a trailing stop.
        prices: At which it could be filled; nan where there is none.
        start: First row.
        stop: Row behind the last one.
    """
    trails = order.waits and order.kind == "trailing"
    level = np.nan if order.level is None else float(order.level)
    rows = _FIRST_ROWS
    while start < stop:
        window = prices[start : min(start + rows, stop)]
        if trails:
            trigger = _trigger(order, window, level)
            hits, level = _beyond(window, trigger, order.rises), float(trigger[-1])
        else:
            hits = window >= level if order.rises else window <= level
        at = int(hits.argmax())
        if hits[at]:
            return start + at
        start += len(window)
        rows *= 2
    return stop


def first_offer(sizes: Numbers, start: int, stop: int) -> int:
    """The first row in which there is a size; `stop` if there is none."""
    rows = _FIRST_ROWS
    while start < stop:
        hits = sizes[start : min(start + rows, stop)] > 0.0
        at = int(hits.argmax())
        if hits[at]:
            return start + at
        start += len(hits)
        rows *= 2
    return stop


def follow(broker: Broker, order: Order, prices: Numbers, start: int, stop: int) -> None:
    """Let a trailing stop follow the prices of rows that do not reach it."""
    if start < stop:
        window = prices[start:stop]
        best = np.fmin.reduce(window) if order.side == "buy" else np.fmax.reduce(window)
        if not np.isnan(best):
            broker.follow(order, decimal_of(float(best)))


def _trigger(order: Order, window: Numbers, before: float) -> Numbers:
    """Where a trailing stop stands after each price; about."""
    trail, part = (float(each or 0) for each in (order.trail, order.trail_part))
    if order.side == "buy":
        stands: Numbers = np.fmin.accumulate(window * (1 + part) + trail)
        return np.fmin(stands, before)
    stands = np.fmax.accumulate(window * (1 - part) - trail)
    return np.fmax(stands, before)


def _beyond(window: Numbers, trigger: Numbers, rises: bool) -> npt.NDArray[np.bool_]:
    if rises:
        return np.greater_equal(window, trigger * (1 - _ROUNDING))
    return np.less_equal(window, trigger * (1 + _ROUNDING))
