"""The topic table: every topic of the contract, what stands in it, how it is keyed, how long it is kept.

Topics are created from this table at start and never by the broker itself. All keyed topics have ONE
partition count (a setting), since a derived record keeps the partition number of what it came from.
All topics use LogAppendTime: event time lives in the values, else retention would eat old captures.

The table holds base names; `Topic.name` is the name on the broker, in the namespace of this process (see
`schemas.namespace`). So no module keeps a name when it is imported: it keeps the topic.
"""

from dataclasses import dataclass, field, replace
from typing import Final, Literal, Self

from schemas.namespace import Namespace, current
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

Cleanup = Literal["delete", "compact"]

DAY_MS: Final = 86_400_000
DEAD_LETTER_SUFFIX: Final = ".dlq"


@dataclass(frozen=True, slots=True)
class Topic:
    """One row of the table.

    Attributes:
        base_name: Name without a namespace.
        records: What may stand in it.
        key: What the key of a record is, in words.
        cleanup: `delete` after `retention_ms`, or `compact` by key.
        retention_ms: Milliseconds that records are kept; -1 for ever. None for compacted topics.
        keyed: Whether it has the one partition count of keyed topics; else it has one partition.
        dead_letters: Whether `<name>.dlq` stands beside it.
        namespace: Where it stands; None for the namespace of this process.
    """

    base_name: str
    records: tuple[type[Record], ...]
    key: str
    cleanup: Cleanup = "delete"
    retention_ms: int | None = None
    keyed: bool = True
    dead_letters: bool = True
    config: dict[str, str] = field(default_factory=dict)
    namespace: Namespace | None = None

    @property
    def name(self) -> str:
        """Name on the broker."""
        return (self.namespace or current()).name_of(self.base_name)

    def in_namespace(self, namespace: Namespace | str) -> Self:
        """The same topic of a namespace that need not be this process's; "" is the live run's.

        Raises:
            ConfigurationError: The text is no namespace.
        """
        place = Namespace(namespace) if isinstance(namespace, str) else namespace
        return replace(self, namespace=place)

    @property
    def dead_letter_name(self) -> str:
        """Name of the topic that takes what cannot be used."""
        return f"{self.name}{DEAD_LETTER_SUFFIX}"


TRADES: Final = Topic("market.trades.v1", (Trade, TimeMark, Gap), "venue:symbol", retention_ms=7 * DAY_MS)
QUOTES: Final = Topic("market.quotes.v1", (Quote, TimeMark, Gap), "venue:symbol", retention_ms=2 * DAY_MS)
BOOKS: Final = Topic("market.books.v1", (BookUpdate, TimeMark, Gap), "venue:symbol", retention_ms=2 * DAY_MS)
BOOK_SAMPLES: Final = Topic(
    "market.book-samples.v1", (BookUpdate, TimeMark), "venue:symbol", retention_ms=30 * DAY_MS
)
TICKERS: Final = Topic("market.tickers.v1", (Ticker, TimeMark), "venue:symbol", cleanup="compact")
CANDLES: Final = Topic("market.candles.v1", (Candle, TimeMark), "venue:symbol", retention_ms=400 * DAY_MS)
LIVE_CANDLES: Final = Topic(
    "market.candles-live.v1", (LiveCandle,), "venue:symbol:interval", cleanup="compact"
)
BARS: Final = Topic("market.bars.v1", (TradeBar, TimeMark), "venue:symbol", retention_ms=400 * DAY_MS)
VENUE_PRICES: Final = Topic(
    "market.venue-prices.v1", (VenuePrice, TimeMark), "symbol", retention_ms=7 * DAY_MS
)
INDICATORS: Final = Topic(
    "market.indicators.v1", (IndicatorValue, TimeMark), "venue:symbol", retention_ms=400 * DAY_MS
)
SIGNALS: Final = Topic("market.signals.v1", (Signal, TimeMark), "venue:symbol", retention_ms=400 * DAY_MS)
EXCHANGE_CANDLES: Final = Topic(
    "market.exchange-candles.v1", (ExchangeCandle, TimeMark), "venue:symbol", retention_ms=7 * DAY_MS
)
DERIVATIVES: Final = Topic(
    "market.derivatives.v1", (DerivativeTicker, TimeMark), "venue:symbol", retention_ms=30 * DAY_MS
)
LIQUIDATIONS: Final = Topic(
    "market.liquidations.v1", (Liquidation, TimeMark), "venue:symbol", retention_ms=30 * DAY_MS
)
INSTRUMENTS: Final = Topic("reference.instruments.v1", (Instrument,), "venue:symbol", cleanup="compact")
POSITIONS: Final = Topic(
    "producers.positions.v1", (Position,), "source/topic", cleanup="compact", keyed=False, dead_letters=False
)
CONTROL: Final = Topic(
    "producers.control.v1", (SymbolRequest,), "venue:market:symbol", cleanup="compact", dead_letters=False
)
ALERTS: Final = Topic(
    "processors.alerts.v1",
    (PriceAlert,),
    "alert id",
    cleanup="compact",
    keyed=False,
    dead_letters=False,
    # A record that was replaced stays as long as trades do, and a day: until then it still acts on trades of
    # its time, when they are read again.
    config={"min.compaction.lag.ms": str(8 * DAY_MS)},
)
NOTIFICATIONS: Final = Topic(
    "notifications.v1", (Notification,), "notification id", retention_ms=90 * DAY_MS, keyed=False
)
SYSTEM_EVENTS: Final = Topic(
    "system.events.v1", (SystemEvent,), "source", retention_ms=30 * DAY_MS, keyed=False
)
AUDIT: Final = Topic("system.audit.v1", (AuditEntry,), "subject", retention_ms=-1, keyed=False)

TOPICS: Final[tuple[Topic, ...]] = (
    TRADES,
    QUOTES,
    BOOKS,
    BOOK_SAMPLES,
    TICKERS,
    EXCHANGE_CANDLES,
    DERIVATIVES,
    LIQUIDATIONS,
    CANDLES,
    LIVE_CANDLES,
    BARS,
    VENUE_PRICES,
    INDICATORS,
    SIGNALS,
    INSTRUMENTS,
    CONTROL,
    ALERTS,
    POSITIONS,
    NOTIFICATIONS,
    SYSTEM_EVENTS,
    AUDIT,
)
"""The topics that are created today."""

BY_BASE_NAME: Final[dict[str, Topic]] = {topic.base_name: topic for topic in TOPICS}
DLQ_RETENTION_MS: Final = 30 * DAY_MS


def name_here(name: str) -> str:
    """The name that a user means in the namespace of this process: base names need no prefix."""
    return current().name_of(name) if name.removesuffix(DEAD_LETTER_SUFFIX) in BY_BASE_NAME else name


def prefix_of(name: str) -> str:
    """The namespace of a topic of the table, or of its dead letters; "" for any other name."""
    front, _, rest = name.partition(".")
    return front if rest.removesuffix(DEAD_LETTER_SUFFIX) in BY_BASE_NAME else ""


def topic_of(name: str) -> Topic:
    """The topic of the table that has this name on the broker, in the namespace of this process.

    Raises:
        KeyError: There is none.
    """
    base_name = current().base_name_of(name)
    if base_name is None or base_name not in BY_BASE_NAME:
        raise KeyError(name)
    return BY_BASE_NAME[base_name]
