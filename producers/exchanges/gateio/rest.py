"""Gate.io's REST interface, spot and futures: what is asked, and what the answers say."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from producers import validation
from producers.exchange import BadRecord, Call, CallKind, MarketRecord
from producers.exchanges.gateio import records, wire
from producers.exchanges.gateio.protocol import GateProtocol
from schemas.records import Instrument, Micros, Trade

ENDPOINTS: Final[Mapping[str, CallKind]] = {
    "currency_pairs": "instruments",
    "contracts": "instruments",
    "order_book": "book",
    "trades": "trades",
    "candlesticks": "candles",
    "tickers": "ticker",
    "time": "time",
}
"""What is asked for, by the last part of a path."""

BOOK_DEPTH: Final = 100
"""Levels a side: as many as `order_book_update` follows at 100 ms, so that none of a snapshot gets stale."""

PAGE: Final = 1_000
"""Trades that one call returns at most."""

BEYOND: Final = 10
"""Trades asked for after the last one that is wanted: they show that the venue is past those it lacks."""


class GateMarket(GateProtocol):
    """One market of Gate.io with its REST interface."""

    def book_call(self, symbol: str) -> Call | None:
        """The book with its update id."""
        return self._call("book", "order_book", symbol, limit=BOOK_DEPTH, with_id="true")

    def trades_call(self, symbol: str, first: int | None, last: int | None) -> Call | None:
        """Up to a thousand trades from `first` on: the venue counts backwards from `last_id`.

        Whether it leaves out `last_id` itself is not documented; one more is asked for on either side.
        """
        if first is None:
            return self._call("trades", "trades", symbol, None, last, limit=PAGE)
        end = first + PAGE - 2 if last is None else min(first + PAGE - 2, last + BEYOND)
        return self._call(
            "trades", "trades", symbol, first, last, limit=end - first + 2, last_id=end + 1, reverse="true"
        )

    def call_of(self, url: str) -> Call | None:
        """See `Exchange.call_of`."""
        parts = urlsplit(url)
        folder, _, endpoint = parts.path.rpartition("/")
        kind = ENDPOINTS.get(endpoint)
        if kind is None or folder != self.rest_path:
            return None
        symbol = ""
        name = dict(parse_qsl(parts.query)).get(self.pair_parameter)
        if name is not None:
            instrument = self.by_name.get(name) or self.guess(name)
            if instrument is None:
                return None
            symbol = instrument.symbol
        return Call(kind, f"{parts.path}?{parts.query}" if parts.query else parts.path, symbol=symbol)

    def read(self, call: Call, body: bytes, receive_time: Micros) -> list[MarketRecord]:
        """See `Exchange.read`."""
        if call.kind == "book":
            book = validation.decoded(wire.BOOK.decode, body)
            time = validation.instant(book.update) if book.update else None
            return [
                records.book_snapshot(self.venue, book, self._instrument(call.symbol), time, receive_time)
            ]
        if call.kind == "trades":
            return list(self._page(call, body, receive_time))
        if call.kind == "candles":
            interval = self._interval_of(dict(parse_qsl(urlsplit(call.path).query)).get("interval", ""))
            instrument = self._instrument(call.symbol)
            return [
                self._candle(row, instrument, interval, None, receive_time)
                for row in self._read_candles(body)
            ]
        if call.kind in {"ticker", "derivatives"}:
            return self._read_tickers(body, receive_time)
        return []

    def _page(self, call: Call, body: bytes, receive_time: Micros) -> list[Trade]:
        """The trades of a page from the first one that is wanted, oldest first."""
        newest_first = self._read_trades(self._instrument(call.symbol), body, receive_time)
        if call.first is not None and "last_id=" not in call.path and not _reaches(newest_first, call.first):
            return []
        wanted = [
            trade
            for trade in reversed(newest_first)
            if call.first is None or (trade.sequence is not None and trade.sequence >= call.first)
        ]
        return sorted(wanted, key=lambda trade: (trade.sequence or 0, trade.event_time))

    @abstractmethod
    def _read_trades(self, instrument: Instrument, body: bytes, receive_time: Micros) -> list[Trade]:
        """The trades of an answer, newest first as the venue has them."""

    @abstractmethod
    def _read_candles(self, body: bytes) -> list[wire.Candle]:
        """The rows of an answer."""

    @abstractmethod
    def _read_tickers(self, body: bytes, receive_time: Micros) -> list[MarketRecord]:
        """The tickers of an answer, of symbols that are fed."""

    def _call(
        self,
        kind: CallKind,
        endpoint: str,
        symbol: str,
        first: int | None = None,
        last: int | None = None,
        **query: str | int,
    ) -> Call:
        query = {self.pair_parameter: self._instrument(symbol).venue_symbol, **query}
        path = f"{self.rest_path}/{endpoint}?{urlencode(query)}"
        return Call(kind, path, symbol=symbol, first=first, last=last)

    def _instrument(self, symbol: str) -> Instrument:
        instrument = self.instruments.get(symbol) or self.guess(self.venue_symbol(symbol))
        if instrument is None:
            raise BadRecord("symbol", f"{symbol!r} is no symbol of {self.venue} {self.market}")
        return instrument


def _reaches(newest_first: list[Trade], sequence: int) -> bool:
    """Whether the newest trades go back as far as that."""
    oldest = newest_first[-1].sequence if newest_first else None
    return oldest is not None and oldest <= sequence
