"""MEXC futures: the wire of `producers/simulator/venues/mexc_futures.py`, from records; numbers are JSON's.

Derived: the time of a message (that of what it tells); the number of contracts of a size in base units; the
id of a trade, which is the one that we gave it; the number of orders of a level, 1.

Left out: contracts that settle in their base asset, whose sizes in base units do not tell contracts exactly;
tickers, since two records were one message. Of marks, indices and funding those are told that say one thing.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec

from producers.simulator.encoder import Answered, Encoder, Pushed, Said, contracts_of
from producers.simulator.encoders.mexc import INTERVALS
from schemas.records import (
    BookUpdate,
    DerivativeTicker,
    ExchangeCandle,
    Instrument,
    InstrumentStatus,
    Micros,
    Quote,
    Trade,
)

STATES: Final[dict[InstrumentStatus, int]] = {"trading": 0, "halted": 4, "delisted": 3}


class MexcFuturesEncoder(Encoder):
    """Perpetuals that settle in their quote asset; sizes are contracts."""

    venue: ClassVar[str] = "mexc"
    market: ClassVar[str] = "futures"

    def is_of_market(self, venue: str, symbol: str) -> bool:
        """See `Encoder.is_of_market`; see the module's head for what is left out."""
        base = symbol.partition("/")[0]
        return super().is_of_market(venue, symbol) and not symbol.endswith(f":{base}")

    def listing(self) -> Answered:
        """`contract/detail`."""
        listed = [self._listed(one) for one in self.instruments.values()]
        body = {"success": True, "code": 0, "data": listed}
        return Answered("/api/v1/contract/detail", msgspec.json.encode(body))

    def _push(
        self, subject: str, symbol: str, time: Micros | None, data: Any, of: str = ""
    ) -> Sequence[Said]:
        name = self.name(symbol)
        frame = {"channel": f"push.{subject}", "symbol": name, "data": data}
        frame |= {} if time is None else {"ts": time // 1_000}
        return (Pushed(f"{subject}@{name}{of}", msgspec.json.encode(frame)),)

    def _level(self, symbol: str, price: float, size: float) -> list[float]:
        return [_number(price), _number(contracts_of(size, self.multiplier(symbol))), 1]

    def _sides(self, update: BookUpdate) -> dict[str, list[list[float]]]:
        bids = zip(update.bid_prices, update.bid_sizes, strict=True)
        asks = zip(update.ask_prices, update.ask_sizes, strict=True)
        return {
            side: [self._level(update.symbol, price, size) for price, size in levels]
            for side, levels in (("asks", asks), ("bids", bids))
        }

    def _trade(self, trade: Trade) -> Sequence[Said]:
        if trade.side == "unknown":
            return ()
        count = trade.raw_size
        if count is None:
            count = contracts_of(trade.size, self.multiplier(trade.symbol))
        deal = {
            "p": _number(trade.price),
            "v": _number(count),
            "T": 1 if trade.side == "buy" else 2,
            "O": 3,
            "M": 1,
            "t": trade.event_time // 1_000,
            "i": trade.trade_id,
        }
        return self._push("deal", trade.symbol, trade.event_time, [deal])

    def _quote(self, quote: Quote) -> Sequence[Said]:
        if quote.sequence is None:
            return ()
        symbol = quote.symbol
        bids = [] if quote.bid is None else [self._level(symbol, quote.bid, quote.bid_size)]
        asks = [] if quote.ask is None else [self._level(symbol, quote.ask, quote.ask_size)]
        best = {"asks": asks, "bids": bids, "version": quote.sequence}
        return self._push("depth.full", symbol, quote.event_time, best)

    def _book(self, update: BookUpdate) -> Sequence[Said]:
        last, time = update.last_sequence, update.event_time
        if last is None:
            return ()
        if update.kind == "snapshot":
            data: dict[str, Any] = self._sides(update) | {"version": last}
            data |= {} if time is None else {"timestamp": time // 1_000}
            url = f"/api/v1/contract/depth/{self.name(update.symbol)}"
            return (Answered(url, msgspec.json.encode({"success": True, "code": 0, "data": data})),)
        versions = {"begin": update.first_sequence, "end": last, "version": last}
        return self._push("depth", update.symbol, time, self._sides(update) | versions)

    def _candle(self, candle: ExchangeCandle) -> Sequence[Said]:
        interval = INTERVALS.get(candle.interval)
        if interval is None or candle.event_time is None:
            return ()
        kline = {
            "symbol": self.name(candle.symbol),
            "interval": interval,
            "t": candle.open_time // 1_000_000,
            "o": _number(candle.open),
            "h": _number(candle.high),
            "l": _number(candle.low),
            "c": _number(candle.close),
            "q": _number(contracts_of(candle.volume or 0.0, self.multiplier(candle.symbol))),
            "a": _number(candle.quote_volume or 0.0),
        }
        return self._push("kline", candle.symbol, candle.event_time, kline, f"@{interval}")

    def _derivatives(self, record: DerivativeTicker) -> Sequence[Said]:
        told = {
            "fair.price": record.mark_price,
            "index.price": record.index_price,
            "funding.rate": record.funding_rate,
        }
        found = [(subject, value) for subject, value in told.items() if value is not None]
        if len(found) != 1 or record.open_interest is not None:
            return ()
        ((subject, value),) = found
        data: dict[str, Any] = {"symbol": self.name(record.symbol)}
        if subject == "funding.rate":
            data["rate"] = value
            if record.next_funding_time is not None:
                data["nextSettleTime"] = record.next_funding_time // 1_000
        else:
            data["price"] = value
        return self._push(subject, record.symbol, record.event_time, data)

    def _listed(self, instrument: Instrument) -> dict[str, Any]:
        listed: dict[str, Any] = {
            "symbol": instrument.venue_symbol,
            "baseCoin": instrument.base,
            "quoteCoin": instrument.quote,
            "settleCoin": instrument.quote,
            "contractSize": instrument.multiplier,
            "state": STATES[instrument.status],
            "futureType": 1,
        }
        if instrument.tick_size is not None:
            listed["priceUnit"] = instrument.tick_size
        if instrument.lot_size is not None:
            listed["volUnit"] = contracts_of(instrument.lot_size, instrument.multiplier)
        return listed


def _number(value: float) -> float:
    """A number as JSON has it: whole ones without a fraction."""
    return int(value) if value.is_integer() else value
