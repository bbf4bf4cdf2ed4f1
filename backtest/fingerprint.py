"""The hash of a run: the same one means the same strategy over the same data on the same terms."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from backtest.bars import Bars
from backtest.strategy import Strategy
from backtest.terms import Terms

VERSION: Final = "backtest 1"
"""To be raised when the rules of filling change: runs before and after cannot be compared."""


def fingerprint(strategy: Strategy, bars: Sequence[Bars], terms: Terms) -> str:
    """64 hexadecimal digits over the candles, the strategy's source, its parameters and the terms."""
    found = hashlib.sha256()
    costs = terms.costs
    numbers = (terms.capital, terms.lot, terms.leverage, costs.fee, costs.maker_fee, costs.slippage)
    head = {
        "version": VERSION,
        "strategy": strategy.name,
        "source": _source(type(strategy)),
        "parameters": dict(strategy.parameters),
        "terms": [str(number.normalize()) for number in numbers],
        "markets": [(each.market, each.length, len(each)) for each in bars],
    }
    found.update(msgspec.json.encode(head))
    for each in bars:
        found.update(np.asarray(each.open_times, "<i8").tobytes())
        for column in (each.opens, each.highs, each.lows, each.closes, each.volumes):
            found.update(np.asarray(column, "<f8").tobytes())
    return found.hexdigest()


def _source(kind: type[Strategy]) -> str:
    """Text of the module; of what has none, as a class made by hand, its name."""
    try:
        return inspect.getsource(sys.modules[kind.__module__])
    except (KeyError, OSError, TypeError):
        return kind.__qualname__
