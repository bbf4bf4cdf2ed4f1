"""Gate.io perpetuals settled in USDT: sizes count contracts, signed by the taker's side.

The venue rounds contracts down to whole numbers for clients that do not ask for decimals by a header.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from producers import validation
from producers.exchange import Call, Channel, MarketRecord
from producers.exchanges.gateio import records, wire
from producers.exchanges.gateio.protocol import INTERVALS, rows
from producers.exchanges.gateio.rest import PAGE, GateMarket
from schemas.records import (
    DerivativeTicker,
    ExchangeCandle,
    Instrument,
    InstrumentKind,
    InstrumentStatus,
    Liquidation,
    Micros,
    Side,
    Ticker,
    Trade,
)

SETTLED_IN: Final = "USDT"

STATUS: Final[Mapping[str, InstrumentStatus]] = {"trading": "trading", "delisted": "delisted"}
"""In any other, such as `prelaunch`, `delisting` and `circuit_breaker`, no position can be opened."""

NEAR: Final = PAGE // 2
"""Trades back from the newest that was streamed: the page of the newest reaches further, as more are made."""

DATE_LENGTH: Final = len("20251226")


class GateFutures(GateMarket):
    """Perpetuals; frames of dated futures are read where their instruments are given."""

    venue: ClassVar[str] = "gateio"
    market: ClassVar[str] = "futures"
    aliases: ClassVar[tuple[str, ...]] = tuple(
        name + kind for name in ("gateio", "gate") for kind in ("-futures", "-usdt", "-swap", "-perpetual")
    )
    websocket_url: ClassVar[str] = "wss://fx-ws.gateio.ws"
    websocket_path: ClassVar[str] = "/v4/ws/usdt"
    headers: ClassVar[Mapping[str, str]] = {"X-Gate-Size-Decimal": "1"}
    venue_prefix: ClassVar[str] = "futures"
    rest_path: ClassVar[str] = "/api/v4/futures/usdt"
    pair_parameter: ClassVar[str] = "contract"
    book_parameters: ClassVar[tuple[str, ...]] = ("100ms", "100")
    intervals: ClassVar[Mapping[str, int]] = INTERVALS
    channels_available: ClassVar[frozenset[Channel]] = frozenset(
        {"trades", "quotes", "books", "tickers", "candles", "derivatives", "liquidations"}
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._newest: dict[str, int] = {}
        """Newest trade that was streamed, by symbol."""

    def drop(self, symbol: str) -> None:
        """See `Exchange.drop`."""
        super().drop(symbol)
        self._newest.pop(symbol, None)

    # what the venue lists

    @classmethod
    def guess(cls, venue_symbol: str) -> Instrument | None:
        """`BTC_USDT` -> `BTC/USDT:USDT`, `BTC_USDT_20251226` -> `BTC/USDT:USDT-251226`; one contract is 1.

        Only the venue's list tells how much a contract is.
        """
        base, _, rest = venue_symbol.partition("_")
        quote, _, date = rest.partition("_")
        if not base or quote != SETTLED_IN or (date and not (date.isdigit() and len(date) == DATE_LENGTH)):
            return None
        symbol = f"{base}/{quote}:{SETTLED_IN}" + (f"-{date[2:]}" if date else "")
        kind: InstrumentKind = "future" if date else "perpetual"
        return Instrument(
            cls.venue, symbol, venue_symbol, base, quote, kind, "trading", None, None, None, 1.0, 0
        )

    @classmethod
    def venue_symbol(cls, unified: str) -> str:
        """`BTC/USDT:USDT` -> `BTC_USDT`, `BTC/USDT:USDT-251226` -> `BTC_USDT_20251226`."""
        pair, _, settled = unified.upper().partition(":")
        date = settled.partition("-")[2]
        return pair.replace("/", "_") + (f"_20{date}" if date else "")

    @classmethod
    def instruments_call(cls) -> Call:
        """All contracts at once."""
        return Call("instruments", f"{cls.rest_path}/contracts")

    @classmethod
    def read_instruments(cls, body: bytes, receive_time: Micros) -> list[Instrument]:
        """The answer of `contracts`."""
        found = []
        for contract in validation.decoded(wire.CONTRACTS.decode, body):
            guessed = cls.guess(contract.name)
            if guessed is None:
                continue
            multiplier = validation.size(contract.quanto_multiplier) or 1.0
            step = contract.order_size_min if contract.enable_decimal else 1
            found.append(
                Instrument(
                    venue=cls.venue,
                    symbol=guessed.symbol,
                    venue_symbol=contract.name,
                    base=guessed.base,
                    quote=guessed.quote,
                    kind=guessed.kind,
                    status="halted" if contract.in_delisting else STATUS.get(contract.status, "halted"),
                    tick_size=validation.positive_price(contract.order_price_round),
                    lot_size=validation.base_size(validation.size(validation.text_of(step)), multiplier),
                    min_notional=None,
                    multiplier=multiplier,
                    event_time=receive_time,
                )
            )
        return found

    # channels

    def on_trades(self, envelope: wire.Envelope, receive_time: Micros) -> Sequence[MarketRecord]:
        """Executions; the ids of a contract are contiguous, those that take over liquidations included.

        {"time":1614556850,"channel":"futures.trades","event":"update","error":null,"result":[
        {"size":1,"id":13654526,"create_time":1614556850,"create_time_ms":1614556850860,"price":"45300",
        "contract":"BTC_USDT"},{"size":-2000,"id":13654527,"create_time":1614556850,
        "create_time_ms":1614556850860,"price":"45300","contract":"BTC_USDT"}]}
        """
        found = rows(wire.FUTURES_TRADES.decode, envelope.result)
        return [
            self._trade(row, instrument, receive_time, backfilled=False)
            for row, instrument in self._fed(found, "contract")
        ]

    def on_book_ticker(self, envelope: wire.Envelope, receive_time: Micros) -> Sequence[MarketRecord]:
        """Best bid and ask with the id of the book's update.

        {"id":null,"time":1654030293,"channel":"futures.book_ticker","event":"update","error":null,"result":
        {"t":1654030293769,"u":13980118150,"s":"BTC_USDT","b":"31709.2","B":119926,"a":"31709.3","A":56231}}
        """
        return self._quotes(envelope, receive_time)

    def on_order_book_update(self, envelope: wire.Envelope, receive_time: Micros) -> Sequence[MarketRecord]:
        """Changes of 100 ms within the best hundred levels; `full` replaces the book.

        {"id":null,"time":1632799979,"channel":"futures.order_book_update","event":"update","error":null,
        "result":{"t":1632799979523,"s":"BTC_USDT","U":8179159885,"u":8179159933,
        "b":[{"p":"42459.2","s":73982}],"a":[]}}
        """
        return self._book_changes(envelope, receive_time)

    def on_obu(self, envelope: wire.Envelope, receive_time: Micros) -> Sequence[MarketRecord]:
        """The second version of the same: the first message is `full` and needs no REST.

        {"channel":"futures.obu","result":{"t":1743673027017,"s":"ob.BTC_USDT.400","U":79072179674,
        "u":79072179694,"b":[["83702.2","62"],["83702.1","0"]]},"time_ms":1743673027020}
        """
        return self._book_changes(envelope, receive_time)

    def on_order_book(self, envelope: wire.Envelope, receive_time: Micros) -> Sequence[MarketRecord]:
        """The best levels. Until 2021 single levels followed, which no id chained: they are left out.

        {"time":1680307560,"channel":"futures.order_book","event":"all","result":{"t":1680307560929,
        "id":35064314497,"contract":"BTC_USDT","asks":[{"p":"28455.9","s":19415}],
        "bids":[{"p":"28455.8","s":29510}]}}
        """
        return () if envelope.event == "update" else self._whole_books(envelope, receive_time)

    def on_tickers(self, envelope: wire.Envelope, receive_time: Micros) -> Sequence[MarketRecord]:
        """24 h figures, mark price, index price, funding and open interest in one.

        {"time":1786540617,"time_ms":1786540617598,"channel":"futures.tickers","event":"update","result":[
        {"contract":"BTC_USDT","last":"63964.7","change_percentage":"-0.5151","total_size":"658216984",
        "volume_24h":"393690687","volume_24h_base":"39369.0687","volume_24h_quote":"2518230674",
        "volume_24h_settle":"2518230674","mark_price":"63964.8","funding_rate":"0.000052",
        "funding_interval":28800,"funding_next_apply":1786550400,"index_price":"63989.2",
        "low_24h":"63209.0","high_24h":"64443.9","change_price":"-331.2","t":1786540617093}]}
        """
        found = self._fed(rows(wire.FUTURES_TICKERS.decode, envelope.result), "contract")
        return self._tickers(found, envelope.sent, receive_time)

    def on_candlesticks(self, envelope: wire.Envelope, receive_time: Micros) -> Sequence[MarketRecord]:
        """The venue's candle so far; `v` counts contracts, and `a` is left out: its unit is not documented.

        {"time":1662484495,"channel":"futures.candlesticks","event":"update","result":[{"t":1662484200,
        "v":10937513,"c":"19174.6","h":"19377","l":"19088.1","o":"19347.3","n":"5m_BTC_USDT"}]}
        """
        return self._candles(envelope, receive_time)

    def on_public_liquidates(self, envelope: wire.Envelope, receive_time: Micros) -> Sequence[MarketRecord]:
        """Orders that close positions by force, those of a second at once; a negative one sells.

        {"channel":"futures.public_liquidates","event":"update","time":1787212801,"time_ms":1787212801123,
        "result":[{"price":"63964.7","size":"-124.5","time":1787212800871,"contract":"BTC_USDT"}]}
        """
        found = rows(wire.LIQUIDATIONS.decode, envelope.result)
        return [
            self._liquidation(row, instrument, envelope, receive_time)
            for row, instrument in self._fed(found, "contract")
        ]

    # REST

    def trades_call(self, symbol: str, first: int | None, last: int | None) -> Call | None:
        """The newest page where that should hold what is missing: for futures `last_id` is deprecated.

        The venue offers times in whole seconds instead, which do not tell where a page of ids begins.
        """
        newest = self._newest.get(symbol)
        if first is not None and newest is not None and newest - first < NEAR:
            return self._call("trades", "trades", symbol, first, last, limit=PAGE)
        return super().trades_call(symbol, first, last)

    # what streams and REST say alike

    def _trade(
        self, row: wire.FuturesTrade, instrument: Instrument, receive_time: Micros, *, backfilled: bool
    ) -> Trade:
        price_text = validation.text_of(row.price)
        price = validation.positive_price(price_text)
        side, contracts, is_inexact = _signed(row.size)
        number = records.whole(row.id)
        if not backfilled:
            self._newest[instrument.symbol] = max(number, self._newest.get(instrument.symbol, 0))
        return Trade(
            venue=self.venue,
            symbol=instrument.symbol,
            trade_id=str(number),
            sequence=number,
            price=price,
            size=validation.base_size(contracts, instrument.multiplier),
            side=side,
            event_time=validation.instant(
                row.create_time if row.create_time_ms is None else row.create_time_ms
            ),
            receive_time=receive_time,
            raw_size=contracts,
            backfilled=backfilled,
            inexact=is_inexact or validation.is_inexact(price_text, price),
        )

    def _tickers(
        self, found: Iterable[tuple[wire.FuturesTicker, Instrument]], sent: Micros, receive_time: Micros
    ) -> list[MarketRecord]:
        made: list[MarketRecord] = []
        for row, instrument in found:
            time = validation.micros(row.t) if row.t else sent
            last = records.price_of(row.last)
            if "tickers" in self.channels and last is not None:
                made.append(self._ticker(row, instrument, last, time, receive_time))
            if "derivatives" in self.channels:
                made.append(self._derivative_ticker(row, instrument, time, receive_time))
        return made

    def _ticker(
        self,
        row: wire.FuturesTicker,
        instrument: Instrument,
        last: float,
        event_time: Micros,
        receive_time: Micros,
    ) -> Ticker:
        return Ticker(
            venue=self.venue,
            symbol=instrument.symbol,
            last=last,
            bid=records.price_of(row.highest_bid),
            ask=records.price_of(row.lowest_ask),
            open=None,
            high=records.price_of(row.high_24h),
            low=records.price_of(row.low_24h),
            base_volume=records.size_of(row.volume_24h_base),
            quote_volume=records.size_of(row.volume_24h_quote),
            change=records.signed_of(row.change_price),
            change_percent=records.signed_of(row.change_percentage),
            event_time=event_time,
            receive_time=receive_time,
        )

    def _derivative_ticker(
        self, row: wire.FuturesTicker, instrument: Instrument, event_time: Micros, receive_time: Micros
    ) -> DerivativeTicker:
        contracts = validation.size(validation.text_of(row.total_size))
        return DerivativeTicker(
            venue=self.venue,
            symbol=instrument.symbol,
            mark_price=records.price_of(row.mark_price),
            index_price=records.price_of(row.index_price),
            funding_rate=records.signed_of(row.funding_rate),
            next_funding_time=validation.instant(row.funding_next_apply) if row.funding_next_apply else None,
            open_interest=validation.base_size(contracts, instrument.multiplier),
            event_time=event_time,
            receive_time=receive_time,
        )

    def _liquidation(
        self,
        row: wire.PublicLiquidation,
        instrument: Instrument,
        envelope: wire.Envelope,
        receive_time: Micros,
    ) -> Liquidation:
        side, contracts, _ = _signed(row.size)
        time = row.time if row.time_ms is None else row.time_ms
        return Liquidation(
            venue=self.venue,
            symbol=instrument.symbol,
            side=side,
            price=validation.positive_price(validation.text_of(row.price)),
            size=validation.base_size(contracts, instrument.multiplier),
            raw_size=contracts,
            event_time=envelope.sent if time is None else validation.instant(time),
            receive_time=receive_time,
        )

    def _candle(
        self,
        row: wire.Candle,
        instrument: Instrument,
        interval: tuple[str, int],
        event_time: Micros | None,
        receive_time: Micros,
    ) -> ExchangeCandle:
        contracts = validation.size(validation.text_of(row.v))
        volumes = validation.base_size(contracts, instrument.multiplier), records.size_of(row.sum)
        return records.candle(self.venue, row, instrument, interval, volumes, event_time, receive_time)

    # answers of REST

    def _read_trades(self, instrument: Instrument, body: bytes, receive_time: Micros) -> list[Trade]:
        return [
            self._trade(row, instrument, receive_time, backfilled=True)
            for row in rows(wire.FUTURES_TRADES.decode, body)
            if row.contract == instrument.venue_symbol
        ]

    def _read_candles(self, body: bytes) -> list[wire.Candle]:
        return rows(wire.CANDLES.decode, body)

    def _read_tickers(self, body: bytes, receive_time: Micros) -> list[MarketRecord]:
        found = self._fed(rows(wire.FUTURES_TICKERS.decode, body), "contract")
        return self._tickers(found, receive_time, receive_time)


def _signed(size: wire.Number) -> tuple[Side, float, bool]:
    """Side and number of contracts, and whether the text says more; a part of one may come as 0."""
    text = validation.text_of(size)
    digits = text.removeprefix("-")
    contracts = validation.size(digits)
    side: Side = "unknown" if not contracts else "sell" if digits != text else "buy"
    return side, contracts, validation.is_inexact(digits, contracts)
