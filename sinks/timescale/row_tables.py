"""Tables whose records are few, or of no fixed shape: they are written one by one, each once by its key."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from psycopg import sql

from schemas import topics
from schemas.records import AuditEntry, Notification, Record, Signal, SystemEvent
from schemas.topics import Topic
from sinks.database import Connection
from sinks.portion import Portion, Slice
from sinks.storable import TIME_MAX_US, TIME_MIN_US, signal_fault
from sinks.timescale.instruments import Instruments
from sinks.timescale.table import TIME_TYPE

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
LONGEST_ID_BYTES: Final = 1_000
"""Ids are made of other ids; an index takes no entry beyond 2.7 kB."""

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Cell(Generic[R]):
    """A column of such a table.

    Attributes:
        name: Its name.
        type: Its type as PostgreSQL prints it.
        fields: Fields of the record that it holds.
        of: Its value, given the record and the instruments' numbers.
    """

    name: str
    type: str
    fields: tuple[str, ...]
    of: Callable[[R, Instruments], Any]


@dataclass(frozen=True, slots=True)
class RowTable(Generic[R]):
    """A table of records that are written one by one; a record whose key is stored already is dropped.

    Attributes:
        name: Its name in schema kandle.
        view: Name of the view in schema public that shows it.
        topic: Where its rows come from.
        record: The record that a row is made of.
        cells: Its columns.
        fault: Why a record cannot be stored; None if it can.
        left_out: Fields of the record that no column holds, and why.
        time: The field by which rows are partitioned, if they are.
    """

    name: str
    view: str
    topic: Topic
    record: type[R]
    cells: tuple[Cell[R], ...]
    fault: Callable[[R], str | None]
    left_out: Mapping[str, str] = field(default_factory=dict)
    time: str | None = None

    def inspect(self, slice_: Slice) -> None:
        """Decode the records, and refuse what the table cannot take."""
        slice_.decode(self.record, self.fault)

    def found(self, slices: Sequence[Slice]) -> list[R]:
        """The records of slices."""
        return [
            record for slice_ in slices for _, record in slice_.decoded if isinstance(record, self.record)
        ]

    def names(self, portion: Portion) -> set[tuple[str, str]]:
        """Venues and symbols of the records of a portion, where they have such."""
        if "symbol" not in self.record.__struct_fields__:
            return set()
        found: list[Any] = list(self.found(portion.of(self.topic)))
        return {(record.venue, record.symbol) for record in found}

    async def store(self, db: Connection, slice_: Slice, instruments: Instruments) -> int:
        """Insert the records of a slice inside the transaction; returns how many were new."""
        rows = [tuple(cell.of(record, instruments) for cell in self.cells) for record in self.found([slice_])]
        insert = sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
            sql.Identifier("kandle", self.name),
            sql.SQL(", ").join(sql.Identifier(cell.name) for cell in self.cells),
            sql.SQL(", ").join(sql.Placeholder() for _ in self.cells),
        )
        async with db.cursor() as cursor:
            await cursor.executemany(insert, rows)
            return cursor.rowcount


def _plain(type_: str, *names: str) -> tuple[Cell[Any], ...]:
    """Columns that hold fields of their own names as they are."""

    def of(name: str) -> Callable[[Any, Instruments], Any]:
        return lambda record, _: getattr(record, name)

    return tuple(Cell(name, type_, (name,), of(name)) for name in names)


def _moment(name: str, source: str) -> Cell[Any]:
    def of(record: Any, _: Instruments) -> dt.datetime:
        return _EPOCH + dt.timedelta(microseconds=getattr(record, source))

    return Cell(name, TIME_TYPE, (source,), of)


def _instrument(record: Any, instruments: Instruments) -> int:
    return instruments.id_of(record.venue, record.symbol)


def _values(signal: Signal, _: Instruments) -> str:
    # JSON has no infinities; a rule that saw one keeps it as text.
    values = {name: value if math.isfinite(value) else str(value) for name, value in signal.values.items()}
    return json.dumps(values)


def _data(event: SystemEvent, _: Instruments) -> str:
    return json.dumps(event.data)


def _event_fault(event: SystemEvent) -> str | None:
    words = (event.type, event.source, event.message, *event.data, *event.data.values())
    return _fault(event.id, event.event_time, words)


def _message_fault(message: Notification) -> str | None:
    words = (message.type, message.channel, message.subject, message.body, message.cause_id)
    return _fault(message.id, message.event_time, words)


def _audit_fault(entry: AuditEntry) -> str | None:
    documents = [text for text in (entry.before, entry.after) if text is not None]
    words = (entry.actor, entry.action, entry.subject, *documents)
    fault = _fault(entry.id, entry.event_time, words)
    if fault is not None:
        return fault
    for text in documents:
        try:
            json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            return f"before and after are JSON, this is not: {error}: {text[:50]!r}"
    return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"JSON has no {name}")


def _fault(id_: str, time: int, words: Sequence[str]) -> str | None:
    if not TIME_MIN_US <= time < TIME_MAX_US:
        return f"a time is not between the years 1800 and 2200: {time} µs"
    if not id_ or len(id_.encode("utf-8", "surrogatepass")) > LONGEST_ID_BYTES:
        return f"the id is empty or longer than {LONGEST_ID_BYTES} bytes: {id_[:50]!r}"
    for word in (id_, *words):
        if "\0" in word:
            return f"a text holds a zero byte: {word[:50]!r}"
    return None


SIGNALS: Final[RowTable[Signal]] = RowTable(
    name="market_signals",
    view="signals",
    topic=topics.SIGNALS,
    record=Signal,
    cells=(
        _moment("time", "open_time"),
        _moment("event_time", "event_time"),
        *_plain("double precision", "strength"),
        Cell("instrument_id", "integer", ("venue", "symbol"), _instrument),
        *_plain("boolean", "complete"),
        *_plain("text", "interval", "rule", "direction", "candle_id"),
        Cell("values", "jsonb", ("values",), _values),
    ),
    fault=signal_fault,
    left_out={"id": "made of venue, symbol, interval, time and rule"},
    time="open_time",
)
SYSTEM_EVENTS: Final[RowTable[SystemEvent]] = RowTable(
    name="event_log",
    view="system_events",
    topic=topics.SYSTEM_EVENTS,
    record=SystemEvent,
    cells=(
        _moment("time", "event_time"),
        *_plain("text", "id", "type", "source", "severity", "message"),
        Cell("data", "jsonb", ("data",), _data),
    ),
    fault=_event_fault,
)
NOTIFICATIONS: Final[RowTable[Notification]] = RowTable(
    name="message_log",
    view="notifications_sent",
    topic=topics.NOTIFICATIONS,
    record=Notification,
    cells=(
        _moment("time", "event_time"),
        *_plain("text", "id", "type", "channel", "subject", "body", "cause_id"),
    ),
    fault=_message_fault,
)
AUDIT: Final[RowTable[AuditEntry]] = RowTable(
    name="audit_log",
    view="audit_entries",
    topic=topics.AUDIT,
    record=AuditEntry,
    cells=(
        _moment("time", "event_time"),
        *_plain("text", "id", "actor", "action", "subject"),
        *_plain("json", "before", "after"),
    ),
    fault=_audit_fault,
)

ROW_TABLES: Final[tuple[RowTable[Any], ...]] = (SIGNALS, SYSTEM_EVENTS, NOTIFICATIONS, AUDIT)
