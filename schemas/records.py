"""The records of the contract: one class for each schema in `avro/`, field by field.

All are immutable and have slots. Times are whole microseconds since the epoch, UTC. Prices are in
quote currency per base unit, sizes in base units. Units of every field stand in the `.avsc` files; a
test holds the two against each other.
"""

from typing import Literal, TypeAlias

import msgspec

Micros: TypeAlias = int
"""Microseconds since the epoch, UTC."""

Side: TypeAlias = Literal["unknown", "buy", "sell"]
GapStatus: TypeAlias = Literal["opened", "filled", "given_up"]
BookUpdateKind: TypeAlias = Literal["snapshot", "delta"]
Direction: TypeAlias = Literal["long", "short", "neutral"]
InstrumentKind: TypeAlias = Literal["spot", "perpetual", "future"]
InstrumentStatus: TypeAlias = Literal["trading", "halted", "delisted"]
BarKind: TypeAlias = Literal["tick", "volume", "value"]
AlertKind: TypeAlias = Literal["above", "below", "crosses", "move"]
Severity: TypeAlias = Literal["info", "warning", "error"]


class Record(msgspec.Struct, frozen=True):
    """What all records share: immutability, equality by value, slots."""


class Trade(Record, frozen=True):
    """One public trade of a venue."""

    venue: str
    symbol: str
    trade_id: str
    sequence: int | None
    price: float
    size: float
    side: Side
    event_time: Micros
    receive_time: Micros
    raw_size: float | None = None
    backfilled: bool = False
    inexact: bool = False


class TimeMark(Record, frozen=True):
    """A source states that it has delivered everything up to `time` of the exchange."""

    venue: str
    source: str
    time: Micros
    final: bool
    instance: str


class Gap(Record, frozen=True):
    """Trades of a symbol that are, or were, missing."""

    venue: str
    symbol: str
    source: str
    status: GapStatus
    first_sequence: int | None
    last_sequence: int | None
    from_time: Micros
    to_time: Micros
    reason: str


class Quote(Record, frozen=True):
    """Best bid and ask; a side that is empty has price None and size 0."""

    venue: str
    symbol: str
    bid: float | None
    bid_size: float
    ask: float | None
    ask_size: float
    sequence: int | None
    event_time: Micros | None
    receive_time: Micros
    inexact: bool = False


class BookUpdate(Record, frozen=True):
    """A snapshot of an order book or a change to it; a size of 0 removes the level."""

    venue: str
    symbol: str
    kind: BookUpdateKind
    first_sequence: int | None
    last_sequence: int | None
    previous_sequence: int | None
    bid_prices: list[float]
    bid_sizes: list[float]
    ask_prices: list[float]
    ask_sizes: list[float]
    checksum: int | None
    event_time: Micros | None
    receive_time: Micros


class Ticker(Record, frozen=True):
    """24 hour figures of a symbol."""

    venue: str
    symbol: str
    last: float
    bid: float | None
    ask: float | None
    open: float | None
    high: float | None
    low: float | None
    base_volume: float | None
    quote_volume: float | None
    change: float | None
    change_percent: float | None
    event_time: Micros
    receive_time: Micros


class ExchangeCandle(Record, frozen=True):
    """A candle as the venue itself computes it, open or closed; null where the venue does not say."""

    venue: str
    symbol: str
    interval: str
    open_time: Micros
    close_time: Micros
    open: float
    high: float
    low: float
    close: float
    volume: float | None
    quote_volume: float | None
    taker_buy_volume: float | None
    trade_count: int | None
    first_sequence: int | None
    last_sequence: int | None
    closed: bool | None
    event_time: Micros | None
    receive_time: Micros


class DerivativeTicker(Record, frozen=True):
    """What a venue says of a perpetual or a future besides trading; null where this message is silent."""

    venue: str
    symbol: str
    mark_price: float | None
    index_price: float | None
    funding_rate: float | None
    next_funding_time: Micros | None
    open_interest: float | None
    event_time: Micros | None
    receive_time: Micros


class Liquidation(Record, frozen=True):
    """A position that the venue closed by force."""

    venue: str
    symbol: str
    side: Side
    price: float
    size: float
    raw_size: float | None
    event_time: Micros
    receive_time: Micros


class Candle(Record, frozen=True):
    """A closed candle, or a revision of one; [open_time, close_time)."""

    venue: str
    symbol: str
    interval: str
    open_time: Micros
    close_time: Micros
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    taker_buy_volume: float
    trade_count: int
    first_sequence: int | None
    last_sequence: int | None
    revision: int
    complete: bool
    vwap: float | None = None
    backfilled: bool = False


class LiveCandle(Record, frozen=True):
    """A candle that is still open, as far as a time mark has told; [open_time, close_time)."""

    venue: str
    symbol: str
    interval: str
    open_time: Micros
    close_time: Micros
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    taker_buy_volume: float
    trade_count: int
    as_of: Micros


class TradeBar(Record, frozen=True):
    """A bar that is full by what was traded, not by time; counted anew in each UTC day."""

    venue: str
    symbol: str
    kind: BarKind
    threshold: float
    session: Micros
    number: int
    open_time: Micros
    close_time: Micros
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    taker_buy_volume: float
    trade_count: int
    first_sequence: int | None
    last_sequence: int | None
    vwap: float | None
    full: bool
    complete: bool


class VenuePrice(Record, frozen=True):
    """The last price of a symbol at one venue when an interval closed; keyed by symbol alone."""

    venue: str
    symbol: str
    interval: str
    open_time: Micros
    close_time: Micros
    price: float
    revision: int
    complete: bool


class IndicatorValue(Record, frozen=True):
    """One output of one indicator at a closed candle."""

    venue: str
    symbol: str
    interval: str
    open_time: Micros
    name: str
    value: float
    revision: int
    complete: bool


class Signal(Record, frozen=True):
    """A rule has fired at a closed candle."""

    id: str
    venue: str
    symbol: str
    interval: str
    open_time: Micros
    event_time: Micros
    rule: str
    direction: Direction
    strength: float
    values: dict[str, float]
    candle_id: str
    complete: bool


class Instrument(Record, frozen=True):
    """What a venue lists under a symbol."""

    venue: str
    symbol: str
    venue_symbol: str
    base: str
    quote: str
    kind: InstrumentKind
    status: InstrumentStatus
    tick_size: float | None
    lot_size: float | None
    min_notional: float | None
    multiplier: float
    event_time: Micros


class Notification(Record, frozen=True):
    """A message that was delivered to a channel."""

    id: str
    type: str
    channel: str
    subject: str
    body: str
    cause_id: str
    event_time: Micros


class SystemEvent(Record, frozen=True):
    """Something that people who operate the pipeline want to know."""

    id: str
    type: str
    source: str
    severity: Severity
    message: str
    data: dict[str, str]
    event_time: Micros


class AuditEntry(Record, frozen=True):
    """Somebody has changed something by a command; `before` and `after` are JSON."""

    id: str
    actor: str
    action: str
    subject: str
    before: str | None
    after: str | None
    event_time: Micros


class SymbolRequest(Record, frozen=True):
    """Somebody wants a symbol fed, or no longer; the newest one of a symbol holds."""

    venue: str
    market: str
    symbol: str
    wanted: bool
    event_time: Micros


class PriceAlert(Record, frozen=True):
    """Somebody wants to be told about a price; the newest one of an id holds."""

    id: str
    venue: str
    symbol: str
    kind: AlertKind
    level: float
    window_s: float
    repeats: bool
    wanted: bool
    event_time: Micros


class Position(Record, frozen=True):
    """Where a source stood in a topic of its own: all before it is known, a restart reads on from there."""

    venue: str
    source: str
    topic: str
    time: Micros
    offsets: dict[str, int]
    sequences: dict[str, int]
    event_times: dict[str, int]
