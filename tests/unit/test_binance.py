"""Binance spot: recorded frames become records, what breaks a rule is refused with its reason."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from producers.capture import CaptureReader
from producers.exchange import BadRecord, Control, exchange_class
from producers.exchanges.binance import BinanceSpot
from schemas.errors import ConfigurationError
from schemas.records import Quote, Trade

RECEIVED = 1_723_161_256_000_000

TRADE = {
    "e": "trade",
    "E": 1723161255343,
    "s": "BTCUSDT",
    "t": 3735683259,
    "p": "61837.63000000",
    "q": "0.02000000",
    "T": 1723161255342,
    "m": True,
    "M": True,
}
AGGREGATED = {
    "e": "aggTrade",
    "E": 1616176861895,
    "s": "BTCUSDT",
    "a": 640283266,
    "p": "58942.01000000",
    "q": "0.00035600",
    "f": 716849523,
    "l": 716849523,
    "T": 1616176861893,
    "m": False,
    "M": True,
}
BOOK_TICKER = {
    "u": 50093239212,
    "s": "BTCUSDT",
    "b": "61837.63000000",
    "B": "3.78826000",
    "a": "61837.64000000",
    "A": "1.54698000",
}


@pytest.fixture
def binance() -> BinanceSpot:
    return BinanceSpot({"BTC/USDT": "BTCUSDT", "ETH/USDT": "ETHUSDT"})


def combined(stream: str, data: dict[str, Any]) -> bytes:
    return json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode()


def raw(data: dict[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()


def changed(**fields: Any) -> bytes:
    return combined("btcusdt@trade", TRADE | fields)


def test_a_trade_whose_buyer_is_the_maker_was_sold(binance: BinanceSpot) -> None:
    (trade,) = binance.parse(combined("btcusdt@trade", TRADE), RECEIVED)
    assert trade == Trade(
        venue="binance",
        symbol="BTC/USDT",
        trade_id="3735683259",
        sequence=3735683259,
        price=61837.63,
        size=0.02,
        side="sell",
        event_time=1723161255342000,
        receive_time=RECEIVED,
    )


def test_an_aggregated_trade_counts_by_its_own_id() -> None:
    binance = BinanceSpot({"BTC/USDT": "BTCUSDT"}, ["BTC/USDT"])
    (trade,) = binance.parse(combined("btcusdt@aggTrade", AGGREGATED), RECEIVED)
    assert isinstance(trade, Trade)
    assert (trade.trade_id, trade.sequence, trade.side) == ("640283266", 640283266, "buy")
    assert trade.event_time == 1616176861893000


def test_best_bid_and_ask_have_no_time_of_their_own(binance: BinanceSpot) -> None:
    (quote,) = binance.parse(combined("btcusdt@bookTicker", BOOK_TICKER), RECEIVED)
    assert quote == Quote(
        "binance", "BTC/USDT", 61837.63, 3.78826, 61837.64, 1.54698, 50093239212, None, RECEIVED
    )


def test_an_empty_side_of_the_book_has_no_price(binance: BinanceSpot) -> None:
    empty = BOOK_TICKER | {"b": "0.00000000", "B": "0.00000000"}
    (quote,) = binance.parse(combined("btcusdt@bookTicker", empty), RECEIVED)
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.bid_size, quote.ask) == (None, 0.0, 61837.64)


@pytest.mark.parametrize(("stream", "data"), [("btcusdt@trade", TRADE), ("btcusdt@bookTicker", BOOK_TICKER)])
def test_raw_combined_and_reordered_frames_say_the_same(
    binance: BinanceSpot, stream: str, data: dict[str, Any]
) -> None:
    expected = binance.parse(combined(stream, data), RECEIVED)
    reordered = json.dumps({"data": data, "stream": stream}).encode()
    assert binance.parse(raw(data), RECEIVED) == expected
    assert binance.parse(reordered, RECEIVED) == expected
    assert binance.parse(combined(stream, data).decode(), RECEIVED) == expected


def test_times_may_come_in_microseconds(binance: BinanceSpot) -> None:
    (trade,) = binance.parse(changed(T=1723161255342123), RECEIVED)
    assert isinstance(trade, Trade)
    assert trade.event_time == 1723161255342123


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        ("price", {"p": "NaN"}),
        ("price", {"p": "Infinity"}),
        ("price", {"p": "-inf"}),
        ("price", {"p": "0"}),
        ("price", {"p": "0.00000000"}),
        ("price", {"p": "-1.5"}),
        ("price", {"p": "1e308"}),
        ("price", {"p": "9" * 400}),
        ("price", {"p": "1,234.5"}),
        ("price", {"p": "1_000"}),
        ("price", {"p": " 1.5"}),
        ("price", {"p": "1.5.1"}),
        ("price", {"p": ""}),
        ("price", {"p": "."}),
        ("price", {"p": "١٢"}),
        ("size", {"q": "-0.1"}),
        ("size", {"q": "nan"}),
        ("size", {"q": "1e5"}),
        ("shape", {"p": 61837.63}),
        ("shape", {"p": None}),
        ("shape", {"t": "3735683259"}),
        ("shape", {"m": "true"}),
        ("id", {"t": 2**70}),
        ("id", {"t": -1}),
        ("time", {"T": 0}),
        ("time", {"T": 1723161255}),
        ("time", {"T": 1723161255342123456}),
        ("time", {"T": -5}),
        ("symbol", {"s": "ETHUSDT"}),
        ("symbol", {"s": "btcusdt"}),
    ],
)
def test_a_bad_value_is_refused_with_its_reason(
    binance: BinanceSpot, reason: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(BadRecord) as refused:
        binance.parse(changed(**fields), RECEIVED)
    assert refused.value.reason == reason
    assert "expected" in str(refused.value)


@pytest.mark.parametrize("name", ["s", "t", "p", "q", "T", "m"])
def test_a_missing_field_is_refused(binance: BinanceSpot, name: str) -> None:
    data = {key: value for key, value in TRADE.items() if key != name}
    with pytest.raises(BadRecord) as refused:
        binance.parse(combined("btcusdt@trade", data), RECEIVED)
    assert refused.value.reason == "shape"


@pytest.mark.parametrize(
    "frame", [b"", b"{", b"\xff\xfe", b"nonsense", combined("btcusdt@trade", TRADE)[:-3]]
)
def test_what_is_not_json_is_refused(binance: BinanceSpot, frame: bytes) -> None:
    with pytest.raises(BadRecord) as refused:
        binance.parse(frame, RECEIVED)
    assert refused.value.reason == "json"


def test_a_symbol_that_was_not_asked_for_is_refused(binance: BinanceSpot) -> None:
    with pytest.raises(BadRecord) as refused:
        binance.parse(combined("solusdt@trade", TRADE | {"s": "SOLUSDT"}), RECEIVED)
    assert refused.value.reason == "symbol"


def test_single_trades_of_an_aggregated_symbol_are_not_used() -> None:
    binance = BinanceSpot({"BTC/USDT": "BTCUSDT"}, ["BTC/USDT"])
    assert binance.parse(combined("btcusdt@trade", TRADE), RECEIVED) == ()


def test_other_channels_are_passed_over(binance: BinanceSpot) -> None:
    depth = {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": 1, "u": 2, "b": [], "a": [["1.0", "2.0"]]}
    assert binance.parse(combined("btcusdt@depth@100ms", depth), RECEIVED) == ()
    assert binance.parse(raw(depth), RECEIVED) == ()


def test_answers_and_notices_are_about_the_connection(binance: BinanceSpot) -> None:
    assert binance.parse(b'{"result":null,"id":7}', 0) == (Control("accepted", 7),)
    (refused,) = binance.parse(b'{"error":{"code":2,"msg":"Invalid request"},"id":8}', 0)
    assert refused == Control("refused", 8, "2: Invalid request")
    (refused,) = binance.parse(b'{"code":1,"msg":"Invalid value type","id":9}', 0)
    assert refused == Control("refused", 9, "1: Invalid value type")
    (notice,) = binance.parse(b'{"e":"serverShutdown","E":1770123456789}', 0)
    assert isinstance(notice, Control)
    assert notice.kind == "shutdown"


@pytest.mark.parametrize(
    ("text", "inexact"),
    [
        ("61837.63000000", False),
        ("0.00000001", False),
        ("0.100000000000000000", False),
        ("0.12345678901234567890", True),
        ("123456789012345.678", True),
        ("9007199254740993", True),
        ("9007199254740992", False),
    ],
)
def test_a_number_that_a_double_cannot_hold_is_flagged(
    binance: BinanceSpot, text: str, inexact: bool
) -> None:
    (trade,) = binance.parse(changed(q=text), RECEIVED)
    assert isinstance(trade, Trade)
    assert trade.inexact is inexact


def test_trades_come_from_one_stream_for_each_symbol_and_last() -> None:
    binance = BinanceSpot({"BTC/USDT": "BTCUSDT", "NKN/USDT": "NKNUSDT"}, ["NKN/USDT"])
    assert binance.streams(quotes=True) == [
        "btcusdt@bookTicker",
        "nknusdt@bookTicker",
        "btcusdt@trade",
        "nknusdt@aggTrade",
    ]
    assert binance.streams(quotes=False) == ["btcusdt@trade", "nknusdt@aggTrade"]
    assert json.loads(binance.subscription(["a@trade"], 3)) == {
        "method": "SUBSCRIBE",
        "params": ["a@trade"],
        "id": 3,
    }


def test_aggregated_symbols_must_be_among_the_symbols() -> None:
    with pytest.raises(ConfigurationError, match="ETH/USDT"):
        BinanceSpot({"BTC/USDT": "BTCUSDT"}, ["ETH/USDT"])


@pytest.mark.parametrize(
    ("venue_symbol", "unified"),
    [
        ("BTCUSDT", "BTC/USDT"),
        ("ETHBTC", "ETH/BTC"),
        ("TUSDUSDT", "TUSD/USDT"),
        ("BTCFDUSD", "BTC/FDUSD"),
        ("1000SATSUSDT", "1000SATS/USDT"),
        ("USDCTRY", "USDC/TRY"),
        ("ADAEUR", "ADA/EUR"),
        ("BTCAEUR", "BTC/AEUR"),
        ("AVAXUSD", "AVAX/USD"),
        ("BTCGYEN", "BTC/GYEN"),
        ("BTCU", "BTC/U"),
        ("USDT", None),
        ("NOTHING", None),
    ],
)
def test_unified_symbols_follow_from_the_quote_asset(venue_symbol: str, unified: str | None) -> None:
    assert BinanceSpot.unified_symbol(venue_symbol) == unified
    if unified is not None:
        assert BinanceSpot.venue_symbol(unified) == venue_symbol


def test_unified_symbols_are_those_of_a_recorded_instrument_list(captures: Path) -> None:
    for entry in CaptureReader(captures / "binance-spot-2021.capture.gz"):
        if entry.rest is not None and BinanceSpot.instruments_path in entry.rest.url:
            listed = BinanceSpot.instruments(bytes(entry.rest.body))
            found = {unified: BinanceSpot.unified_symbol(name) for unified, name in listed.items()}
            assert len(found) == 1_695
            assert {unified: told for unified, told in found.items() if told != unified} == {}
            return
    pytest.fail("the capture has no instrument list")


def test_symbols_may_hold_letters_beyond_ascii() -> None:
    binance = BinanceSpot({"币安人生/USDT": "币安人生USDT"})
    frame = combined("币安人生usdt@trade", TRADE | {"s": "币安人生USDT"})
    (trade,) = binance.parse(json.dumps(json.loads(frame), ensure_ascii=False, separators=(",", ":")), 1)
    (escaped,) = binance.parse(frame, 1)
    assert trade == escaped
    assert isinstance(trade, Trade)
    assert trade.symbol == "币安人生/USDT"


def test_the_instrument_list_names_base_and_quote() -> None:
    listed = {"symbol": "ETHBTC", "status": "TRADING", "baseAsset": "ETH", "quoteAsset": "BTC"}
    body = json.dumps({"timezone": "UTC", "symbols": [listed]}).encode()
    assert BinanceSpot.instruments(body) == {"ETH/BTC": "ETHBTC"}
    with pytest.raises(BadRecord):
        BinanceSpot.instruments(b"<html>busy</html>")


def test_unknown_venues_are_named_with_those_that_exist() -> None:
    with pytest.raises(ConfigurationError, match="binance spot"):
        exchange_class("kraken")
    with pytest.raises(ConfigurationError, match="usdm"):
        exchange_class("binance", "usdm")
    assert exchange_class("Binance") is BinanceSpot


def test_every_recorded_sample_of_spot_is_read_or_passed_over(captures: Path) -> None:
    binance = BinanceSpot({"BTC/USDT": "BTCUSDT", "BNB/BTC": "BNBBTC"})
    lines = (captures / "samples" / "tardis_binance.jsonl").read_text("utf-8").splitlines()
    records: list[Any] = []
    for line in lines:
        stream = json.loads(line).get("stream", "")
        if stream.startswith(("btcusdt@", "bnbbtc@")):
            records += binance.parse(line, RECEIVED)
    assert {type(record) for record in records} == {Trade, Quote}


def test_every_number_of_a_recorded_day_survives(captures: Path) -> None:
    binance = BinanceSpot({"BTC/USDT": "BTCUSDT"})
    counts = {Trade: 0, Quote: 0}
    with gzip.open(captures / "binance-spot-btcusdt.capture.gz", "rb") as lines:
        next(lines)
        for line in lines:
            frame = line.rstrip(b"\n").partition(b" ")[2]
            if frame.startswith(b'{"rest"') or b"@depth" in frame[:40]:
                continue
            (record,) = binance.parse(frame, RECEIVED)
            data = json.loads(frame)["data"]
            if isinstance(record, Trade):
                expected: tuple[Any, ...] = (float(data["p"]), float(data["q"]), data["t"], data["T"] * 1000)
                assert (record.price, record.size, record.sequence, record.event_time) == expected
            else:
                assert isinstance(record, Quote)
                expected = (float(data["b"]), float(data["B"]), float(data["a"]), float(data["A"]), data["u"])
                assert (record.bid, record.bid_size, record.ask, record.ask_size, record.sequence) == expected
            assert not record.inexact
            counts[type(record)] += 1
    assert counts == {Trade: 19_904, Quote: 73_174}
