"""Gate.io spot: the channels, one handler each, and what the venue lists."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from producers import validation
from producers.exchange import Call, Channel, MarketRecord
from producers.exchanges.gateio import records, wire
from producers.exchanges.gateio.protocol import INTERVALS, rows
from producers.exchanges.gateio.rest import GateMarket
from schemas.records import ExchangeCandle, Instrument, InstrumentStatus, Micros, Quote, Ticker, Trade


class GateSpot(GateMarket):
    """Spot pairs; sizes are in base units, and all numbers are texts."""

    venue: ClassVar[str] = "gateio"
    market: ClassVar[str] = "spot"
    aliases: ClassVar[tuple[str, ...]] = ("gate", "gate-io", "gate-spot")
    websocket_url: ClassVar[str] = "wss://api.gateio.ws"
    websocket_path: ClassVar[str] = "/ws/v4/"
    venue_prefix: ClassVar[str] = "spot"
    rest_path: ClassVar[str] = "/api/v4/spot"
    pair_parameter: ClassVar[str] = "currency_pair"
    book_parameters: ClassVar[tuple[str, ...]] = ("100ms",)
    intervals: ClassVar[Mapping[str, int]] = {
        **INTERVALS,
        "30s": 30,
        "3m": 180,
        "2h": 7_200,
        "6h": 21_600,
        "12h": 43_200,
    }
    channels_available: ClassVar[frozenset[Channel]] = frozenset(
        {"trades", "quotes", "books", "tickers", "candles"}
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._quoted: set[str] = set()
        """Symbols whose own stream of quotes was seen."""

    def drop(self, symbol: str) -> None:
        """See `Exchange.drop`."""
        super().drop(symbol)
        self._quoted.discard(symbol)

    # what the venue lists

    @classmethod
    def guess(cls, venue_symbol: str) -> Instrument | None:
        """`BTC_USDT` -> `BTC/USDT`."""
        base, _, quote = venue_symbol.partition("_")
        if not base or not quote or "_" in quote:
            return None
        return Instrument(
            cls.venue,
            f"{base}/{quote}",
            venue_symbol,
            base,
            quote,
            "spot",
            "trading",
            None,
            None,
            None,
            1.0,
            0,
        )

    @classmethod
    def venue_symbol(cls, unified: str) -> str:
        """`BTC/USDT` -> `BTC_USDT`."""
        return unified.replace("/", "_").upper()

    @classmethod
    def instruments_call(cls) -> Call:
        """All pairs at once."""
        return Call("instruments", f"{cls.rest_path}/currency_pairs")

    @classmethod
    def read_instruments(cls, body: bytes, receive_time: Micros) -> list[Instrument]:
        """The answer of `currency_pairs`; steps are given as a number of decimals."""
        return [
            Instrument(
                venue=cls.venue,
                symbol=f"{pair.base}/{pair.quote}",
                venue_symbol=pair.id,
                base=pair.base,
                quote=pair.quote,
                kind="spot",
                status=_status(pair, receive_time),
                tick_size=float(f"1e-{pair.precision}"),
                lot_size=float(f"1e-{pair.amount_precision}"),
                min_notional=validation.size(pair.min_quote_amount) if pair.min_quote_amount else None,
                multiplier=1.0,
                event_time=receive_time,
            )
            for pair in validation.decoded(wire.CURRENCY_PAIRS.decode, body)
        ]

    # channels

    def on_trades(self, envelope: wire.Envelope, receive_time: Micros) -> Sequence[MarketRecord]:
        """One execution with the taker's side; before 2025 without `id_market`, which alone is contiguous.

        {"time":1788336082,"time_ms":1788336082402,"channel":"spot.trades","event":"update","result":
        {"id":217831625,"id_market":217831625,"create_time":1788336082,"create_time_ms":
        "1788336082402.208000","side":"sell","currency_pair":"BTC_USDT","amount":"0.000021","price":"77474",
        "range":"217831625-217831625","stock":"BTC","money":"USDT","trade_mode":0}}
        """
        found = rows(wire.SPOT_TRADES.decode, envelope.result)
        return [
            self._trade(row, instrument, receive_time, backfilled=False)
            for row, instrument in self._fed(found, "currency_pair")
        ]

    def on_book_ticker(self, envelope: wire.Envelope, receive_time: Micros) -> Sequence[MarketRecord]:
        """Best bid and ask with the id of the book's update.

        {"time":1654029559,"channel":"spot.book_ticker","event":"update","result":{"t":1654029559473,
        "u":6765708346,"s":"BTC_USDT","b":"31738.93","B":"2.3039","a":"31738.94","A":"0.335"}}
        """
        quotes = self._quotes(envelope, receive_time)
        self._quoted.update(quote.symbol for quote in quotes)
        return quotes if "quotes" in self.channels else ()

    def on_order_book_update(self, envelope: wire.Envelope, receive_time: Micros) -> Sequence[MarketRecord]:
        """Changes of 100 ms within the best hundred levels; `full` replaces the book.

        {"time":1631836142,"channel":"spot.order_book_update","event":"update","result":{"t":1631836142325,
        "e":"depthUpdate","E":1631836142,"s":"BTC_USDT","U":4622074361,"u":4622074364,
        "b":[["47737.89","0.002"],["47741.35","0"]],"a":[["47813.04","0.0355"],["47978.86","0"]]}}
        """
        return self._book_changes(envelope, receive_time)

    def on_obu(self, envelope: wire.Envelope, receive_time: Micros) -> Sequence[MarketRecord]:
        """The second version of the same: the first message is `full` and needs no REST.

        {"channel":"spot.obu","result":{"t":1754006400261,"full":true,"s":"ob.BTC_USDT.400","u":25847113075,
        "b":[["115765.1","0.337839"],["115764.2","0.005"]],"a":[["115765.2","0.631155"]]},
        "time_ms":1754006400264,"event":"update"}
        """
        return self._book_changes(envelope, receive_time)

    def on_order_book(self, envelope: wire.Envelope, receive_time: Micros) -> Sequence[MarketRecord]:
        """The best levels, again and again.

        {"time":1662630117,"channel":"spot.order_book","event":"update","result":{"t":1662630117190,
        "lastUpdateId":8093065166,"s":"BTC_USDT","bids":[["19201.39","0.0005"],["19201.18","0.0042"]],
        "asks":[["19201.4","1.0963"],["19201.71","2.5184"]]}}
        """
        return self._whole_books(envelope, receive_time)

    def on_tickers(self, envelope: wire.Envelope, receive_time: Micros) -> Sequence[MarketRecord]:
        """24 h figures, and a quote without id and sizes for symbols that no other stream quotes.

        {"time":1786539989,"time_ms":1786539989549,"channel":"spot.tickers","event":"update","result":
        {"currency_pair":"BTC_USDT","last":"64043.9","lowest_ask":"64043.9","highest_bid":"64043.8",
        "change_percentage":"-0.4034","base_volume":"5291.366688","quote_volume":"337744396.9986996",
        "high_24h":"64473.5","low_24h":"63234.7"}}
        """
        found = list(self._fed(rows(wire.SPOT_TICKERS.decode, envelope.result), "currency_pair"))
        quotes = [
            self._quote(row, instrument, envelope.sent, receive_time)
            for row, instrument in found
            if "quotes" not in self.channels and instrument.symbol not in self._quoted
        ]
        return [*self._tickers(found, envelope.sent, receive_time), *quotes]

    def on_candlesticks(self, envelope: wire.Envelope, receive_time: Micros) -> Sequence[MarketRecord]:
        """The venue's candle so far; `a` and `w` came later, and a `w` of true may not come at all.

        {"time":1662803082,"channel":"spot.candlesticks","event":"update","result":{"t":"1662803040",
        "v":"3272.187909","c":"21342.41","h":"21352.26","l":"21342.41","o":"21352.26","n":"1m_BTC_USDT",
        "a":"0.1533"}}
        """
        return self._candles(envelope, receive_time)

    # what streams and REST say alike

    def _trade(
        self, row: wire.SpotTrade, instrument: Instrument, receive_time: Micros, *, backfilled: bool
    ) -> Trade:
        price_text = validation.text_of(row.price)
        price, size = validation.positive_price(price_text), validation.size(row.amount)
        sequence = row.sequence_id if row.id_market is None else row.id_market
        return Trade(
            venue=self.venue,
            symbol=instrument.symbol,
            trade_id=str(records.whole(row.id)),
            sequence=records.whole(sequence) if sequence else None,
            price=price,
            size=size,
            side=row.side,
            event_time=validation.instant(row.create_time_ms),
            receive_time=receive_time,
            backfilled=backfilled,
            inexact=validation.is_inexact(price_text, price) or validation.is_inexact(row.amount, size),
        )

    def _quote(
        self, row: wire.SpotTicker, instrument: Instrument, event_time: Micros, receive_time: Micros
    ) -> Quote:
        bid, ask = records.price_of(row.highest_bid), records.price_of(row.lowest_ask)
        return Quote(
            venue=self.venue,
            symbol=instrument.symbol,
            bid=bid,
            bid_size=0.0,
            ask=ask,
            ask_size=0.0,
            sequence=None,
            event_time=event_time,
            receive_time=receive_time,
            inexact=(
                (bid is not None and validation.is_inexact(row.highest_bid, bid))
                or (ask is not None and validation.is_inexact(row.lowest_ask, ask))
            ),
        )

    def _tickers(
        self, found: Iterable[tuple[wire.SpotTicker, Instrument]], event_time: Micros, receive_time: Micros
    ) -> list[MarketRecord]:
        """The tickers of pairs that were ever traded; the others have no last price."""
        return [
            Ticker(
                venue=self.venue,
                symbol=instrument.symbol,
                last=last,
                bid=records.price_of(row.highest_bid),
                ask=records.price_of(row.lowest_ask),
                open=None,
                high=records.price_of(row.high_24h),
                low=records.price_of(row.low_24h),
                base_volume=records.size_of(row.base_volume),
                quote_volume=records.size_of(row.quote_volume),
                change=None,
                change_percent=records.signed_of(row.change_percentage),
                event_time=event_time,
                receive_time=receive_time,
            )
            for row, instrument in found
            if (last := records.price_of(row.last)) is not None
        ]

    def _candle(
        self,
        row: wire.Candle,
        instrument: Instrument,
        interval: tuple[str, int],
        event_time: Micros | None,
        receive_time: Micros,
    ) -> ExchangeCandle:
        volumes = records.size_of(row.a), validation.size(validation.text_of(row.v))
        return records.candle(self.venue, row, instrument, interval, volumes, event_time, receive_time)

    # answers of REST

    def _read_trades(self, instrument: Instrument, body: bytes, receive_time: Micros) -> list[Trade]:
        return [
            self._trade(row, instrument, receive_time, backfilled=True)
            for row in rows(wire.SPOT_TRADES.decode, body)
            if row.currency_pair == instrument.venue_symbol
        ]

    def _read_candles(self, body: bytes) -> list[wire.Candle]:
        """Rows of texts: open time, quote volume, close, high, low, open, base volume, "true" if closed."""
        found = []
        for row in validation.decoded(wire.SPOT_CANDLE_ROWS.decode, body):
            time, quote_volume, close, high, low, open_, base_volume, closed, *_ = [*row, "", ""]
            is_closed = {"true": True, "false": False}.get(closed)
            found.append(
                wire.Candle(
                    t=time, o=open_, h=high, l=low, c=close, v=quote_volume, a=base_volume, w=is_closed
                )
            )
        return found

    def _read_tickers(self, body: bytes, receive_time: Micros) -> list[MarketRecord]:
        found = self._fed(rows(wire.SPOT_TICKERS.decode, body), "currency_pair")
        return self._tickers(found, receive_time, receive_time)


def _status(pair: wire.CurrencyPair, now: Micros) -> InstrumentStatus:
    if 0 < pair.delisting_time * 1_000_000 <= now:
        return "delisted"
    return "halted" if pair.trade_status == "untradable" else "trading"
