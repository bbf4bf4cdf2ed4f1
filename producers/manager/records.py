"""What venues answer to the REST manager; a value that one does not tell is None, never made up."""

import msgspec

from schemas.errors import BadAnswerError, KandleError, RateLimitedError, RefusedError, ServerError
from schemas.records import Micros


class VenueTicker(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of 24 hours of a symbol at a venue; prices in quote currency, the volume in base units.

    Attributes:
        venue: Our name of it.
        market: Kind of market; empty where the venue has one client for all.
        symbol: Unified symbol.
        price: Of the last trade.
        bid: Best bid.
        ask: Best ask.
        volume: Of 24 hours.
        change_24h: Of the price, in quote currency.
        change_percent_24h: Of the price, 1.5 is 1.5 %.
        high_24h: Highest price.
        low_24h: Lowest price.
        timestamp: Of the figures, by the venue.
        receive_time: When they came.
    """

    venue: str
    market: str
    symbol: str
    price: float
    bid: float | None
    ask: float | None
    volume: float | None
    change_24h: float | None = msgspec.field(name="change24h")
    change_percent_24h: float | None = msgspec.field(name="changePercent24h")
    high_24h: float | None = msgspec.field(name="high24h")
    low_24h: float | None = msgspec.field(name="low24h")
    timestamp: Micros | None
    receive_time: Micros


class PastCandle(msgspec.Struct, frozen=True, kw_only=True):
    """A candle of a venue's history; prices in quote currency.

    Attributes:
        venue: Our name of it.
        symbol: Unified symbol.
        interval: As the venue names it.
        open_time: Begin, µs since the epoch.
        open: First price.
        high: Highest price.
        low: Lowest price.
        close: Last price, so far if it is not closed.
        volume: In base units; None where the venue tells none.
        closed: Whether its time is over by our clock.
    """

    venue: str
    symbol: str
    interval: str
    open_time: Micros
    open: float
    high: float
    low: float
    close: float
    volume: float | None
    closed: bool


class Candles(msgspec.Struct, frozen=True):
    """The past of a symbol.

    Attributes:
        candles: Those that keep the rules, oldest first.
        rejected: Number of the others, by the rule that they break.
    """

    candles: list[PastCandle]
    rejected: dict[str, int]


class PastTrade(msgspec.Struct, frozen=True):
    """A public trade of a venue's history.

    Attributes:
        time: Of its execution, µs since the epoch.
        price: Quote currency per base unit.
        size: Base units.
        side: 1 where the taker bought, -1 where it sold.
        id: The venue's number, perhaps of several trades of one order at one price.
    """

    time: Micros
    price: float
    size: float
    side: int
    id: int


class Failure(msgspec.Struct, frozen=True):
    """An answer that could not be had.

    Attributes:
        venue: Label of the venue's market.
        symbol: Unified symbol; empty where it is about all.
        error: Why.
    """

    venue: str
    symbol: str
    error: KandleError


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a venue can be used.

    Attributes:
        venue: Our name of it.
        market: Kind of market.
        latency_ms: Of one call, ms; None if none was answered.
        clock_difference_ms: The venue's clock less ours, to half the latency; None where it tells no time.
        markets: Symbols that it lists.
        key: `none` is configured, `valid`, `refused`, or `unknown` where the check did not get so far.
        assets: Currencies of which the key's account holds something; None without a key.
        error: Why it cannot be used; None if it can.
    """

    venue: str
    market: str
    latency_ms: float | None = None
    clock_difference_ms: float | None = None
    markets: int | None = None
    key: str = "unknown"
    assets: int | None = None
    error: KandleError | None = None

    @property
    def is_reachable(self) -> bool:
        """Whether anything was answered, be it by a refusal."""
        answers = RefusedError | RateLimitedError | ServerError | BadAnswerError
        return self.latency_ms is not None or isinstance(self.error, answers)
