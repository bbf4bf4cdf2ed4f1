"""Gate.io spot and USDT futures: the wire of `producers/simulator/venues/gateio.py`, from records.

What no record holds, and is left out: the range of ids of a trade, the assets' names in it.

Derived: the time of a message (that of what it tells); the number of contracts of a size in base units, which
is exact where the size was made of one. Tickers of futures are left out: one message of the venue tells what
are two records here, ticker and derivatives.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from producers.simulator.encoder import Answered, Encoder, Pushed, Said, contracts_of, plain
from schemas.records import BookUpdate, ExchangeCandle, Instrument, Liquidation, Micros, Quote, Ticker, Trade


class GateSpotEncoder(Encoder):
    """Spot: numbers are texts, sizes in base units."""

    venue: ClassVar[str] = "gateio"
    market: ClassVar[str] = "spot"
    prefix: ClassVar[str] = "spot"
    base: ClassVar[str] = "/api/v4/spot"
    symbol_parameter: ClassVar[str] = "currency_pair"

    def listing(self) -> Answered:
        """`currency_pairs`."""
        listed = [self._listed(one) for one in self.instruments.values()]
        return Answered(f"{self.base}/currency_pairs", msgspec.json.encode(listed))

    def _push(self, channel: str, name: str, time: Micros, result: Any) -> Pushed:
        ms = time // 1_000
        envelope = {"time": ms // 1_000, "time_ms": ms, "channel": f"{self.prefix}.{channel}"}
        frame = msgspec.json.encode(envelope | {"event": "update", "result": result})
        return Pushed(f"{self.prefix}.{channel}/{name}", frame)

    def _size(self, symbol: str, size: float) -> Any:
        """A size as the market writes it."""
        return plain(size)

    def _level(self, symbol: str, price: float, size: float) -> Any:
        return [plain(price), plain(size)]

    def _sides(self, update: BookUpdate, names: tuple[str, str]) -> dict[str, Any]:
        bids = zip(update.bid_prices, update.bid_sizes, strict=True)
        asks = zip(update.ask_prices, update.ask_sizes, strict=True)
        symbol = update.symbol
        return {
            name: [self._level(symbol, price, size) for price, size in levels]
            for name, levels in zip(names, (bids, asks), strict=True)
        }

    def _trade(self, trade: Trade) -> Sequence[Said]:
        if trade.side == "unknown" or not trade.trade_id.isdecimal():
            return ()
        name = self.name(trade.symbol)
        result: dict[str, Any] = {"id": int(trade.trade_id)}
        if trade.sequence is not None:
            result["id_market"] = trade.sequence
        result |= {"create_time": trade.event_time // 1_000_000, "create_time_ms": _ms(trade.event_time)}
        result |= {"side": trade.side, "currency_pair": name}
        result |= {"amount": plain(trade.size), "price": plain(trade.price)}
        return (self._push("trades", name, trade.event_time, result),)

    def _quote(self, quote: Quote) -> Sequence[Said]:
        if quote.event_time is None:
            return ()
        name, number = self.name(quote.symbol), quote.sequence or 0
        best: dict[str, Any] = {"t": quote.event_time // 1_000, "u": number, "s": name}
        best |= {"b": _price(quote.bid), "B": self._size(quote.symbol, quote.bid_size)}
        best |= {"a": _price(quote.ask), "A": self._size(quote.symbol, quote.ask_size)}
        return (self._push("book_ticker", name, quote.event_time, best),)

    def _book(self, update: BookUpdate) -> Sequence[Said]:
        name, time, last = self.name(update.symbol), update.event_time, update.last_sequence
        if update.kind == "snapshot" and update.first_sequence is None:
            body: dict[str, Any] = {"id": last or 0}
            if time is not None:
                body |= {"current": self._moment(time), "update": self._moment(time)}
            body |= self._sides(update, ("bids", "asks"))
            url = f"{self.base}/order_book?{self.symbol_parameter}={name}&with_id=true"
            return (Answered(url, msgspec.json.encode(body)),)
        if time is None or last is None:
            return ()
        change: dict[str, Any] = {"t": time // 1_000, "s": name}
        change |= {"full": True} if update.kind == "snapshot" else {"U": update.first_sequence}
        change |= {"u": last} | self._sides(update, ("b", "a"))
        return (self._push("order_book_update", name, time, change),)

    def _moment(self, time: Micros) -> Any:
        """A time in an answer of REST."""
        return time // 1_000

    def _ticker(self, ticker: Ticker) -> Sequence[Said]:
        name = self.name(ticker.symbol)
        figures = {
            "last": ticker.last,
            "lowest_ask": ticker.ask,
            "highest_bid": ticker.bid,
            "change_percentage": ticker.change_percent,
            "base_volume": ticker.base_volume,
            "quote_volume": ticker.quote_volume,
            "high_24h": ticker.high,
            "low_24h": ticker.low,
        }
        row = {key: _price(value) for key, value in figures.items()}
        return (self._push("tickers", name, ticker.event_time, {"currency_pair": name} | row),)

    def _candle(self, candle: ExchangeCandle) -> Sequence[Said]:
        if candle.event_time is None:
            return ()
        name = f"{candle.interval}_{self.name(candle.symbol)}"
        row: dict[str, Any] = {"t": f"{candle.open_time // 1_000_000}", "n": name}
        row |= {"o": plain(candle.open), "h": plain(candle.high)}
        row |= {"l": plain(candle.low), "c": plain(candle.close)}
        row |= self._volumes(candle)
        if candle.closed is not None:
            row["w"] = candle.closed
        return (self._push("candlesticks", name, candle.event_time, self._rows(row)),)

    def _rows(self, row: dict[str, Any]) -> Any:
        """The result of a message about candles."""
        return row

    def _volumes(self, candle: ExchangeCandle) -> dict[str, Any]:
        volumes = {"v": plain(candle.quote_volume or 0.0)}
        return volumes if candle.volume is None else volumes | {"a": plain(candle.volume)}

    def _listed(self, instrument: Instrument) -> dict[str, Any]:
        listed: dict[str, Any] = {
            "id": instrument.venue_symbol,
            "base": instrument.base,
            "quote": instrument.quote,
            "fee": "0.2",
            "precision": _places(instrument.tick_size),
            "amount_precision": _places(instrument.lot_size),
            "trade_status": "untradable" if instrument.status == "halted" else "tradable",
            "sell_start": 0,
            "buy_start": 0,
        }
        if instrument.min_notional is not None:
            listed["min_quote_amount"] = plain(instrument.min_notional)
        return listed | ({"delisting_time": 1} if instrument.status == "delisted" else {})


class GateFuturesEncoder(GateSpotEncoder):
    """USDT futures: sizes are contracts, signed by the side of the taker."""

    market: ClassVar[str] = "futures"
    prefix: ClassVar[str] = "futures"
    base: ClassVar[str] = "/api/v4/futures/usdt"
    symbol_parameter: ClassVar[str] = "contract"

    def listing(self) -> Answered:
        """`contracts`."""
        listed = [self._listed(one) for one in self.instruments.values()]
        return Answered(f"{self.base}/contracts", msgspec.json.encode(listed))

    def _size(self, symbol: str, size: float) -> Any:
        return _number(contracts_of(size, self.multiplier(symbol)))

    def _level(self, symbol: str, price: float, size: float) -> Any:
        return {"p": plain(price), "s": self._size(symbol, size)}

    def _moment(self, time: Micros) -> Any:
        return time / 1_000_000

    def _signed(self, record: Trade | Liquidation) -> Any:
        """Contracts; of a sell below 0."""
        count = record.raw_size
        if count is None:
            count = contracts_of(record.size, self.multiplier(record.symbol))
        return _number(-count if record.side == "sell" else count)

    def _trade(self, trade: Trade) -> Sequence[Said]:
        if not trade.trade_id.isdecimal() or (trade.side == "unknown" and trade.size):
            return ()
        name, time = self.name(trade.symbol), trade.event_time
        row: dict[str, Any] = {"id": int(trade.trade_id), "size": self._signed(trade)}
        row |= {"create_time": time // 1_000_000}
        row |= {"create_time_ms": _ms(time) if time % 1_000 else time // 1_000}
        row |= {"price": plain(trade.price), "contract": name}
        return (self._push("trades", name, time, [row]),)

    def _ticker(self, ticker: Ticker) -> Sequence[Said]:
        """See the module's head."""
        return ()

    def _rows(self, row: dict[str, Any]) -> Any:
        return [row | {"t": int(row["t"])}]

    def _volumes(self, candle: ExchangeCandle) -> dict[str, Any]:
        volumes = {"v": self._size(candle.symbol, candle.volume or 0.0)}
        return volumes if candle.quote_volume is None else volumes | {"sum": plain(candle.quote_volume)}

    def _liquidation(self, record: Liquidation) -> Sequence[Said]:
        name, ms = self.name(record.symbol), record.event_time // 1_000
        row = {"price": plain(record.price), "size": f"{self._signed(record)}", "time": ms, "contract": name}
        return (self._push("public_liquidates", name, record.event_time, [row]),)

    def _listed(self, instrument: Instrument) -> dict[str, Any]:
        lot = contracts_of(instrument.lot_size or instrument.multiplier, instrument.multiplier)
        return {
            "name": instrument.venue_symbol,
            "type": "direct",
            "quanto_multiplier": plain(instrument.multiplier),
            "order_price_round": plain(instrument.tick_size or 1e-8),
            "order_size_min": _number(lot),
            "order_size_max": 1_000_000,
            "enable_decimal": not lot.is_integer(),
            "in_delisting": instrument.status == "halted",
            "status": "delisted" if instrument.status == "delisted" else "trading",
        }


def _number(value: float) -> int | str:
    """Contracts as the venue writes them: whole ones as numbers, parts as text."""
    return int(value) if value.is_integer() else plain(value)


def _price(value: float | None) -> str:
    """A price or a figure; nothing is written for what there is not."""
    return "" if value is None else plain(value)


def _ms(time: Micros) -> str:
    """A time in ms, with the microseconds as its fraction."""
    return f"{time // 1_000}.{time % 1_000:03d}"


def _places(step: float | None) -> int:
    """Decimal places of a step; eight where it is not known."""
    text = plain(step) if step is not None else "0.00000001"
    return len(text.partition(".")[2])
