"""Records as people and programs read them: one line of text, or one JSON object."""

import datetime
from typing import Any

import msgspec

from schemas.identity import ce_id
from schemas.records import (
    AuditEntry,
    BookUpdate,
    Candle,
    Gap,
    IndicatorValue,
    Notification,
    Quote,
    Record,
    Signal,
    SystemEvent,
    Ticker,
    TimeMark,
    Trade,
)
from schemas.registry import BY_RECORD


def _time_fields(record: type[Record]) -> frozenset[str]:
    fields = BY_RECORD[record].definition["fields"]
    return frozenset(field["name"] for field in fields if _is_time(field["type"]))


def _is_time(avro: Any) -> bool:
    if isinstance(avro, list):
        return any(_is_time(part) for part in avro)
    return isinstance(avro, dict) and avro.get("logicalType") == "timestamp-micros"


_TIMES = {record: _time_fields(record) for record in BY_RECORD}


def iso_time(micros: int) -> str:
    """Microseconds since the epoch as ISO 8601, UTC, always with six decimals."""
    moment = datetime.datetime.fromtimestamp(0, datetime.UTC) + datetime.timedelta(microseconds=micros)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def type_name(record: Record) -> str:
    """Name of a record's type in lower case: trade, time_mark."""
    return BY_RECORD[type(record)].file.removesuffix(".avsc")


def as_dict(record: Record) -> dict[str, Any]:
    """Type, id and fields of a record, times as ISO 8601."""
    times = _TIMES[type(record)]
    fields = {
        name: iso_time(value) if name in times and value is not None else value
        for name, value in msgspec.structs.asdict(record).items()
    }
    return {"type": type_name(record), "ce_id": ce_id(record), **fields}


def as_json(record: Record, **more: Any) -> str:
    """One JSON object; `more` goes first, as partition and offset do."""
    return msgspec.json.encode({**more, **as_dict(record)}).decode()


def as_line(record: Record) -> str:
    """What a person wants to see of a record, in one line."""
    match record:
        case Trade(venue=venue, symbol=symbol):
            head = f"{iso_time(record.event_time)} trade     {venue} {symbol} {record.side:<7}"
            return f"{head} {record.size:.8g} @ {record.price:.10g} #{record.trade_id}"
        case Quote(venue=venue, symbol=symbol):
            sides = f"{record.bid_size:.8g} @ {record.bid} | {record.ask} @ {record.ask_size:.8g}"
            return f"{iso_time(record.event_time or record.receive_time)} quote     {venue} {symbol} {sides}"
        case BookUpdate(venue=venue, symbol=symbol):
            best = [f"{p[0]} x {s[0]:.8g}" if p else "-" for p, s in _tops(record)]
            head = f"{iso_time(record.event_time or record.receive_time)} book      {venue} {symbol}"
            return f"{head} {record.kind} {best[0]} | {best[1]} to #{record.last_sequence}"
        case Ticker(venue=venue, symbol=symbol):
            change = "" if record.change_percent is None else f" {record.change_percent:+.2f} %"
            volume = "" if record.base_volume is None else f" V {record.base_volume:.8g}"
            return f"{iso_time(record.event_time)} ticker    {venue} {symbol} {record.last}{change}{volume}"
        case Candle(venue=venue, symbol=symbol):
            prices = f"O {record.open:.10g} H {record.high:.10g} L {record.low:.10g} C {record.close:.10g}"
            rest = f"V {record.volume:.8g} n {record.trade_count}" + _remarks(
                record.revision, record.complete
            )
            head = f"{iso_time(record.open_time)} candle    {venue} {symbol} {record.interval}"
            return f"{head} {prices} {rest}"
        case IndicatorValue(venue=venue, symbol=symbol):
            remarks = _remarks(record.revision, record.complete)
            head = f"{iso_time(record.open_time)} indicator {venue} {symbol} {record.interval}"
            return f"{head} {record.name} = {record.value:.10g}{remarks}"
        case Signal(venue=venue, symbol=symbol):
            head = f"{iso_time(record.event_time)} signal    {venue} {symbol} {record.interval}"
            return f"{head} {record.rule} {record.direction} strength {record.strength:.3f}"
        case TimeMark():
            end = " final" if record.final else ""
            return f"{iso_time(record.time)} mark      {record.venue} {record.source}{end}"
        case Gap(venue=venue, symbol=symbol):
            span = f"{record.first_sequence}-{record.last_sequence}"
            text = f"{venue} {symbol} {record.status} {span}: {record.reason}"
            return f"{iso_time(record.to_time)} gap       {text}"
        case SystemEvent():
            return f"{iso_time(record.event_time)} {record.severity:<9} {record.type} {record.message}"
        case Notification():
            return f"{iso_time(record.event_time)} notified  {record.channel}: {record.subject}"
        case AuditEntry():
            change = f"{record.before or 'nothing'} -> {record.after or 'nothing'}"
            return f"{iso_time(record.event_time)} {record.actor} {record.action} {record.subject}: {change}"
        case _:
            return as_json(record)


def _tops(book: BookUpdate) -> list[tuple[list[float], list[float]]]:
    return [(book.bid_prices, book.bid_sizes), (book.ask_prices, book.ask_sizes)]


def _remarks(revision: int, complete: bool) -> str:
    return (f" rev {revision}" if revision else "") + ("" if complete else " incomplete")
