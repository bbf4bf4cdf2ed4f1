"""The names of Binance's streams and the shapes of its messages and REST answers, by the venue's own names.

A shape lists what is read and no more: fields that the venue adds pass by, fields that are missing or of
another type are refused. Numbers are texts here; `producers.validation` judges them.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from producers.exchange import BadRecord, Channel, Control

Level = tuple[str, str]


class TradeMessage(msgspec.Struct, gc=False):
    """`@trade`; `X` is the kind of a futures trade, spot has none."""

    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool
    X: str = ""


class AggregatedTradeMessage(msgspec.Struct, gc=False):
    """`@aggTrade`; the futures of 2019 sent it without `a`."""

    s: str
    p: str
    q: str
    f: int
    l: int  # noqa: E741 - the venue's name
    T: int
    m: bool
    a: int | None = None


class BookTickerMessage(msgspec.Struct, gc=False):
    """`@bookTicker`; spot gives no time."""

    s: str
    u: int
    b: str
    B: str
    a: str
    A: str
    T: int | None = None


class DepthMessage(msgspec.Struct, gc=False):
    """`@depth`; only futures give `T` and `pu`."""

    s: str
    E: int
    U: int
    u: int
    b: list[Level]
    a: list[Level]
    T: int | None = None
    pu: int | None = None


class TickerMessage(msgspec.Struct, gc=False):
    """`@ticker`, and `@miniTicker`, which lacks the changes; only spot's `@ticker` has bid and ask."""

    s: str
    E: int
    c: str
    o: str
    h: str
    l: str  # noqa: E741 - the venue's name
    v: str
    q: str
    p: str | None = None
    P: str | None = None
    b: str | None = None
    a: str | None = None


class Kline(msgspec.Struct, gc=False):
    """The candle in a kline message; `f` and `L` are -1 where nothing was traded."""

    t: int
    T: int
    i: str
    f: int
    L: int
    o: str
    c: str
    h: str
    l: str  # noqa: E741 - the venue's name
    v: str
    n: int
    x: bool
    q: str
    V: str


class KlineMessage(msgspec.Struct, gc=False):
    """`@kline_<interval>`."""

    s: str
    E: int
    k: Kline


class MarkPriceMessage(msgspec.Struct, gc=False):
    """`@markPrice`; a dated future has no funding: `r` is empty or zero, `T` is 0."""

    s: str
    E: int
    p: str
    T: int
    r: str = ""
    i: str | None = None


class ForcedOrder(msgspec.Struct, gc=False):
    """The order in a liquidation message: average price and amount executed are `ap` and `z`."""

    s: str
    S: str
    p: str
    ap: str
    z: str
    X: str
    T: int


class ForceOrderMessage(msgspec.Struct, gc=False):
    """`@forceOrder`."""

    E: int
    o: ForcedOrder

    @property
    def s(self) -> str:
        """The symbol, where other messages have it."""
        return self.o.s


class VenueError(msgspec.Struct):
    """Why a request was refused."""

    code: int | None = None
    msg: str = ""


class Envelope(msgspec.Struct):
    """Any frame there is: combined, raw, or about the connection."""

    stream: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    e: str | None = None
    s: str | None = None
    A: Any = None
    B: Any = None
    k: Any = None
    o: Any = None
    id: int | str | None = None
    result: Any = msgspec.UNSET
    error: VenueError | None = None
    code: int | None = None
    msg: str = ""


class RestTrade(msgspec.Struct, gc=False):
    """A row of `historicalTrades` and `trades`."""

    id: int
    price: str
    qty: str
    time: int
    isBuyerMaker: bool  # noqa: N815 - the venue's name


class RestAggregatedTrade(msgspec.Struct, gc=False):
    """A row of `aggTrades`."""

    a: int
    p: str
    q: str
    T: int
    m: bool


class RestBook(msgspec.Struct, gc=False):
    """The answer of `depth`; only futures give a time."""

    lastUpdateId: int  # noqa: N815 - the venue's name
    bids: list[Level]
    asks: list[Level]
    T: int | None = None


class RestTicker(msgspec.Struct, gc=False):
    """The answer of `ticker/24hr` about one symbol; futures have no bid and ask in it."""

    symbol: str
    lastPrice: str  # noqa: N815 - the venue's names
    openPrice: str  # noqa: N815
    highPrice: str  # noqa: N815
    lowPrice: str  # noqa: N815
    volume: str
    quoteVolume: str  # noqa: N815
    priceChange: str  # noqa: N815
    priceChangePercent: str  # noqa: N815
    closeTime: int  # noqa: N815
    bidPrice: str | None = None  # noqa: N815
    askPrice: str | None = None  # noqa: N815


class RestOpenInterest(msgspec.Struct, gc=False):
    """The answer of `openInterest`."""

    symbol: str
    openInterest: str  # noqa: N815 - the venue's name
    time: int


RestKline = tuple[int, str, str, str, str, str, int, str, int, str, str, str]
"""A row of `klines`: open time, open, high, low, close, volume, close time, quote volume, trades, taker buy
volume, taker buy quote volume, unused."""


class Filter(msgspec.Struct):
    """A rule of a symbol's orders; which fields there are depends on `filterType`."""

    filterType: str  # noqa: N815 - the venue's names
    tickSize: str | None = None  # noqa: N815
    stepSize: str | None = None  # noqa: N815
    minNotional: str | None = None  # noqa: N815
    notional: str | None = None


class ListedSymbol(msgspec.Struct):
    """A symbol of `exchangeInfo`; futures name their margin asset."""

    symbol: str
    baseAsset: str  # noqa: N815 - the venue's names
    quoteAsset: str  # noqa: N815
    status: str = ""
    marginAsset: str | None = None  # noqa: N815
    filters: list[Filter] = msgspec.field(default_factory=list)


class ExchangeInfo(msgspec.Struct):
    """The answer of `exchangeInfo`."""

    symbols: list[ListedSymbol]
    serverTime: int | None = None  # noqa: N815 - the venue's name


INTERVALS: Final = (
    *("1s", "1m", "3m", "5m", "15m", "30m"),
    *("1h", "2h", "4h", "6h", "8h", "12h"),
    *("1d", "3d", "1w", "1M"),
)

SUFFIXES: Final[dict[str, Channel]] = {
    "aggTrade": "aggregated_trades",
    "bookTicker": "quotes",
    "depth@100ms": "books",
    "depth@0ms": "books",
    "depth@250ms": "books",
    "depth@500ms": "books",
    "depth@1000ms": "books",
    "depth": "books",
    "ticker": "tickers",
    "miniTicker": "tickers",
    **{f"kline_{interval}": "candles" for interval in INTERVALS},
    "markPrice@1s": "derivatives",
    "markPrice": "derivatives",
    "forceOrder": "liquidations",
    "trade": "trades",
}
"""The channels that are read, by the part of a stream's name after the first `@`; trades come last."""

SUBSCRIBED: Final[dict[Channel, str]] = {
    "quotes": "bookTicker",
    "books": "depth@100ms",
    "tickers": "ticker",
    "candles": "kline_",
    "derivatives": "markPrice@1s",
    "liquidations": "forceOrder",
}
"""What is subscribed for each channel besides trades; candles are completed by the interval."""

EVENTS: Final = {
    "trade": "trade",
    "aggTrade": "aggTrade",
    "bookTicker": "bookTicker",
    "depthUpdate": "depth@100ms",
    "24hrTicker": "ticker",
    "24hrMiniTicker": "miniTicker",
    "kline": "kline_",
    "markPriceUpdate": "markPrice@1s",
    "forceOrder": "forceOrder",
}
"""What the stream of an event is called after the symbol; candles are completed by the interval."""

ENVELOPE = msgspec.json.Decoder(Envelope)
ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


def decoders(message: type[Any]) -> tuple[Callable[[bytes], Any], Callable[[bytes], Any]]:
    """Decoders of a shape: together with the combined frame around it, in one step, and of it alone."""
    frame = msgspec.defstruct(f"Combined{message.__name__}", [("data", message)], gc=False)
    return msgspec.json.Decoder(frame).decode, msgspec.json.Decoder(message).decode


def stream_of(envelope: Envelope) -> str | None:
    """The stream that a message comes from, where its frame does not say so; None if it is no market data."""
    suffix = EVENTS.get(envelope.e or "")
    if envelope.e is None and envelope.A is not None and envelope.B is not None:
        # Spot's bookTicker is the one event without a name of its own.
        suffix = "bookTicker"
    order = envelope.o if envelope.e == "forceOrder" and isinstance(envelope.o, dict) else {}
    symbol = order.get("s", envelope.s)
    if suffix is None or not isinstance(symbol, str):
        return None
    if suffix == "kline_":
        suffix += str(envelope.k.get("i")) if isinstance(envelope.k, dict) else ""
    return f"{symbol.lower()}@{suffix}"


def control(envelope: Envelope) -> Sequence[Control]:
    """What a frame without market data says: an answer to a request, or an event that is not read.

    Raises:
        BadRecord: It is neither (`shape`).
    """
    request = envelope.id if isinstance(envelope.id, int) else None
    if envelope.error is not None:
        return (Control("refused", request, f"{envelope.error.code}: {envelope.error.msg}"),)
    if envelope.code is not None:
        return (Control("refused", request, f"{envelope.code}: {envelope.msg}"),)
    if envelope.result is None and request is not None:
        return (Control("accepted", request),)
    if envelope.result is not msgspec.UNSET or (envelope.e is not None and envelope.e not in EVENTS):
        return ()
    raise BadRecord("shape", "the frame is neither market data nor an answer to a request")
