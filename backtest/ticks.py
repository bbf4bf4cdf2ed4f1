"""What a strategy hears of between candles: trades and quotes, one by one."""

from __future__ import annotations

import msgspec

from backtest.orders import Side
from schemas.records import Micros


class TradeTick(msgspec.Struct, gc=False, frozen=True):
    """A public trade, as a strategy sees it.

    Attributes:
        market: `venue:symbol`.
        time: Event time, microseconds since the epoch, UTC.
        price: Quote currency per unit.
        size: Base units.
        side: Of the taker; None where it is not known.
    """

    market: str
    time: Micros
    price: float
    size: float
    side: Side | None


class QuoteTick(msgspec.Struct, gc=False, frozen=True):
    """Best bid and ask, as a strategy sees them; a side that is empty is nan, with size 0.

    Attributes:
        market: `venue:symbol`.
        time: Event time, microseconds since the epoch, UTC.
        bid: Quote currency per unit; likewise ask.
        bid_size: Base units; likewise ask_size.
    """

    market: str
    time: Micros
    bid: float
    bid_size: float
    ask: float
    ask_size: float
