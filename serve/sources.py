"""The views that are read, and their columns in the order of answers."""

from typing import Final

from serve.store import Source

CANDLES: Final = Source(
    "candles",
    (
        *("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "trade_count"),
        *("vwap", "complete", "backfilled", "revision"),
    ),
)
TRADES: Final = Source(
    "trades", ("trade_id", "price", "size", "side", "receive_time"), frozenset({"receive_time"})
)
QUOTES: Final = Source(
    "quotes", ("bid", "bid_size", "ask", "ask_size", "receive_time"), frozenset({"receive_time"})
)
INDICATORS: Final = Source("indicators", ("name", "value", "complete", "revision"), order=("name",))
SIGNALS: Final = Source(
    "signals",
    (
        *("venue", "symbol", "interval", "rule", "direction", "strength"),
        *("complete", "event_time", "candle_id", "values"),
    ),
    frozenset({"event_time"}),
    order=("venue", "symbol", "interval", "rule"),
)
LIVE_CANDLES: Final = Source(
    "live_candles",
    (
        *("open", "high", "low", "close", "volume", "quote_volume"),
        *("taker_buy_volume", "trade_count", "as_of"),
    ),
    frozenset({"as_of"}),
)
NOTIFICATIONS: Final = Source(
    "notifications_sent", ("id", "type", "channel", "subject", "body", "cause_id"), order=("id",)
)
EVENTS: Final = Source(
    "system_events", ("id", "type", "source", "severity", "message", "data"), order=("id",)
)
BOOKS: Final = Source("book_samples", ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes"))
TICKERS: Final = Source(
    "tickers",
    (
        *("last", "bid", "ask", "open", "high", "low"),
        *("base_volume", "quote_volume", "change", "change_percent"),
    ),
)

SOURCES: Final = {
    "candles": CANDLES,
    "trades": TRADES,
    "quotes": QUOTES,
    "books": BOOKS,
    "tickers": TICKERS,
    "indicators": INDICATORS,
    "signals": SIGNALS,
    "notifications": NOTIFICATIONS,
    "events": EVENTS,
}
"""By the channel whose snapshots they give."""
