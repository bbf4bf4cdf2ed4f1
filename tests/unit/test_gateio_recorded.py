"""What was really sent by Gate.io: the recorded capture, and single messages of the years since 2020."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from producers.books import BookBreak, BookChain
from producers.capture.file import CaptureReader
from producers.exchange import BadRecord, Control, Exchange, MarketRecord
from producers.exchanges.gateio.futures import GateFutures
from producers.exchanges.gateio.spot import GateSpot
from schemas.records import (
    BookUpdate,
    DerivativeTicker,
    ExchangeCandle,
    Instrument,
    Quote,
    Ticker,
    Trade,
)

RECEIVED = 1_786_540_617_700_000
MARKETS: dict[str, type[Exchange]] = {"spot": GateSpot, "futures": GateFutures}
READ = {
    "trades": {Trade},
    "book_ticker": {Quote},
    "order_book_update": {BookUpdate},
    "order_book": {BookUpdate},
    "obu": {BookUpdate},
    "tickers": {Ticker},
    "candlesticks": {ExchangeCandle},
}


class Recorded:
    """The capture of 2021, read whole."""

    def __init__(self, path: Path) -> None:
        self.instruments: list[Instrument] = []
        self.records: list[MarketRecord] = []
        self.controls: list[Control] = []
        exchange = GateSpot([], ["trades", "books", "tickers", "candles"])
        for entry in CaptureReader(path):
            receive_time = entry.receive_ns // 1_000
            if entry.rest is None:
                found = exchange.parse(entry.frame, receive_time)
                self.controls += [item for item in found if isinstance(item, Control)]
                self.records += [item for item in found if not isinstance(item, Control)]
                continue
            call = exchange.call_of(entry.rest.url)
            assert call is not None
            if call.kind == "instruments":
                self.instruments = exchange.read_instruments(bytes(entry.rest.body), receive_time)
                for instrument in self.instruments:
                    exchange.admit(instrument)
            else:
                self.records += exchange.read(call, bytes(entry.rest.body), receive_time)


@pytest.fixture(scope="module")
def recorded(captures: Path) -> Recorded:
    return Recorded(captures / "gateio-spot-2021.capture.gz")


def test_the_capture_holds_what_an_independent_reader_counts(recorded: Recorded) -> None:
    assert len(recorded.instruments) == 1_458
    assert recorded.controls == [Control("accepted", None)] * 22
    assert Counter(type(record) for record in recorded.records) == {
        Trade: 9,
        Quote: 22,
        Ticker: 22,
        ExchangeCandle: 14,
        BookUpdate: 182,
    }


def test_the_books_of_the_capture_chain(recorded: Recorded) -> None:
    chains: dict[str, BookChain] = {}
    out: list[BookUpdate | BookBreak] = []
    for record in recorded.records:
        if isinstance(record, BookUpdate):
            chain = chains.setdefault(record.symbol, BookChain("gateio", record.symbol))
            chain.take(record, out)
    assert len(chains) == 10
    assert Counter(item.kind for item in out if isinstance(item, BookUpdate)) == {
        "snapshot": 10,
        "delta": 159,
    }
    assert not [item for item in out if isinstance(item, BookBreak)]


def test_old_shapes_say_less_and_are_read_exactly(recorded: Recorded) -> None:
    trades = [record for record in recorded.records if isinstance(record, Trade)]
    assert {trade.sequence for trade in trades} == {None}
    assert trades[0] == Trade(
        venue="gateio",
        symbol="DIS/USDT",
        trade_id="816995772",
        sequence=None,
        price=121.58,
        size=0.201,
        side="sell",
        event_time=1619093543708264,
        receive_time=trades[0].receive_time,
    )
    candles = [record for record in recorded.records if isinstance(record, ExchangeCandle)]
    assert {(candle.interval, candle.volume, candle.closed) for candle in candles} == {("1m", None, None)}


def test_quotes_of_the_capture_are_those_of_its_tickers(recorded: Recorded) -> None:
    tickers = [record for record in recorded.records if isinstance(record, Ticker)]
    quotes = [record for record in recorded.records if isinstance(record, Quote)]
    assert [(quote.symbol, quote.bid, quote.ask, quote.event_time) for quote in quotes] == [
        (ticker.symbol, ticker.bid, ticker.ask, ticker.event_time) for ticker in tickers
    ]
    assert {quote.sequence for quote in quotes} == {None}


def messages(folder: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for line in (folder / "samples" / f"{name}.jsonl").read_text().splitlines():
        if line.strip():
            item = json.loads(line)
            if item.get("exchange", "gate").startswith("gate"):
                found += item.get("messages") or [item.get("raw", item)]
    return found


def set_up(market: type[Exchange], frame: bytes) -> Exchange:
    """The market with the symbol of a frame fed, if it has a name there."""
    stream = market.stream_of(frame)
    found = market.channel_of(stream) if stream else None
    instrument = market.guess(found[1]) if found else None
    channels = market.channels_available
    return market([instrument] if instrument else [], channels)


@pytest.mark.parametrize("name", ["cmp_gate", "tardis_gate_io", "tardis_gate_io_futures", "ccxt_recent_2026"])
def test_every_recorded_message_is_read_or_left_out_for_a_reason(captures: Path, name: str) -> None:
    """Left out: other protocols, contracts settled in coins, levels without a chain."""
    counts: Counter[str] = Counter()
    for message in messages(captures, name):
        frame = json.dumps(message).encode()
        prefix, _, channel = str(message.get("channel") if isinstance(message, dict) else None).partition(".")
        if prefix not in MARKETS:
            with pytest.raises(BadRecord) as refusal:
                GateSpot([]).parse(frame, RECEIVED)
            assert refusal.value.reason == "shape"
            counts["other protocol, or REST"] += 1
            continue
        exchange = set_up(MARKETS[prefix], frame)
        found = exchange.parse(frame, RECEIVED)
        if message["event"] == "subscribe":
            assert found == (Control("accepted", message.get("id")),)
            counts["answer"] += 1
        elif prefix == "futures" and channel == "order_book" and message["event"] == "update":
            assert found == ()
            counts["single levels that nothing chains"] += 1
        elif not exchange.instruments:
            assert not found
            assert re.search(r"_USD[\"_]", frame.decode())
            counts["settled in a coin"] += 1
        else:
            assert {type(record) for record in found} - {DerivativeTicker} == READ[channel]
            counts["read"] += 1
    assert counts == EXPECTED[name]


EXPECTED = {
    "cmp_gate": {
        "read": 17,
        "settled in a coin": 10,
        "single levels that nothing chains": 1,
        "other protocol, or REST": 11,
    },
    "tardis_gate_io": {"read": 6, "answer": 1, "other protocol, or REST": 6},
    "tardis_gate_io_futures": {
        "read": 9,
        "answer": 3,
        "settled in a coin": 4,
        "single levels that nothing chains": 6,
    },
    "ccxt_recent_2026": {"read": 3, "answer": 2},
}


def test_books_of_rest_of_all_markets_are_read(captures: Path) -> None:
    lines = (captures / "samples" / "cmp_gate.jsonl").read_text().splitlines()
    books = [item for item in map(json.loads, lines) if item["mod"] == "l2_snapshot"]
    assert len(books) == 5
    for item in books:
        market, symbol = (GateSpot, "BTC/USDT") if item["test"] == "spot" else (GateFutures, "BTC/USDT:USDT")
        exchange = market([])
        call = exchange.book_call(symbol)
        assert call is not None
        (snapshot,) = exchange.read(call, json.dumps(item["raw"]).encode(), RECEIVED)
        assert isinstance(snapshot, BookUpdate)
        assert snapshot.event_time is not None
        assert 1654249500_000000 < snapshot.event_time < 1654252000_000000
        assert snapshot.bid_prices == sorted(snapshot.bid_prices, reverse=True)
        assert snapshot.bid_prices[0] < snapshot.ask_prices[0]
        assert (snapshot.last_sequence, len(snapshot.ask_sizes)) == (None, 5)
