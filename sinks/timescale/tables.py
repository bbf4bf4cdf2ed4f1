"""The tables of market data that are written from columns."""

from __future__ import annotations

from typing import Final

import numpy as np

from schemas import topics
from schemas.records import (
    BookUpdate,
    Candle,
    DerivativeTicker,
    ExchangeCandle,
    IndicatorValue,
    Instrument,
    Liquidation,
    LiveCandle,
    Quote,
    Record,
    Ticker,
    Trade,
    TradeBar,
)
from sinks.portion import Slice
from sinks.timescale.copy_binary import Text, is_decimal_of
from sinks.timescale.table import (
    INSTRUMENT,
    Column,
    Int64s,
    Table,
    arrays,
    by,
    count,
    flag,
    letter,
    moment,
    name_of,
    numbers,
)

_PRICES: Final = ("open", "high", "low", "close")
_TRADED: Final = ("volume", "quote_volume", "taker_buy_volume")
_COMPUTED: Final = "the view computes it"
_ROUNDING: Final = "says how the venue's text was read, not what it says"


def _trade_id(slice_: Slice, record: type[Record], instruments: Int64s) -> Text:
    """Null where it is the sequence in decimal."""
    columns = slice_.columns
    starts, lengths = columns.spans(record, "trade_id")
    numbered = columns.valid(record, "sequence")
    implied = numbered & is_decimal_of(columns.data, starts, lengths, columns.column(record, "sequence"))
    return Text(starts, np.where(implied, -1, lengths))


TRADES: Final = Table(
    name="market_trades",
    view="trades",
    topic=topics.TRADES,
    record=Trade,
    cells=(
        moment("time", "event_time"),
        moment("receive_time", "receive_time"),
        count("sequence"),
        *numbers("price", "size"),
        INSTRUMENT,
        letter("side", {"buy": "b", "sell": "s", "unknown": ""}),
        Column("trade_id", "text", ("trade_id",), _trade_id),
    ),
    key=(*by("instrument_id", "time"), "coalesce({row}.trade_id, {row}.sequence::text)"),
    repeats="numbered",
    time=("event_time",),
    left_out={
        "raw_size": "the size in contracts; the multiplier stands in listings",
        "backfilled": "says by which way it came, not what was traded",
        "inexact": _ROUNDING,
    },
)
QUOTES: Final = Table(
    name="market_quotes",
    view="quotes",
    topic=topics.QUOTES,
    record=Quote,
    cells=(
        moment("time", "event_time", "receive_time"),
        moment("receive_time", "receive_time"),
        count("sequence"),
        *numbers("bid", "bid_size", "ask", "ask_size"),
        INSTRUMENT,
    ),
    key=by("instrument_id", "time", "receive_time"),
    repeats="numbered",
    time=("event_time", "receive_time"),
    left_out={"inexact": _ROUNDING},
)
CANDLES: Final = Table(
    name="market_candles",
    view="candles",
    topic=topics.CANDLES,
    record=Candle,
    cells=(
        moment("time", "open_time"),
        moment("close_time", "close_time"),
        *numbers(*_PRICES, *_TRADED),
        count("trade_count"),
        INSTRUMENT,
        count("revision", 4),
        flag("complete"),
        name_of("interval"),
        flag("backfilled"),
    ),
    key=by("instrument_id", "interval", "time"),
    repeats="newest",
    version=("revision",),
    time=("open_time",),
    left_out={
        "first_sequence": "serves the workers, which compare candles of the same trades",
        "last_sequence": "serves the workers, which compare candles of the same trades",
        "vwap": _COMPUTED,
    },
)
INDICATORS: Final = Table(
    name="market_indicators",
    view="indicators",
    topic=topics.INDICATORS,
    record=IndicatorValue,
    cells=(
        moment("time", "open_time"),
        *numbers("value"),
        INSTRUMENT,
        count("revision", 4),
        flag("complete"),
        name_of("interval"),
        name_of("name"),
    ),
    key=by("instrument_id", "interval", "name", "time"),
    repeats="newest",
    version=("revision",),
    time=("open_time",),
)
TICKERS: Final = Table(
    name="market_tickers",
    view="tickers",
    topic=topics.TICKERS,
    record=Ticker,
    cells=(
        moment("time", "event_time"),
        moment("receive_time", "receive_time"),
        *numbers("last", "bid", "ask", "open", "high", "low", "base_volume", "quote_volume"),
        *numbers("change", "change_percent"),
        INSTRUMENT,
    ),
    key=by("instrument_id", "time"),
    repeats="first",
    time=("event_time",),
)
EXCHANGE_CANDLES: Final = Table(
    name="market_exchange_candles",
    view="exchange_candles",
    topic=topics.EXCHANGE_CANDLES,
    record=ExchangeCandle,
    cells=(
        moment("time", "open_time"),
        moment("close_time", "close_time"),
        moment("as_of", "event_time", "receive_time"),
        moment("event_time", "event_time"),
        moment("receive_time", "receive_time"),
        *numbers(*_PRICES, *_TRADED),
        *(count("trade_count"), count("first_sequence"), count("last_sequence")),
        flag("closed"),
        INSTRUMENT,
        name_of("interval"),
    ),
    key=by("instrument_id", "interval", "time"),
    repeats="newest",
    version=("as_of",),
    time=("open_time",),
)
DERIVATIVES: Final = Table(
    name="market_derivatives",
    view="derivatives",
    topic=topics.DERIVATIVES,
    record=DerivativeTicker,
    cells=(
        moment("time", "event_time", "receive_time"),
        moment("event_time", "event_time"),
        moment("receive_time", "receive_time"),
        *numbers("mark_price", "index_price", "funding_rate"),
        moment("next_funding_time", "next_funding_time"),
        *numbers("open_interest"),
        INSTRUMENT,
    ),
    key=by("instrument_id", "time"),
    repeats="filled",
    # A venue may say the mark price and the funding of one moment in two messages.
    filled=("mark_price", "index_price", "funding_rate", "next_funding_time", "open_interest"),
    time=("event_time", "receive_time"),
)
LIQUIDATIONS: Final = Table(
    name="market_liquidations",
    view="liquidations",
    topic=topics.LIQUIDATIONS,
    record=Liquidation,
    cells=(
        moment("time", "event_time"),
        moment("receive_time", "receive_time"),
        *numbers("price", "size", "raw_size"),
        INSTRUMENT,
        letter("side", {"buy": "b", "sell": "s", "unknown": "u"}),
    ),
    key=by("instrument_id", "time", "side", "price", "size"),
    repeats="first",
    time=("event_time",),
)
BOOK_SAMPLES: Final = Table(
    name="market_book_samples",
    view="book_samples",
    topic=topics.BOOK_SAMPLES,
    record=BookUpdate,
    cells=(
        moment("time", "event_time", "receive_time"),
        count("last_sequence"),
        INSTRUMENT,
        *arrays("bid_prices", "bid_sizes", "ask_prices", "ask_sizes"),
    ),
    key=by("instrument_id", "time"),
    repeats="first",
    time=("event_time", "receive_time"),
    left_out={
        "kind": "a sample is a snapshot",
        "first_sequence": "says what a delta covers",
        "previous_sequence": "says what a delta follows",
        "checksum": "is of a venue's whole book",
    },
)
BARS: Final = Table(
    name="market_bars",
    view="trade_bars",
    topic=topics.BARS,
    record=TradeBar,
    cells=(
        moment("time", "open_time"),
        moment("close_time", "close_time"),
        moment("session", "session"),
        count("number"),
        *numbers("threshold", *_PRICES, *_TRADED),
        *(count("trade_count"), count("first_sequence"), count("last_sequence")),
        *numbers("vwap"),
        INSTRUMENT,
        flag("is_full", "full"),
        flag("complete"),
        letter("kind", {"tick": "t", "volume": "b", "value": "q"}),
    ),
    key=by("instrument_id", "kind", "threshold", "time", "number"),
    repeats="first",
    time=("open_time",),
)
LIVE_CANDLES: Final = Table(
    name="market_live_candles",
    view="live_candles",
    topic=topics.LIVE_CANDLES,
    record=LiveCandle,
    cells=(
        moment("time", "open_time"),
        moment("close_time", "close_time"),
        moment("as_of", "as_of"),
        *numbers(*_PRICES, *_TRADED),
        count("trade_count"),
        INSTRUMENT,
        name_of("interval"),
    ),
    key=by("instrument_id", "interval"),
    repeats="newest",
    version=("time", "as_of"),
    time=("open_time",),
)
LISTINGS: Final = Table(
    name="market_listings",
    view="listing_changes",
    topic=topics.INSTRUMENTS,
    record=Instrument,
    cells=(
        moment("time", "event_time"),
        *numbers("tick_size", "lot_size", "min_notional", "multiplier"),
        INSTRUMENT,
        letter("kind", {"spot": "s", "perpetual": "p", "future": "f"}),
        letter("status", {"trading": "t", "halted": "h", "delisted": "d"}),
        *(name_of("venue_symbol"), name_of("base"), name_of("quote")),
    ),
    key=by("instrument_id", "time"),
    repeats="first",
    time=("event_time",),
)

TABLES: Final = (
    *(TRADES, QUOTES, CANDLES, INDICATORS, TICKERS, EXCHANGE_CANDLES),
    *(DERIVATIVES, LIQUIDATIONS, BOOK_SAMPLES, BARS, LIVE_CANDLES, LISTINGS),
)
NOT_STORED: Final = {
    topics.BOOKS.base_name: "every change of every level: samples of books are stored, the archive has all",
    topics.VENUE_PRICES.base_name: "closes of candles that are stored",
    topics.CONTROL.base_name: "wishes to the producers, whose newest state the topic itself keeps",
    topics.ALERTS.base_name: "wishes to the workers, whose newest state the topic itself keeps",
    topics.POSITIONS.base_name: "positions of the producers, of no use to a reader",
}
"""Topics that have no table, and why."""
