"""The shapes of Gate.io's messages and REST answers, spot and futures, by the venue's own field names.

A shape lists what is read and no more: fields that the venue adds pass by, fields that are missing or of
another type are refused. Futures count contracts, as JSON numbers in older messages and as text in newer
ones; `Number` takes both, and `producers.validation` judges them.
"""

from typing import Annotated, Literal

import msgspec

from producers import validation
from schemas.records import Micros

Number = str | int | float

Level = tuple[Number, Number]
"""Price and size of a level of a book."""


class VenueError(msgspec.Struct):
    """Why a request was refused."""

    code: int | None = None
    message: str = ""


class Envelope(msgspec.Struct):
    """Any frame there is; `id` is that of the request which it answers, missing before 2023.

    `symbol` is written by recorders that put the answer of REST into a channel, as the event `snapshot`.
    """

    channel: str = ""
    event: str = ""
    time: int = 0
    time_ms: int = 0
    id: int | str | None = None
    error: VenueError | None = None
    symbol: str = ""
    result: msgspec.Raw = msgspec.Raw(b"null")
    rest: msgspec.Raw = msgspec.Raw()

    @property
    def sent(self) -> Micros:
        """When the venue sent it, µs: to the millisecond where it says so, else to the second.

        Raises:
            BadRecord: It does not say, or it is no time of a market.
        """
        return validation.micros(self.time_ms or self.time * 1_000)


class Named(msgspec.Struct):
    """What a message is about, in whichever of the fields its channel says so."""

    n: str | None = None
    currency_pair: str | None = None
    contract: str | None = None
    s: Number | None = None
    c: str | None = None


class Status(msgspec.Struct):
    """The result of a request."""

    status: str = ""


class Notice(msgspec.Struct):
    """`spot.system` and `futures.system`."""

    type: str = ""
    msg: str = ""


class SpotTrade(msgspec.Struct, gc=False):
    """`spot.trades`, and a row of REST: ids are texts there, and `id_market` is `sequence_id`."""

    id: int | str
    currency_pair: str
    create_time_ms: Number
    side: Literal["buy", "sell"]
    amount: str
    price: Number
    id_market: int | None = None
    sequence_id: str | None = None


class FuturesTrade(msgspec.Struct, gc=False):
    """A row of `futures.trades` and of REST, which says seconds in `create_time_ms`."""

    id: int | str
    contract: str
    size: Number
    price: Number
    create_time: Number
    create_time_ms: Number | None = None


class BookTicker(msgspec.Struct, gc=False):
    """`spot.book_ticker` and `futures.book_ticker`; an empty side has an empty price."""

    s: str
    u: int
    t: int
    b: str
    B: Number
    a: str
    A: Number


class PricedLevel(msgspec.Struct, gc=False):
    """A level of a book of futures."""

    p: Number
    s: Number


class BookChange(msgspec.Struct, gc=False):
    """`order_book_update` and `obu`; with `full` it replaces the book."""

    s: str
    u: int
    U: int | None = None
    t: int = 0
    full: bool = False
    b: list[Level | PricedLevel] = msgspec.field(default_factory=list)
    a: list[Level | PricedLevel] = msgspec.field(default_factory=list)


class Book(msgspec.Struct, gc=False):
    """`order_book`, and the answer of REST: the id is `lastUpdateId` on spot's stream, `id` elsewhere."""

    asks: list[Level | PricedLevel]
    bids: list[Level | PricedLevel]
    s: str = ""
    contract: str = ""
    id: int = 0
    lastUpdateId: int = 0  # noqa: N815 - the venue's name
    t: int = 0
    update: Number = 0


class SpotTicker(msgspec.Struct, gc=False):
    """`spot.tickers`, and a row of REST, which gives the sizes if asked for one pair."""

    currency_pair: str
    last: str
    lowest_ask: str
    highest_bid: str
    change_percentage: str
    base_volume: str
    quote_volume: str
    high_24h: str
    low_24h: str


class FuturesTicker(msgspec.Struct, gc=False):
    """A row of `futures.tickers` and of REST; the fields were added over the years."""

    contract: str
    last: str
    change_percentage: str
    mark_price: str
    index_price: str
    total_size: Number
    funding_rate: str = ""
    funding_next_apply: Number | None = None
    volume_24h_base: str = ""
    volume_24h_quote: str = ""
    change_price: str = ""
    low_24h: str = ""
    high_24h: str = ""
    lowest_ask: str = ""
    highest_bid: str = ""
    t: int = 0


class Candle(msgspec.Struct, gc=False):
    """`candlesticks`, and a row of REST of futures, which has no `n`.

    `v` is the quote volume on spot and contracts on futures; `a` is the base volume on spot.
    """

    t: Number
    o: str
    h: str
    l: str  # noqa: E741 - the venue's name
    c: str
    v: Number
    n: str = ""
    a: str | None = None
    sum: str | None = None
    w: bool | None = None


class PublicLiquidation(msgspec.Struct, gc=False):
    """A row of `futures.public_liquidates`; `time` is in seconds or milliseconds, as the year may be."""

    contract: str
    price: Number
    size: Number
    time: Number | None = None
    time_ms: Number | None = None


class CurrencyPair(msgspec.Struct):
    """A row of `currency_pairs`."""

    id: str
    base: str
    quote: str
    precision: int
    amount_precision: int
    trade_status: str
    min_quote_amount: str | None = None
    delisting_time: int = 0


class Contract(msgspec.Struct):
    """A row of `contracts`; contracts of decimal size came in 2025, `status` in 2024."""

    name: str
    quanto_multiplier: str
    order_price_round: str
    order_size_min: Number = 1
    enable_decimal: bool = False
    in_delisting: bool = False
    status: str = "trading"


ENVELOPE = msgspec.json.Decoder(Envelope)
STATUS = msgspec.json.Decoder(Status | None)
NOTICE = msgspec.json.Decoder(Notice)
NAMED = msgspec.json.Decoder(Named | list[Named | list[Named]])
SPOT_TRADES = msgspec.json.Decoder(SpotTrade | list[SpotTrade])
FUTURES_TRADES = msgspec.json.Decoder(FuturesTrade | list[FuturesTrade])
BOOK_TICKER = msgspec.json.Decoder(BookTicker)
BOOK_CHANGE = msgspec.json.Decoder(BookChange)
BOOK = msgspec.json.Decoder(Book)
SPOT_TICKERS = msgspec.json.Decoder(SpotTicker | list[SpotTicker])
FUTURES_TICKERS = msgspec.json.Decoder(FuturesTicker | list[FuturesTicker | list[FuturesTicker]])
CANDLES = msgspec.json.Decoder(Candle | list[Candle])
SPOT_CANDLE_ROWS = msgspec.json.Decoder(list[Annotated[list[str], msgspec.Meta(min_length=6)]])
LIQUIDATIONS = msgspec.json.Decoder(PublicLiquidation | list[PublicLiquidation])
CURRENCY_PAIRS = msgspec.json.Decoder(list[CurrencyPair])
CONTRACTS = msgspec.json.Decoder(list[Contract])
