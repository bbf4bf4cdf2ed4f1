"""What Binance answers by REST, spot and futures: calls with their weights, and answers as records.

Rules: https://developers.binance.com/docs/binance-spot-api-docs/rest-api and
https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api.
"""

from abc import abstractmethod
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, quote, urlsplit

import msgspec

from producers import validation
from producers.exchange import BadRecord, Call, CallKind, Exchange, MarketRecord
from producers.exchanges.binance import wire
from schemas.records import (
    BookUpdate,
    DerivativeTicker,
    ExchangeCandle,
    Instrument,
    InstrumentStatus,
    Micros,
    Ticker,
    Trade,
)

PAGE: Final = 1000
"""Rows of a page of trades, levels of a side of a snapshot: the most that both markets give at one price."""

ENDPOINTS: Final[dict[str, CallKind]] = {
    "exchangeInfo": "instruments",
    "depth": "book",
    "historicalTrades": "trades",
    "trades": "trades",
    "aggTrades": "trades",
    "klines": "candles",
    "ticker/24hr": "ticker",
    "openInterest": "derivatives",
    "time": "time",
}
"""The answers that are read, by the end of their path."""

STATUSES: Final[dict[str, InstrumentStatus]] = {
    "TRADING": "trading",
    "DELIVERED": "delisted",
    "CLOSE": "delisted",
}
"""All other states, such as BREAK or PENDING_TRADING, are passing ones without trading."""

_TRADES: Final = msgspec.json.Decoder(list[wire.RestTrade])
_AGGREGATED_TRADES: Final = msgspec.json.Decoder(list[wire.RestAggregatedTrade])
_BOOK: Final = msgspec.json.Decoder(wire.RestBook)
_KLINES: Final = msgspec.json.Decoder(list[wire.RestKline])
_TICKER: Final = msgspec.json.Decoder(wire.RestTicker)
_EXCHANGE_INFO: Final = msgspec.json.Decoder(wire.ExchangeInfo)
_OPEN_INTEREST: Final = msgspec.json.Decoder(wire.RestOpenInterest)


class BinanceRest(Exchange):
    """The REST side of a market of Binance; paths and weights are attributes of the market."""

    api: ClassVar[str]
    """What all paths begin with: `/api/v3`."""
    weights: ClassVar[dict[str, int]]
    """What a call costs, by the end of its path."""
    trades_endpoint: ClassVar[str]
    """The call for single trades."""
    trades_from_id: ClassVar[bool]
    """Whether that call takes `fromId`; else it gives the newest trades alone."""

    def book_call(self, symbol: str) -> Call | None:
        """`/api/v3/depth?symbol=BTCUSDT&limit=1000`."""
        return self.call("depth", symbol, limit=PAGE)

    def trades_call(self, symbol: str, first: int | None, last: int | None) -> Call | None:
        """Trades by the ids that the symbol's stream has: single ones, or aggregated where configured so.

        Where the venue gives the newest alone, `first` only says which of them are wanted.
        """
        endpoint = "aggTrades" if self.is_aggregated(symbol) else self.trades_endpoint
        if first is None or not (self.trades_from_id or endpoint == "aggTrades"):
            return self.call(endpoint, symbol, first, last, limit=PAGE)
        limit = PAGE if last is None else max(1, min(PAGE, last - first + 1))
        return self.call(endpoint, symbol, first, last, fromId=first, limit=limit)

    @classmethod
    def instruments_call(cls) -> Call:
        """The list of all symbols."""
        return Call("instruments", f"{cls.api}/exchangeInfo", cls.weights["exchangeInfo"])

    def is_aggregated(self, symbol: str) -> bool:
        """Whether the symbol's trades come from the aggregated stream."""
        return symbol in self.aggregated or "trades" not in self.channels

    def call(
        self,
        endpoint: str,
        symbol: str,
        first: int | None = None,
        last: int | None = None,
        **query: int | str | None,
    ) -> Call:
        """A call about a symbol; parts of the query that are None are left out."""
        instrument = self.instruments.get(symbol)
        name = instrument.venue_symbol if instrument is not None else self.venue_symbol(symbol)
        words = [f"symbol={quote(name)}"]
        words += [f"{key}={value}" for key, value in query.items() if value is not None]
        path = f"{self.api}/{endpoint}?{'&'.join(words)}"
        return Call(ENDPOINTS[endpoint], path, self.weights[endpoint], symbol, first, last)

    def call_of(self, url: str) -> Call | None:
        """`https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000` -> the call for that book."""
        parts = urlsplit(url)
        endpoint = parts.path.removeprefix(f"{self.api}/")
        kind = ENDPOINTS.get(endpoint)
        if kind is None or endpoint == parts.path:
            return None
        query = parse_qs(parts.query)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        weight = self.weights.get(endpoint, 1)
        if kind in ("instruments", "time"):
            return Call(kind, path, weight)
        venue_symbol = query.get("symbol", [""])[0].upper()
        instrument = self.by_name.get(venue_symbol) or self.guess(venue_symbol)
        if instrument is None:
            return None
        if kind == "trades" and (endpoint == "aggTrades") != self.is_aggregated(instrument.symbol):
            # Numbered otherwise than the trades of the symbol's stream.
            return None
        from_id = query.get("fromId", [""])[0]
        return Call(kind, path, weight, instrument.symbol, int(from_id) if from_id.isdecimal() else None)

    # answers

    def read(self, call: Call, body: bytes, receive_time: Micros) -> list[MarketRecord]:
        """See `Exchange.read`; the venue's clock is no record."""
        match call.kind:
            case "trades":
                trades = self._read_trades(call, body, receive_time)
                return [trade for trade in trades if (trade.sequence or 0) >= (call.first or 0)]
            case "book":
                return [self._read_book(call, body, receive_time)]
            case "candles":
                rows = validation.decoded(_KLINES.decode, body)
                interval = parse_qs(urlsplit(call.path).query).get("interval", [self.candle_interval])[0]
                return [self.candle(call.symbol, interval, row, receive_time) for row in rows]
            case "ticker":
                ticker = self._read_ticker(call, body, receive_time)
                return [] if ticker is None else [ticker]
            case "derivatives":
                return [self._read_open_interest(call, body, receive_time)]
            case _:
                return []

    def _read_trades(self, call: Call, body: bytes, receive_time: Micros) -> list[Trade]:
        """Rows of `historicalTrades`, `trades` or `aggTrades`.

        [{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,
        "isBuyerMaker":true,"isBestMatch":true}]
        [{"a":26129,"p":"0.01633102","q":"4.70443515","f":27781,"l":27781,"T":1498793709153,"m":true,"M":true}]
        """
        if "/aggTrades" in call.path:
            return sorted(
                (
                    self.trade(call.symbol, row.a, row.p, row.q, row.T, row.m, receive_time, True)
                    for row in validation.decoded(_AGGREGATED_TRADES.decode, body)
                ),
                key=_by_sequence,
            )
        return sorted(
            (
                self.trade(
                    call.symbol, row.id, row.price, row.qty, row.time, row.isBuyerMaker, receive_time, True
                )
                for row in validation.decoded(_TRADES.decode, body)
            ),
            key=_by_sequence,
        )

    def trade(
        self,
        symbol: str,
        trade_id: int,
        price_text: str,
        size_text: str,
        time: int,
        buyer_is_maker: bool,
        receive_time: Micros,
        backfilled: bool = False,
    ) -> Trade:
        """A trade of the stream or of REST: both say the same in other words."""
        price = validation.positive_price(price_text)
        size = validation.size(size_text)
        return Trade(
            self.venue,
            symbol,
            str(trade_id),
            validation.sequence(trade_id),
            price,
            size,
            "sell" if buyer_is_maker else "buy",
            validation.micros(time),
            receive_time,
            None,
            backfilled,
            validation.is_inexact(price_text, price) or validation.is_inexact(size_text, size),
        )

    def _read_book(self, call: Call, body: bytes, receive_time: Micros) -> BookUpdate:
        """Best levels of both sides, best first.

        {"lastUpdateId":1027024,"bids":[["4.00000000","431.00000000"]],"asks":[["4.00000200","12.00000000"]]}
        """
        book = validation.decoded(_BOOK.decode, body)
        bid_prices, bid_sizes = validation.levels(book.bids)
        ask_prices, ask_sizes = validation.levels(book.asks)
        return BookUpdate(
            venue=self.venue,
            symbol=call.symbol,
            kind="snapshot",
            first_sequence=None,
            last_sequence=validation.sequence(book.lastUpdateId),
            previous_sequence=None,
            bid_prices=bid_prices,
            bid_sizes=bid_sizes,
            ask_prices=ask_prices,
            ask_sizes=ask_sizes,
            checksum=None,
            event_time=None if book.T is None else validation.micros(book.T),
            receive_time=receive_time,
        )

    def candle(
        self, symbol: str, interval: str, row: tuple[Any, ...], receive_time: Micros
    ) -> ExchangeCandle:
        """A candle of `klines`, which does not say whether it is closed, nor which trades are in it.

        [1499040000000,"0.01634790","0.80000000","0.01575800","0.01577100","148976.11427815",1499644799999,
        "2434.19055334",308,"1756.87402397","28.46694368","0"]
        """
        opened, open_text, high_text, low_text, close_text, volume_text, closes, value, count, taker = row[
            :10
        ]
        open_, high, low, close = map(validation.positive_price, (open_text, high_text, low_text, close_text))
        volume = validation.size(volume_text)
        validation.ohlc(open_, high, low, close, volume)
        first, last = validation.micros(opened), validation.micros(closes)
        if last <= first or count < 0:
            raise BadRecord("ohlc", f"expected a close after {opened} and a count, got {closes} and {count}")
        return ExchangeCandle(
            venue=self.venue,
            symbol=symbol,
            interval=interval,
            open_time=first,
            # The venue names the last millisecond, or microsecond, that belongs to the candle.
            close_time=last // 1_000 * 1_000 + 1_000,
            open=open_,
            high=high,
            low=low,
            close=close,
            volume=volume,
            quote_volume=validation.size(value),
            taker_buy_volume=validation.size(taker),
            trade_count=count,
            first_sequence=None,
            last_sequence=None,
            closed=None,
            event_time=None,
            receive_time=receive_time,
        )

    def _read_ticker(self, call: Call, body: bytes, receive_time: Micros) -> Ticker | None:
        row = validation.decoded(_TICKER.decode, body)
        self._expect(call, row.symbol)
        return self.ticker(
            call.symbol,
            row.lastPrice,
            (row.openPrice, row.highPrice, row.lowPrice),
            (row.volume, row.quoteVolume),
            (row.priceChange, row.priceChangePercent),
            (row.bidPrice, row.askPrice),
            row.closeTime,
            receive_time,
        )

    def ticker(
        self,
        symbol: str,
        last: str,
        open_high_low: tuple[str, str, str],
        volumes: tuple[str, str],
        changes: tuple[str | None, str | None],
        best: tuple[str | None, str | None],
        time: int,
        receive_time: Micros,
    ) -> Ticker | None:
        """The figures of 24 hours; None for a symbol that has never traded, all of whose prices are 0."""
        base_volume, quote_volume = (validation.size(text) for text in volumes)
        if not base_volume and validation.price_or_empty(last) is None:
            return None
        open_, high, low = (validation.price_or_empty(text) for text in open_high_low)
        change, percent = (None if text is None else validation.signed(text) for text in changes)
        bid, ask = (None if text is None else validation.price_or_empty(text) for text in best)
        return Ticker(
            venue=self.venue,
            symbol=symbol,
            last=validation.positive_price(last),
            bid=bid,
            ask=ask,
            open=open_,
            high=high,
            low=low,
            base_volume=base_volume,
            quote_volume=quote_volume,
            change=change,
            change_percent=percent,
            event_time=validation.micros(time),
            receive_time=receive_time,
        )

    def _read_open_interest(self, call: Call, body: bytes, receive_time: Micros) -> DerivativeTicker:
        """Size of all open positions, in base units.

        {"openInterest":"10659.509","symbol":"BTCUSDT","time":1589437530011}
        """
        row = validation.decoded(_OPEN_INTEREST.decode, body)
        self._expect(call, row.symbol)
        return DerivativeTicker(
            venue=self.venue,
            symbol=call.symbol,
            mark_price=None,
            index_price=None,
            funding_rate=None,
            next_funding_time=None,
            open_interest=validation.size(row.openInterest),
            event_time=validation.micros(row.time),
            receive_time=receive_time,
        )

    def _expect(self, call: Call, venue_symbol: str) -> None:
        instrument = self.instruments.get(call.symbol)
        expected = instrument.venue_symbol if instrument is not None else self.venue_symbol(call.symbol)
        if venue_symbol != expected:
            raise BadRecord("symbol", f"expected symbol {expected}, got {venue_symbol}")

    # instruments

    @classmethod
    def read_instruments(cls, body: bytes, receive_time: Micros) -> list[Instrument]:
        """The symbols of `exchangeInfo`, with their tick, lot and least value of an order."""
        info = validation.decoded(_EXCHANGE_INFO.decode, body)
        time = receive_time if info.serverTime is None else validation.micros(info.serverTime)
        listed = []
        for item in info.symbols:
            rules = {rule.filterType: rule for rule in item.filters}
            tick, lot = rules.get("PRICE_FILTER"), rules.get("LOT_SIZE")
            value = rules.get("NOTIONAL") or rules.get("MIN_NOTIONAL")
            identity = cls.identity(
                item.symbol, item.baseAsset, item.quoteAsset, item.marginAsset or item.quoteAsset
            )
            listed.append(
                msgspec.structs.replace(
                    identity,
                    status=STATUSES.get(item.status, "halted"),
                    tick_size=_figure(tick.tickSize if tick else None),
                    lot_size=_figure(lot.stepSize if lot else None),
                    min_notional=_figure((value.minNotional or value.notional) if value else None),
                    event_time=time,
                )
            )
        return listed

    @classmethod
    @abstractmethod
    def identity(cls, venue_symbol: str, base: str, quote: str, settle: str) -> Instrument:
        """An instrument by its name and assets, without its figures; sizes count in base units."""


def _figure(text: str | None) -> float | None:
    return None if text is None else validation.price_or_empty(text)


def _by_sequence(trade: Trade) -> int:
    return trade.sequence or 0
