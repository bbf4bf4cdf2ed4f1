"""Keys and ids: what a record is about, and by what a repeat of it is known.

Ids come from market data alone, never from an offset, a partition or a clock, so a replay and a restarted
worker give a record the id that it had before. Readers of a topic drop a record whose `ce_id` they
have seen: a repeat has the same id and the same values.
"""

from schemas.errors import ValidationError
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
    Position,
    PriceAlert,
    Quote,
    Record,
    Signal,
    SymbolRequest,
    SystemEvent,
    Ticker,
    TimeMark,
    Trade,
    TradeBar,
    VenuePrice,
)


def market_key(venue: str, symbol: str) -> str:
    """The key of every market topic: `venue:symbol`."""
    return f"{venue}:{symbol}"


def split_key(key: str) -> tuple[str, str]:
    """Venue and symbol of a market key, split at the first colon only.

    Raises:
        ValidationError: The key has no colon, or nothing before or after it.
    """
    venue, _, symbol = key.partition(":")
    if not venue or not symbol:
        raise ValidationError(f"a market key is 'venue:symbol', got {key!r}")
    return venue, symbol


def candle_id(venue: str, symbol: str, interval: str, open_time: int, revision: int) -> str:
    """The `ce_id` of a candle."""
    return f"candle/{venue}/{symbol}/{interval}/{open_time}/{revision}"


def trade_id(venue: str, symbol: str, number: str) -> str:
    """The `ce_id` of a trade; `number` is the venue's own id of it."""
    return f"trade/{venue}/{symbol}/{number}"


def signal_id(venue: str, symbol: str, interval: str, open_time: int, rule: str) -> str:
    """The id of a signal: a rule fires at most once at a candle, whatever its revision."""
    return f"signal/{venue}/{symbol}/{interval}/{open_time}/{rule}"


def ce_id(record: Record) -> str:
    """The CloudEvents id of a record, equal for every repeat of it.

    Raises:
        ValidationError: The record is of a type that the contract does not know.
    """
    match record:
        case Trade():
            return trade_id(record.venue, record.symbol, record.trade_id)
        case TimeMark():
            final = "/final" if record.final else ""
            return f"mark/{record.venue}/{record.source}/{record.instance}/{record.time}{final}"
        case Gap():
            span = f"{record.first_sequence}-{record.last_sequence}/{record.from_time}-{record.to_time}"
            return f"gap/{record.venue}/{record.symbol}/{record.status}/{span}"
        case Quote():
            stamp = record.receive_time if record.sequence is None else record.sequence
            return f"quote/{record.venue}/{record.symbol}/{stamp}"
        case BookUpdate():
            span = f"{record.first_sequence}-{record.last_sequence}"
            if record.last_sequence is None:
                span = str(record.receive_time if record.event_time is None else record.event_time)
            return f"book/{record.venue}/{record.symbol}/{record.kind}/{span}"
        case Ticker():
            return f"ticker/{record.venue}/{record.symbol}/{record.event_time}"
        case ExchangeCandle():
            stamp = record.receive_time if record.event_time is None else record.event_time
            return (
                f"exchange-candle/{record.venue}/{record.symbol}/{record.interval}/{record.open_time}/{stamp}"
            )
        case DerivativeTicker():
            stamp = record.receive_time if record.event_time is None else record.event_time
            return f"derivative/{record.venue}/{record.symbol}/{stamp}"
        case Liquidation():
            what = f"{record.event_time}/{record.side}/{record.price!r}/{record.size!r}"
            return f"liquidation/{record.venue}/{record.symbol}/{what}"
        case SymbolRequest():
            return f"symbol/{record.venue}/{record.market}/{record.symbol}/{record.event_time}"
        case Candle():
            return candle_id(record.venue, record.symbol, record.interval, record.open_time, record.revision)
        case LiveCandle():
            opened = f"{record.venue}/{record.symbol}/{record.interval}/{record.open_time}"
            return f"live-candle/{opened}/{record.as_of}"
        case TradeBar():
            spec = f"{record.kind}/{record.threshold!r}/{record.session}/{record.number}"
            return f"bar/{record.venue}/{record.symbol}/{spec}"
        case VenuePrice():
            opened = f"{record.venue}/{record.symbol}/{record.interval}/{record.open_time}"
            return f"venue-price/{opened}/{record.revision}"
        case PriceAlert():
            return f"alert/{record.id}/{record.event_time}"
        case IndicatorValue():
            return (
                f"indicator/{record.venue}/{record.symbol}/{record.interval}"
                f"/{record.open_time}/{record.name}/{record.revision}"
            )
        case Instrument():
            return f"instrument/{record.venue}/{record.symbol}/{record.event_time}"
        case Position():
            return f"position/{record.source}/{record.topic}/{sum(record.offsets.values())}"
        case Signal() | Notification() | SystemEvent() | AuditEntry():
            return record.id
        case _:
            raise ValidationError(f"{type(record).__name__} is not a record of the contract")
