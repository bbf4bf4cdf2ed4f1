"""The front door: what a user's own code imports. All other packages are ours to change.

    from kandle import Bar, Indicator, Period, State          # write an indicator
    from kandle import Crossing, Decision, SignalRule         # write a rule
    from kandle import ClosedCandle, Line, Strategy           # write a strategy
    from kandle import Candle, ce_id, decode                  # read the topics
    from kandle import Counts, Portion, Sink, Slice           # store them elsewhere
    from kandle.venue import Call, Exchange, Limits, Stream   # write a venue

Names are imported when they are asked for, so that a reader of topics does not load the engine.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from backtest.bars import ClosedCandle
    from backtest.book_view import BookView
    from backtest.lines import Line
    from backtest.orders import Fill, Order
    from backtest.sizing import Sizer, SizingRule
    from backtest.strategy import Strategy
    from backtest.ticks import QuoteTick, TradeTick
    from backtest.timers import Timer
    from processors.crossing import Crossing
    from processors.indicator import Bar, Indicator, Period, State
    from processors.parameters import NotNegative, Positive
    from processors.signal import Decision, SignalRule
    from producers.exchange import Exchange
    from schemas.errors import ConfigurationError, KandleError
    from schemas.identity import ce_id, market_key, split_key
    from schemas.records import (
        AuditEntry,
        BookUpdate,
        Candle,
        DerivativeTicker,
        ExchangeCandle,
        Gap,
        IndicatorValue,
        Instrument,
        Liquidation,
        LiveCandle,
        Notification,
        PriceAlert,
        Quote,
        Record,
        Signal,
        SystemEvent,
        Ticker,
        TimeMark,
        Trade,
        TradeBar,
        VenuePrice,
    )
    from schemas.rows import decode, encode
    from sinks.portion import Portion, Slice
    from sinks.positions import Counts, PartitionRef
    from sinks.sink import Sink

_HOMES: Final = {
    "backtest.bars": ("ClosedCandle",),
    "backtest.book_view": ("BookView",),
    "backtest.lines": ("Line",),
    "backtest.orders": ("Fill", "Order"),
    "backtest.sizing": ("Sizer", "SizingRule"),
    "backtest.strategy": ("Strategy",),
    "backtest.ticks": ("QuoteTick", "TradeTick"),
    "backtest.timers": ("Timer",),
    "processors.crossing": ("Crossing",),
    "processors.indicator": ("Bar", "Indicator", "Period", "State"),
    "processors.parameters": ("NotNegative", "Positive"),
    "processors.signal": ("Decision", "SignalRule"),
    "producers.exchange": ("Exchange",),
    "schemas.errors": ("ConfigurationError", "KandleError"),
    "schemas.identity": ("ce_id", "market_key", "split_key"),
    "schemas.records": (
        "AuditEntry",
        "BookUpdate",
        "Candle",
        "DerivativeTicker",
        "ExchangeCandle",
        "Gap",
        "IndicatorValue",
        "Instrument",
        "Liquidation",
        "LiveCandle",
        "Notification",
        "PriceAlert",
        "Quote",
        "Record",
        "Signal",
        "SystemEvent",
        "Ticker",
        "TimeMark",
        "Trade",
        "TradeBar",
        "VenuePrice",
    ),
    "schemas.rows": ("decode", "encode"),
    "sinks.portion": ("Portion", "Slice"),
    "sinks.positions": ("Counts", "PartitionRef"),
    "sinks.sink": ("Sink",),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AuditEntry",
    "Bar",
    "BookUpdate",
    "BookView",
    "Candle",
    "ClosedCandle",
    "ConfigurationError",
    "Counts",
    "Crossing",
    "Decision",
    "DerivativeTicker",
    "Exchange",
    "ExchangeCandle",
    "Fill",
    "Gap",
    "Indicator",
    "IndicatorValue",
    "Instrument",
    "KandleError",
    "Line",
    "Liquidation",
    "LiveCandle",
    "NotNegative",
    "Notification",
    "Order",
    "PartitionRef",
    "Period",
    "Portion",
    "Positive",
    "PriceAlert",
    "Quote",
    "QuoteTick",
    "Record",
    "Signal",
    "SignalRule",
    "Sink",
    "Sizer",
    "SizingRule",
    "Slice",
    "State",
    "Strategy",
    "SystemEvent",
    "Ticker",
    "TimeMark",
    "Timer",
    "Trade",
    "TradeBar",
    "TradeTick",
    "VenuePrice",
    "ce_id",
    "decode",
    "encode",
    "market_key",
    "split_key",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"kandle has no {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return __all__
