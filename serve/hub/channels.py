"""What can be subscribed to: channels, the topics behind them, and records as clients see them."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from schemas import topics
from schemas.records import (
    BookUpdate,
    Candle,
    IndicatorValue,
    LiveCandle,
    Notification,
    Quote,
    Record,
    Signal,
    SystemEvent,
    Ticker,
    Trade,
)
from schemas.topics import Topic

Data: TypeAlias = dict[str, Any]


class Subscription(NamedTuple):
    """What a client has asked for; None where it does not matter to the channel, or to the client."""

    channel: str
    venue: str | None = None
    symbol: str | None = None
    interval: str | None = None


@dataclass(frozen=True, slots=True)
class Channel:
    """One kind of subscription.

    Attributes:
        name: Its name.
        topics: Where its records come from; by key `venue:symbol`, or with the interval behind it.
        needs: What a subscription must name.
        narrowed_by: What it may name besides.
        identity: Of records with one identity only the newest matters; None: each one matters.
        snapshot: Records that a snapshot holds, at most.
        newest_only: Whether a snapshot holds the newest moment alone.
    """

    name: str
    topics: tuple[Topic, ...]
    needs: tuple[str, ...] = ()
    narrowed_by: tuple[str, ...] = ()
    identity: Callable[[Data], Hashable] = field(default=lambda data: None)
    each_matters: bool = False
    snapshot: int = 1
    newest_only: bool = False


_MARKET: Final = ("venue", "symbol")
_SERIES: Final = ("venue", "symbol", "interval")

CHANNELS: Final[Mapping[str, Channel]] = {
    channel.name: channel
    for channel in (
        Channel(
            "candles",
            (topics.LIVE_CANDLES, topics.CANDLES),
            _SERIES,
            identity=lambda data: data["time"],
            snapshot=300,
        ),
        Channel(
            "trades",
            (topics.TRADES,),
            _MARKET,
            identity=lambda data: data["trade_id"],
            each_matters=True,
            snapshot=50,
        ),
        Channel("quotes", (topics.QUOTES,), _MARKET),
        Channel("books", (topics.BOOK_SAMPLES,), _MARKET),
        Channel("tickers", (topics.TICKERS,), _MARKET),
        Channel(
            "indicators",
            (topics.INDICATORS,),
            _SERIES,
            identity=lambda data: (data["time"], data["name"]),
            snapshot=100,
            newest_only=True,
        ),
        Channel(
            "signals",
            (topics.SIGNALS,),
            narrowed_by=_SERIES,
            identity=lambda data: (*(data[name] for name in _SERIES), data["rule"], data["time"]),
            each_matters=True,
            snapshot=50,
        ),
        Channel(
            "notifications",
            (topics.NOTIFICATIONS,),
            identity=lambda data: data["id"],
            each_matters=True,
            snapshot=50,
        ),
        Channel(
            "events",
            (topics.SYSTEM_EVENTS,),
            identity=lambda data: data["id"],
            each_matters=True,
            snapshot=50,
        ),
    )
}
"""By name."""


def _of_trade(record: Trade) -> Data:
    return {
        "time": record.event_time,
        "trade_id": record.trade_id,
        "price": record.price,
        "size": record.size,
        "side": record.side,
        "receive_time": record.receive_time,
    }


def _of_quote(record: Quote) -> Data:
    return {
        "time": record.receive_time if record.event_time is None else record.event_time,
        "bid": record.bid,
        "bid_size": record.bid_size,
        "ask": record.ask,
        "ask_size": record.ask_size,
        "receive_time": record.receive_time,
    }


def _of_book(record: BookUpdate) -> Data:
    return {
        "time": record.receive_time if record.event_time is None else record.event_time,
        "bid_prices": record.bid_prices,
        "bid_sizes": record.bid_sizes,
        "ask_prices": record.ask_prices,
        "ask_sizes": record.ask_sizes,
    }


def _of_candle(record: Candle | LiveCandle) -> Data:
    closed = isinstance(record, Candle)
    return {
        "time": record.open_time,
        "open": record.open,
        "high": record.high,
        "low": record.low,
        "close": record.close,
        "volume": record.volume,
        "quote_volume": record.quote_volume,
        "taker_buy_volume": record.taker_buy_volume,
        "trade_count": record.trade_count,
        "closed": closed,
        "complete": record.complete if isinstance(record, Candle) else None,
        "revision": record.revision if isinstance(record, Candle) else 0,
        "as_of": None if isinstance(record, Candle) else record.as_of,
    }


def _of_ticker(record: Ticker) -> Data:
    names = ("last", "bid", "ask", "open", "high", "low", "base_volume", "quote_volume")
    return {
        "time": record.event_time,
        **{name: getattr(record, name) for name in (*names, "change", "change_percent")},
    }


def _of_indicator(record: IndicatorValue) -> Data:
    return {
        "time": record.open_time,
        "name": record.name,
        "value": record.value,
        "complete": record.complete,
        "revision": record.revision,
    }


def _of_signal(record: Signal) -> Data:
    names = ("venue", "symbol", "interval", "rule", "direction", "strength")
    return {
        "time": record.open_time,
        **{name: getattr(record, name) for name in names},
        "complete": record.complete,
        "event_time": record.event_time,
        "candle_id": record.candle_id,
        "values": record.values,
    }


def _of_notification(record: Notification) -> Data:
    names = ("id", "type", "channel", "subject", "body", "cause_id")
    return {"time": record.event_time, **{name: getattr(record, name) for name in names}}


def _of_event(record: SystemEvent) -> Data:
    names = ("id", "type", "source", "severity", "message", "data")
    return {"time": record.event_time, **{name: getattr(record, name) for name in names}}


_SHOWN: Final[Mapping[type[Record], Callable[[Any], Data]]] = {
    Trade: _of_trade,
    Quote: _of_quote,
    BookUpdate: _of_book,
    Candle: _of_candle,
    LiveCandle: _of_candle,
    Ticker: _of_ticker,
    IndicatorValue: _of_indicator,
    Signal: _of_signal,
    Notification: _of_notification,
    SystemEvent: _of_event,
}


def shown(record: Record) -> Data | None:
    """A record as clients see it; None for marks and gaps, which are not for them."""
    show = _SHOWN.get(type(record))
    return None if show is None else show(record)


def series_of(record: Record) -> tuple[str | None, str | None, str | None]:
    """Venue, symbol and interval of a record, as far as it has them."""
    return tuple(getattr(record, name, None) for name in _SERIES)  # type: ignore[return-value]


def is_outdated(data: Data, by: Data) -> bool:
    """Whether a candle is late: another one of its time is known that is closed, or revised later."""
    return bool(by["closed"]) and (not data["closed"] or data["revision"] < by["revision"])
