"""MEXC spot: the wire of `producers/simulator/venues/mexc.py`, from records; market data is protobuf.

What no record holds, and is left out: the last closes in a ticker, the time of the last order.

Derived: the time of a message (that of what it tells). The id of a trade is the one that we gave it, since
the venue's own is not kept; each trade comes in a frame of its own.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec

from producers.exchanges.mexc.messages import frame_of
from producers.simulator.encoder import Answered, Encoder, Pushed, Said, plain
from producers.simulator.venues.mexc import key_of
from schemas.records import (
    BookUpdate,
    ExchangeCandle,
    Instrument,
    InstrumentStatus,
    Micros,
    Quote,
    Ticker,
    Trade,
)

PACE: Final = "100ms"
INTERVALS: Final = {
    "1m": "Min1",
    "5m": "Min5",
    "15m": "Min15",
    "30m": "Min30",
    "1h": "Min60",
    "4h": "Hour4",
    "8h": "Hour8",
    "1d": "Day1",
    "1w": "Week1",
}
"""How streams name the intervals of candles."""

STATUSES: Final[dict[InstrumentStatus, str]] = {"trading": "1", "halted": "2", "delisted": "3"}


class MexcSpotEncoder(Encoder):
    """Spot: one body a frame, numbers as texts."""

    venue: ClassVar[str] = "mexc"
    market: ClassVar[str] = "spot"

    def listing(self) -> Answered:
        """`exchangeInfo`."""
        listed = [self._listed(one) for one in self.instruments.values()]
        body = {"timezone": "CST", "symbols": listed}
        return Answered("/api/v3/exchangeInfo", msgspec.json.encode(body))

    def _push(self, symbol: str, channel: str, time: Micros, body: dict[str, Any]) -> Sequence[Said]:
        named = {"channel": channel, "symbol": self.name(symbol), "sendTime": time // 1_000}
        return (Pushed(key_of(channel), frame_of(named | body)),)

    def _paced(self, kind: str, symbol: str) -> str:
        return f"spot@public.aggre.{kind}.v3.api.pb@{PACE}@{self.name(symbol)}"

    def _trade(self, trade: Trade) -> Sequence[Said]:
        if trade.side == "unknown":
            return ()
        deal = {
            "price": plain(trade.price),
            "quantity": plain(trade.size),
            "tradeType": 1 if trade.side == "buy" else 2,
            "time": trade.event_time // 1_000,
            "tradeId": trade.trade_id,
        }
        kind = f"spot@public.aggre.deals.v3.api.pb@{PACE}"
        body = {"publicAggreDeals": {"deals": [deal], "eventType": kind}}
        return self._push(trade.symbol, self._paced("deals", trade.symbol), trade.event_time, body)

    def _quote(self, quote: Quote) -> Sequence[Said]:
        best = {
            "bidPrice": plain(quote.bid or 0.0),
            "bidQuantity": plain(quote.bid_size),
            "askPrice": plain(quote.ask or 0.0),
            "askQuantity": plain(quote.ask_size),
            "version": "" if quote.sequence is None else str(quote.sequence),
        }
        channel = self._paced("bookTicker", quote.symbol)
        return self._push(quote.symbol, channel, quote.event_time or 0, {"publicAggreBookTicker": best})

    def _book(self, update: BookUpdate) -> Sequence[Said]:
        last = update.last_sequence
        if last is None:
            return ()
        bids = [(plain(p), plain(s)) for p, s in zip(update.bid_prices, update.bid_sizes, strict=True)]
        asks = [(plain(p), plain(s)) for p, s in zip(update.ask_prices, update.ask_sizes, strict=True)]
        if update.kind == "snapshot":
            body: dict[str, Any] = {"lastUpdateId": last, "bids": bids, "asks": asks}
            if update.event_time is not None:
                body["timestamp"] = update.event_time // 1_000
            url = f"/api/v3/depth?symbol={self.name(update.symbol)}"
            return (Answered(url, msgspec.json.encode(body)),)
        depths: dict[str, Any] = {
            side: [{"price": price, "quantity": size} for price, size in levels]
            for side, levels in (("asks", asks), ("bids", bids))
        }
        depths |= {"fromVersion": str(update.first_sequence), "toVersion": str(last)}
        channel = self._paced("depth", update.symbol)
        return self._push(update.symbol, channel, update.event_time or 0, {"publicAggreDepths": depths})

    def _ticker(self, ticker: Ticker) -> Sequence[Said]:
        name, rate = self.name(ticker.symbol), plain(round((ticker.change_percent or 0.0) / 100.0, 10))
        figures = {
            "symbol": name,
            "price": plain(ticker.last),
            "rate": rate,
            "zonedRate": rate,
            "high": plain(ticker.high or 0.0),
            "low": plain(ticker.low or 0.0),
            "volume": plain(ticker.quote_volume or 0.0),
            "quantity": plain(ticker.base_volume or 0.0),
        }
        channel = f"spot@public.miniTicker.v3.api.pb@{name}@24H"
        return self._push(ticker.symbol, channel, ticker.event_time, {"publicMiniTicker": figures})

    def _candle(self, candle: ExchangeCandle) -> Sequence[Said]:
        interval = INTERVALS.get(candle.interval)
        if interval is None or candle.event_time is None:
            return ()
        kline = {
            "interval": interval,
            "windowStart": candle.open_time // 1_000_000,
            "openingPrice": plain(candle.open),
            "closingPrice": plain(candle.close),
            "highestPrice": plain(candle.high),
            "lowestPrice": plain(candle.low),
            "volume": plain(candle.volume or 0.0),
            "amount": plain(candle.quote_volume or 0.0),
            "windowEnd": candle.close_time // 1_000_000,
        }
        channel = f"spot@public.kline.v3.api.pb@{self.name(candle.symbol)}@{interval}"
        return self._push(candle.symbol, channel, candle.event_time, {"publicSpotKline": kline})

    def _listed(self, instrument: Instrument) -> dict[str, Any]:
        listed: dict[str, Any] = {
            "symbol": instrument.venue_symbol,
            "status": STATUSES[instrument.status],
            "baseAsset": instrument.base,
            "baseAssetPrecision": _places(instrument.lot_size),
            "quoteAsset": instrument.quote,
            "quotePrecision": _places(instrument.tick_size),
            "quoteAssetPrecision": _places(instrument.tick_size),
            "baseSizePrecision": plain(instrument.lot_size or 1e-8),
            "isSpotTradingAllowed": True,
            "permissions": ["SPOT"],
        }
        least = instrument.min_notional
        return listed if least is None else listed | {"quoteAmountPrecision": plain(least)}


def _places(step: float | None) -> int:
    """Decimal places of a step; eight where it is not known."""
    return len(plain(step).partition(".")[2]) if step is not None else 8
