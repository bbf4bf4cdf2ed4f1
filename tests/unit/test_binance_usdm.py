"""Binance's USD-M futures: what differs from spot."""

import json
from pathlib import Path
from typing import Any

import pytest

from producers.capture import CaptureReader, CaptureWriter
from producers.capture.reading import CaptureReading
from producers.exchange import BadRecord, Control, MarketRecord, OffBookTrade
from producers.exchanges.binance.usdm import BinanceUsdM
from producers.feed import Feed, Patience
from producers.outputs import Ask, Output
from schemas.records import BookUpdate, DerivativeTicker, Gap, Instrument, Liquidation, Quote, Trade

RECEIVED = 1_723_161_256_000_000

TRADE = {
    "e": "trade",
    "E": 1723161256322,
    "T": 1723161256321,
    "s": "BTCUSDT",
    "t": 5266583935,
    "p": "61800.30",
    "q": "0.006",
    "X": "MARKET",
    "m": False,
}
DEPTH = {
    "e": "depthUpdate",
    "E": 1723161256299,
    "T": 1723161256298,
    "s": "BTCUSDT",
    "U": 5123107832006,
    "u": 5123107837557,
    "pu": 5123107831937,
    "b": [["58710.20", "0.014"], ["61510.90", "0.000"]],
    "a": [],
}
MARK = {
    "e": "markPriceUpdate",
    "E": 1617308820003,
    "s": "BTCUSDT",
    "p": "58940.14924532",
    "P": "58905.14663658",
    "i": "58857.26693664",
    "r": "-0.00058455",
    "T": 1617321600000,
}
ORDER = {
    "s": "BTCUSDT",
    "S": "BUY",
    "o": "LIMIT",
    "f": "IOC",
    "q": "0.014",
    "p": "4793.91",
    "ap": "4706.04",
    "X": "FILLED",
    "l": "0.015",
    "z": "0.014",
    "T": 1584059031421,
}


def usdm(*venue_symbols: str, aggregated: bool = False) -> BinanceUsdM:
    found = [BinanceUsdM.guess(name) for name in venue_symbols or ["BTCUSDT"]]
    instruments = [instrument for instrument in found if instrument is not None]
    symbols = [each.symbol for each in instruments] if aggregated else []
    return BinanceUsdM(instruments, BinanceUsdM.channels_available, symbols)


def parse(stream: str, data: Any) -> list[MarketRecord | Control]:
    frame = json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode()
    found = usdm().parse(frame, RECEIVED)
    assert list(usdm().parse(json.dumps(data).encode(), RECEIVED)) == list(found)
    return list(found)


def force_order(**fields: Any) -> dict[str, Any]:
    return {"e": "forceOrder", "E": 1584059031426, "o": ORDER | fields}


def test_a_trade_of_the_book_is_one_of_the_market() -> None:
    assert parse("btcusdt@trade", TRADE) == [
        Trade(
            venue="binance",
            symbol="BTC/USDT:USDT",
            trade_id="5266583935",
            sequence=5266583935,
            price=61800.3,
            size=0.006,
            side="buy",
            event_time=1723161256321000,
            receive_time=RECEIVED,
        )
    ]


@pytest.mark.parametrize(
    "fields",
    [{"X": "INSURANCE_FUND"}, {"X": "ADL"}, {"X": "NA", "p": "0", "q": "0"}],
    ids=lambda fields: fields["X"],
)
def test_trades_beside_the_book_use_an_id_up_and_are_none_of_the_market(fields: dict[str, str]) -> None:
    (found,) = parse("btcusdt@trade", TRADE | fields)
    assert isinstance(found, OffBookTrade)
    assert (found.sequence, found.event_time) == (5266583935, 1723161256321000)
    futures = usdm()
    numbers: list[dict[str, Any]] = [{"t": 7}, {"t": 8, **fields}, {"t": 9}]
    feed = Feed(futures, "binance-usdm-0", "run", False, None, Patience(30.0, 60.0))
    outputs: list[Output] = []
    for number in numbers:
        frame = json.dumps({"stream": "btcusdt@trade", "data": TRADE | number}, separators=(",", ":"))
        feed.take(frame.encode(), RECEIVED, 0.0, outputs)
    assert not [output for output in outputs if isinstance(output, Gap | Ask | OffBookTrade)]
    assert [output.sequence for output in outputs if isinstance(output, Trade)] == [7, 9]


def test_trades_beside_the_book_leave_no_hole_in_a_capture(tmp_path: Path) -> None:
    path = tmp_path / "beside.capture.gz"
    with CaptureWriter(path, {"venue": "binance", "market": "usdm"}) as writer:
        for number, kind in ((7, "MARKET"), (8, "ADL"), (9, "MARKET")):
            data = TRADE | {"t": number, "X": kind}
            writer.write(RECEIVED * 1_000, json.dumps({"stream": "btcusdt@trade", "data": data}))
    reading = CaptureReading(CaptureReader(path), BinanceUsdM)
    assert [record.sequence for record in reading if isinstance(record, Trade)] == [7, 9]
    assert (reading.tally.gaps, reading.tally.counts["trade"]) == (0, 2)


def test_a_price_of_0_in_the_book_is_refused() -> None:
    with pytest.raises(BadRecord, match="price above 0"):
        parse("btcusdt@trade", TRADE | {"p": "0"})


def test_changes_of_the_book_name_the_one_before() -> None:
    (update,) = parse("btcusdt@depth@0ms", DEPTH)
    assert isinstance(update, BookUpdate)
    assert update.previous_sequence == 5123107831937
    assert (update.first_sequence, update.last_sequence) == (5123107832006, 5123107837557)
    assert update.event_time == 1723161256298000


def test_minus_1_stands_for_no_change_before() -> None:
    (update,) = parse("btcusdt@depth", DEPTH | {"pu": -1})
    assert isinstance(update, BookUpdate)
    assert update.previous_sequence is None


def test_a_quote_has_the_time_of_its_transaction() -> None:
    data = {"e": "bookTicker", "u": 9, "s": "BTCUSDT", "b": "1", "B": "2", "a": "3", "A": "4"}
    (quote,) = parse("btcusdt@bookTicker", data | {"T": 1612137603568, "E": 1612137603571})
    assert isinstance(quote, Quote)
    assert quote.event_time == 1612137603568000


def test_mark_price_and_funding() -> None:
    assert parse("btcusdt@markPrice@1s", MARK) == [
        DerivativeTicker(
            venue="binance",
            symbol="BTC/USDT:USDT",
            mark_price=58940.14924532,
            index_price=58857.26693664,
            funding_rate=-0.00058455,
            next_funding_time=1617321600000000,
            open_interest=None,
            event_time=1617308820003000,
            receive_time=RECEIVED,
        )
    ]


@pytest.mark.parametrize("fields", [{"r": "0.00000000", "T": 0}, {"r": "", "T": 0}])
def test_a_dated_future_has_no_funding(fields: dict[str, Any]) -> None:
    (found,) = parse("btcusdt@markPrice", MARK | fields)
    assert isinstance(found, DerivativeTicker)
    assert (found.funding_rate, found.next_funding_time) == (None, None)


def test_mark_prices_of_all_symbols_are_read_by_symbol() -> None:
    expected = parse("btcusdt@markPrice", MARK)
    assert parse("!markPrice@arr", [MARK | {"s": "SOLUSDT"}, MARK]) == expected


def test_a_liquidation_counts_what_was_executed() -> None:
    assert parse("btcusdt@forceOrder", force_order()) == [
        Liquidation(
            venue="binance",
            symbol="BTC/USDT:USDT",
            side="buy",
            price=4706.04,
            size=0.014,
            raw_size=None,
            event_time=1584059031421000,
            receive_time=RECEIVED,
        )
    ]
    assert parse("btcusdt@forceOrder", force_order(X="NEW", z="0", ap="0")) == []
    assert parse("!forceOrder@arr", force_order()) == parse("btcusdt@forceOrder", force_order())


@pytest.mark.parametrize(
    ("reason", "stream", "data"),
    [
        *(("price", "markPrice@1s", MARK | {"p": bad}) for bad in ("NaN", "0", "-1", "1e308", "1,2")),
        *(("number", "markPrice@1s", MARK | {"r": bad}) for bad in ("NaN", "inf", "1e308", "1,2")),
        ("price", "markPrice@1s", MARK | {"i": "nan"}),
        ("time", "markPrice@1s", MARK | {"T": 1617321600}),
        ("time", "markPrice@1s", MARK | {"E": 0}),
        ("shape", "markPrice@1s", MARK | {"p": 1.0}),
        *(("price", "forceOrder", force_order(ap=bad)) for bad in ("NaN", "0", "-1", "1e308", "1,2")),
        *(("size", "forceOrder", force_order(z=bad)) for bad in ("NaN", "-1", "1e308", "1,2")),
        ("side", "forceOrder", force_order(S="LONG")),
        ("time", "forceOrder", force_order(T=0)),
        ("shape", "forceOrder", force_order(z=1)),
        ("id", "depth@100ms", DEPTH | {"pu": -2}),
        ("time", "depth@100ms", DEPTH | {"T": 1}),
    ],
)
def test_a_message_that_breaks_a_rule_is_refused(reason: str, stream: str, data: dict[str, Any]) -> None:
    frame = json.dumps({"stream": f"btcusdt@{stream}", "data": data}).encode()
    with pytest.raises(BadRecord) as refused:
        usdm().parse(frame, RECEIVED)
    assert refused.value.reason == reason


def test_streams_are_split_over_two_paths() -> None:
    paths = {stream.name.partition("@")[2]: stream.path for stream in usdm().streams()}
    assert paths == {
        "bookTicker": "/public/stream",
        "depth@100ms": "/public/stream",
        "trade": "/public/stream",
        "ticker": "/market/stream",
        "kline_1m": "/market/stream",
        "markPrice@1s": "/market/stream",
        "forceOrder": "/market/stream",
    }
    assert usdm(aggregated=True).streams()[-1].path == "/market/stream"


@pytest.mark.parametrize(
    ("venue_symbol", "symbol", "kind"),
    [
        ("BTCUSDT", "BTC/USDT:USDT", "perpetual"),
        ("BTCUSDC", "BTC/USDC:USDC", "perpetual"),
        ("ETHBTC", "ETH/BTC:BTC", "perpetual"),
        ("1000SHIBUSDT", "1000SHIB/USDT:USDT", "perpetual"),
        ("BTCUSDT_210625", "BTC/USDT:USDT-210625", "future"),
    ],
)
def test_symbols_name_what_they_settle_in_and_when(venue_symbol: str, symbol: str, kind: str) -> None:
    found = BinanceUsdM.guess(venue_symbol)
    assert isinstance(found, Instrument)
    assert (found.symbol, found.kind, found.multiplier) == (symbol, kind, 1.0)
    assert BinanceUsdM.venue_symbol(symbol) == venue_symbol


@pytest.mark.parametrize("venue_symbol", ["BTCUSD_PERP", "BTCUSD_210625", "USDT", "NOTHING"])
def test_names_of_other_markets_tell_nothing(venue_symbol: str) -> None:
    assert BinanceUsdM.guess(venue_symbol) is None


def test_a_dated_future_has_streams_of_its_own() -> None:
    futures = usdm("BTCUSDT", "BTCUSDT_210625")
    assert futures.streams()[-1].name == "btcusdt_210625@trade"
    frame = json.dumps({"stream": "btcusdt_210625@trade", "data": TRADE | {"s": "BTCUSDT_210625"}}).encode()
    (trade,) = futures.parse(frame, RECEIVED)
    assert isinstance(trade, Trade)
    assert trade.symbol == "BTC/USDT:USDT-210625"


def test_open_interest_is_asked_for_symbol_by_symbol() -> None:
    futures = usdm("BTCUSDT", "ETHUSDT")
    polls = futures.polls()
    assert [poll.call.path for poll in polls] == [
        "/fapi/v1/openInterest?symbol=BTCUSDT",
        "/fapi/v1/openInterest?symbol=ETHUSDT",
    ]
    body = b'{"openInterest":"10659.509","symbol":"BTCUSDT","time":1589437530011}'
    (found,) = futures.read(polls[0].call, body, RECEIVED)
    assert isinstance(found, DerivativeTicker)
    assert (found.open_interest, found.mark_price) == (10659.509, None)
    with pytest.raises(BadRecord, match="expected symbol ETHUSDT"):
        futures.read(polls[1].call, body, RECEIVED)
    assert BinanceUsdM(futures.instruments.values(), ["trades"]).polls() == []
