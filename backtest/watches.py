"""Signal rules that a strategy watches: the live rules, over the candles of the run."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from backtest.bars import ClosedCandle
from backtest.timers import text_of
from processors.intervals import INTERVALS
from processors.series.machine import Machine
from processors.signal import SignalRule
from schemas.identity import split_key
from schemas.records import Candle, Micros, Signal

_NAMES: Final[Mapping[Micros, str]] = MappingProxyType(
    {interval.length: interval.name for interval in INTERVALS.values()}
)


class Watch:
    """One rule over the candles of one market, moved on by the code of the live workers.

    Args:
        spec: As in settings: `moving_average_crossover(10,30)`.

    Raises:
        ConfigurationError: There is no such rule, or its parameters are wrong.
    """

    def __init__(self, spec: str) -> None:
        self._machine = Machine((), (SignalRule.create(spec),))

    def take(self, candle: Candle) -> Signal | None:
        """Move on by the next candle; the signal, if the rule fires and all that it saw can be trusted."""
        _, fired = self._machine.update(candle)
        return fired[0].signal(candle) if fired and fired[0].sound else None


def record_of(candle: ClosedCandle, complete: bool) -> Candle:
    """A candle as the live rules see it; what a run does not know of it is nan or 0."""
    venue, symbol = split_key(candle.market)
    nan = float("nan")
    return Candle(
        venue=venue,
        symbol=symbol,
        interval=interval_of(candle.close_time - candle.open_time),
        open_time=candle.open_time,
        close_time=candle.close_time,
        open=candle.open,
        high=candle.high,
        low=candle.low,
        close=candle.close,
        volume=candle.volume,
        quote_volume=nan,
        taker_buy_volume=nan,
        trade_count=0,
        first_sequence=None,
        last_sequence=None,
        revision=0,
        complete=complete,
    )


def interval_of(length: Micros) -> str:
    """The name of an interval by its length: that of the live candles where there are such."""
    return _NAMES.get(length) or text_of(length)
