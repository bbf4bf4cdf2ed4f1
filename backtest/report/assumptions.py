"""What a run takes for granted, in sentences; what its terms decide is said as they have it."""

from __future__ import annotations

from collections.abc import Sequence

from backtest.engine import Run


def assumptions_of(run: Run) -> Sequence[str]:
    """The sentences for a run."""
    del run
    return (
        "Orders are placed at the close of a candle and looked at from the next one on.",
        "Market orders are filled at the next open.",
        "Limit orders are filled at their price, or at the open where that is better.",
        "Stop orders are filled at their price, or at the open where that is worse.",
        "Where a candle reaches stops and limits, the stops came first.",
        "An order is filled whole or not at all; volume and queue are not looked at.",
        "Fees are a part of the value of each fill; short positions pay no interest.",
        "Nothing is liquidated.",
        "Open positions stay open at the end, valued at the last close.",
    )
