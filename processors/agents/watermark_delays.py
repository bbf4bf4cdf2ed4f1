"""How far the watermarks are behind the clock."""

from __future__ import annotations

import time
from collections.abc import Iterable

from infra import metrics
from processors.agents.trade_state import TradeState


class WatermarkDelays:
    """Shows the delay of each venue; one that has ended has none, and is shown no more."""

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def show(self, states: Iterable[object]) -> None:
        """Bring the gauges up to date; call once a second.

        Args:
            states: Of all partitions that are held, of whatever step: those of trades have watermarks.
        """
        lowest: dict[str, int] = {}
        for state in states:
            if isinstance(state, TradeState):
                for venue, time_us in state.candles.watermarks.items():
                    lowest[venue] = min(time_us, lowest.get(venue, time_us))
        gauge = metrics.processors.WATERMARK_DELAY
        for venue in self._shown - lowest.keys():
            gauge.remove(venue)
        now_us = time.time_ns() // 1_000
        for venue, time_us in lowest.items():
            gauge.labels(venue).set((now_us - time_us) / 1_000_000)
        self._shown = set(lowest)
