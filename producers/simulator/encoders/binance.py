"""Binance spot and USD-M futures: the wire of `producers/simulator/venues/binance.py`, from records.

What no record holds, and is left out: the order ids of trades, the size and id of the last trade in a ticker,
the quote volume that takers bought in a candle, the estimated settlement price of futures.

Derived: the time of a message (that of what it tells), `aggTrade` (each trade is one of its own, with its own
id: which trades one order made is not recorded), the average price and the opening time of a ticker.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec

from producers.simulator.encoder import Answered, Encoder, Pushed, Said, padded, plain
from producers.simulator.venues.binance_listing import futures_listing, spot_listing
from schemas.records import (
    BookUpdate,
    DerivativeTicker,
    ExchangeCandle,
    Instrument,
    InstrumentStatus,
    Liquidation,
    Quote,
    Ticker,
    Trade,
)

DAY_MS: Final = 86_400_000
STATUSES: Final[dict[InstrumentStatus, str]] = {
    "trading": "TRADING",
    "halted": "BREAK",
    "delisted": "CLOSE",
}


class BinanceSpotEncoder(Encoder):
    """Spot: numbers have eight decimal places, quotes no time."""

    venue: ClassVar[str] = "binance"
    market: ClassVar[str] = "spot"
    base: ClassVar[str] = "/api/v3"
    is_futures: ClassVar[bool] = False

    def listing(self) -> Answered:
        """`exchangeInfo`."""
        body = {"timezone": "UTC", "symbols": [self._listed(one) for one in self.instruments.values()]}
        return Answered(f"{self.base}/exchangeInfo", msgspec.json.encode(body))

    def number(self, value: float) -> str:
        """A price or a size."""
        return padded(value)

    def _push(self, symbol: str, kind: str, data: dict[str, Any]) -> Pushed:
        return Pushed(f"{self.name(symbol).lower()}@{kind}", msgspec.json.encode(data))

    def _levels(self, prices: Sequence[float], sizes: Sequence[float]) -> list[tuple[str, str]]:
        number = self.number
        return [(number(price), number(size)) for price, size in zip(prices, sizes, strict=True)]

    def _trade(self, trade: Trade) -> Sequence[Said]:
        if trade.side == "unknown":
            return ()
        ms, name = trade.event_time // 1_000, self.name(trade.symbol)
        price, size = self.number(trade.price), self.number(trade.size)
        common = {"p": price, "q": size, "T": ms, "m": trade.side == "sell"}
        if not trade.trade_id.isdecimal():
            # The aggregated trades of 2019 have no id of their own: the first and the last one they join.
            first, _, last = trade.trade_id.partition("-")
            if not (first.isdecimal() and last.isdecimal()):
                return ()
            joined = {"e": "aggTrade", "E": ms, "s": name, "f": int(first), "l": int(last)}
            return (self._push(trade.symbol, "aggTrade", joined | common),)
        number = int(trade.trade_id)
        single = {"e": "trade", "E": ms, "s": name, "t": number} | common
        single |= {"X": "MARKET"} if self.is_futures else {"M": True}
        alone = {"e": "aggTrade", "E": ms, "s": name, "a": number, "f": number, "l": number} | common
        alone |= {} if self.is_futures else {"M": True}
        return (self._push(trade.symbol, "trade", single), self._push(trade.symbol, "aggTrade", alone))

    def _quote(self, quote: Quote) -> Sequence[Said]:
        if quote.sequence is None:
            return ()
        data: dict[str, Any] = {"e": "bookTicker"} if self.is_futures else {}
        data |= {"u": quote.sequence, "s": self.name(quote.symbol)}
        data |= {"b": self.number(quote.bid or 0.0), "B": self.number(quote.bid_size)}
        data |= {"a": self.number(quote.ask or 0.0), "A": self.number(quote.ask_size)}
        if self.is_futures and quote.event_time is not None:
            data |= {"T": quote.event_time // 1_000, "E": quote.event_time // 1_000}
        return (self._push(quote.symbol, "bookTicker", data),)

    def _book(self, update: BookUpdate) -> Sequence[Said]:
        if update.last_sequence is None:
            return ()
        name, ms = self.name(update.symbol), (update.event_time or update.receive_time) // 1_000
        bids = self._levels(update.bid_prices, update.bid_sizes)
        asks = self._levels(update.ask_prices, update.ask_sizes)
        if update.kind == "snapshot":
            body: dict[str, Any] = {"lastUpdateId": update.last_sequence}
            if self.is_futures and update.event_time is not None:
                body |= {"E": ms, "T": ms}
            body |= {"bids": bids, "asks": asks}
            return (Answered(f"{self.base}/depth?symbol={name}", msgspec.json.encode(body)),)
        data: dict[str, Any] = {"e": "depthUpdate", "E": ms}
        data |= {"T": ms} if self.is_futures else {}
        data |= {"s": name, "U": update.first_sequence, "u": update.last_sequence}
        if self.is_futures:
            data["pu"] = -1 if update.previous_sequence is None else update.previous_sequence
        return (self._push(update.symbol, "depth", data | {"b": bids, "a": asks}),)

    def _ticker(self, ticker: Ticker) -> Sequence[Said]:
        number, ms = self.number, ticker.event_time // 1_000
        base_volume, quote_volume = ticker.base_volume or 0.0, ticker.quote_volume or 0.0
        data: dict[str, Any] = {"E": ms, "s": self.name(ticker.symbol), "c": number(ticker.last)}
        data |= {"o": number(ticker.open or 0.0), "h": number(ticker.high or 0.0)}
        data |= {"l": number(ticker.low or 0.0), "v": number(base_volume), "q": number(quote_volume)}
        if ticker.change is None or ticker.change_percent is None:
            return (self._push(ticker.symbol, "miniTicker", {"e": "24hrMiniTicker"} | data),)
        changes = {"p": number(ticker.change), "P": plain(ticker.change_percent)}
        average = {"w": number(round(quote_volume / base_volume, 8))} if base_volume else {}
        best = {"b": ticker.bid, "a": ticker.ask}
        quoted = {key: number(value) for key, value in best.items() if value is not None}
        span = {"O": ms - DAY_MS, "C": ms}
        whole = {"e": "24hrTicker"} | data | changes | average | quoted | span
        return (self._push(ticker.symbol, "ticker", whole),)

    def _candle(self, candle: ExchangeCandle) -> Sequence[Said]:
        if candle.event_time is None or candle.closed is None:
            # By REST: there the candles are counted from the trades.
            return ()
        number, name = self.number, self.name(candle.symbol)
        kline: dict[str, Any] = {
            "t": candle.open_time // 1_000,
            "T": candle.close_time // 1_000 - 1,
            "s": name,
            "i": candle.interval,
            "f": -1 if candle.first_sequence is None else candle.first_sequence,
            "L": -1 if candle.last_sequence is None else candle.last_sequence,
            "o": number(candle.open),
            "c": number(candle.close),
            "h": number(candle.high),
            "l": number(candle.low),
            "v": number(candle.volume or 0.0),
            "n": candle.trade_count or 0,
            "x": candle.closed,
            "q": number(candle.quote_volume or 0.0),
            "V": number(candle.taker_buy_volume or 0.0),
        }
        data = {"e": "kline", "E": candle.event_time // 1_000, "s": name, "k": kline}
        return (self._push(candle.symbol, f"kline_{candle.interval}", data),)

    def _listed(self, instrument: Instrument) -> dict[str, Any]:
        word = futures_listing if self.is_futures else spot_listing
        listed = word(instrument.symbol, instrument.venue_symbol)
        known = {
            "tickSize": instrument.tick_size,
            "stepSize": instrument.lot_size,
            "minNotional": instrument.min_notional,
            "notional": instrument.min_notional,
        }
        for rule in listed["filters"]:
            rule |= {key: padded(value) for key, value in known.items() if key in rule and value is not None}
        return listed | {"status": STATUSES[instrument.status]}


class BinanceUsEncoder(BinanceSpotEncoder):
    """Binance US: the same."""

    venue: ClassVar[str] = "binanceus"


class BinanceUsdmEncoder(BinanceSpotEncoder):
    """USD-M futures: numbers without needless places; quotes have a time, books chain by `pu`."""

    market: ClassVar[str] = "usdm"
    base: ClassVar[str] = "/fapi/v1"
    is_futures: ClassVar[bool] = True

    def number(self, value: float) -> str:
        """See `BinanceSpotEncoder.number`."""
        return plain(value)

    def _derivatives(self, record: DerivativeTicker) -> Sequence[Said]:
        if record.event_time is None:
            return ()
        name, ms = self.name(record.symbol), record.event_time // 1_000
        if record.mark_price is None:
            if record.open_interest is None:
                return ()
            body = {"openInterest": plain(record.open_interest), "symbol": name, "time": ms}
            return (Answered(f"{self.base}/openInterest?symbol={name}", msgspec.json.encode(body)),)
        data: dict[str, Any] = {"e": "markPriceUpdate", "E": ms, "s": name, "p": padded(record.mark_price)}
        if record.index_price is not None:
            data["i"] = padded(record.index_price)
        data["r"] = "" if record.funding_rate is None else padded(record.funding_rate)
        data["T"] = (record.next_funding_time or 0) // 1_000
        return (self._push(record.symbol, "markPrice", data),)

    def _liquidation(self, record: Liquidation) -> Sequence[Said]:
        ms, price, size = record.event_time // 1_000, plain(record.price), plain(record.size)
        order = {"s": self.name(record.symbol), "S": record.side.upper(), "o": "LIMIT", "f": "IOC"}
        filled = {"q": size, "p": price, "ap": price, "X": "FILLED", "l": size, "z": size, "T": ms}
        data = {"e": "forceOrder", "E": ms, "o": order | filled}
        return (self._push(record.symbol, "forceOrder", data),)
