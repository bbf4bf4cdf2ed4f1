"""Binance's trades, quotes, streams and control frames; what breaks a rule is refused with its reason."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from producers.exchange import BadRecord, Control, Stream
from producers.exchanges.binance.spot import BinanceSpot
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


def spot(*venue_symbols: str, aggregated: bool = False) -> BinanceSpot:
    found = [BinanceSpot.guess(name) for name in venue_symbols]
    instruments = [instrument for instrument in found if instrument is not None]
    assert len(instruments) == len(venue_symbols)
    return BinanceSpot(instruments, aggregated=[each.symbol for each in instruments] if aggregated else ())


@pytest.fixture
def binance() -> BinanceSpot:
    return spot("BTCUSDT", "ETHUSDT")


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
    binance = spot("BTCUSDT", aggregated=True)
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


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (combined("btcusdt@trade", TRADE)[:-3], "json"),
        (combined("btcusdt@trade", TRADE | {"t": "1"}), "shape"),
        (combined("btcusdt@trade", TRADE | {"s": "ETHUSDT"}), "symbol"),
        (b'{"stream":"btcusdt@trade","data":[]}', None),
        (b'{"stream":"btcusdt@trade"', "json"),
        (b'{"stream":"btcusdt@trade', "json"),
    ],
)
def test_a_stream_that_is_known_refuses_with_the_same_reasons(
    binance: BinanceSpot, frame: bytes, reason: str | None
) -> None:
    binance.parse(combined("btcusdt@trade", TRADE), RECEIVED)
    if reason is None:
        assert list(binance.parse(frame, RECEIVED)) == []
        return
    with pytest.raises(BadRecord) as refused:
        binance.parse(frame, RECEIVED)
    assert refused.value.reason == reason


def test_a_symbol_that_was_not_asked_for_is_refused(binance: BinanceSpot) -> None:
    with pytest.raises(BadRecord) as refused:
        binance.parse(combined("solusdt@trade", TRADE | {"s": "SOLUSDT"}), RECEIVED)
    assert refused.value.reason == "symbol"


def test_single_trades_of_an_aggregated_symbol_are_not_used() -> None:
    binance = spot("BTCUSDT", aggregated=True)
    assert binance.parse(combined("btcusdt@trade", TRADE), RECEIVED) == ()


def test_other_channels_are_passed_over(binance: BinanceSpot) -> None:
    depth = {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": 1, "u": 2, "b": [], "a": [["1.0", "2.0"]]}
    assert binance.parse(combined("btcusdt@depth@100ms", depth), RECEIVED) == ()
    assert binance.parse(raw(depth), RECEIVED) == ()
    assert binance.parse(combined("btcusdt@avgPrice", {"e": "avgPrice", "s": "BTCUSDT"}), RECEIVED) == ()
    assert binance.parse(raw({"e": "contractInfo", "E": 1, "s": "BTCUSDT"}), RECEIVED) == ()


def test_answers_and_notices_are_about_the_connection(binance: BinanceSpot) -> None:
    assert binance.parse(b'{"result":null,"id":7}', 0) == (Control("accepted", 7),)
    (refused,) = binance.parse(b'{"error":{"code":2,"msg":"Invalid request"},"id":8}', 0)
    assert refused == Control("refused", 8, "2: Invalid request")
    (refused,) = binance.parse(b'{"code":1,"msg":"Invalid value type","id":9}', 0)
    assert refused == Control("refused", 9, "1: Invalid value type")
    (refused,) = binance.parse(b'{"code":3,"msg":"Invalid JSON"}', 0)
    assert refused == Control("refused", None, "3: Invalid JSON")
    assert binance.parse(b'{"result":["btcusdt@trade"],"id":10}', 0) == ()


@pytest.mark.parametrize("stream", [None, "!serverShutdown"])
def test_the_server_announces_its_end(binance: BinanceSpot, stream: str | None) -> None:
    event = {"e": "serverShutdown", "E": 1770123456789}
    (notice,) = binance.parse(raw(event) if stream is None else combined(stream, event), 0)
    assert isinstance(notice, Control)
    assert notice.kind == "shutdown"


@pytest.mark.parametrize(
    "frame",
    [b"{}", b'{"stream":"btcusdt@trade"}', b'{"e":"trade"}', b"7", b'{"stream":"btcusdt@trade","data":null}'],
)
def test_a_frame_of_no_known_kind_is_refused(binance: BinanceSpot, frame: bytes) -> None:
    with pytest.raises(BadRecord) as refused:
        binance.parse(frame, 0)
    assert refused.value.reason == "shape"


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
    binance = BinanceSpot(spot("BTCUSDT", "NKNUSDT").instruments.values(), aggregated=["NKN/USDT"])
    assert binance.streams() == [
        Stream("btcusdt@bookTicker", "quotes", "BTC/USDT", "/stream"),
        Stream("nknusdt@bookTicker", "quotes", "NKN/USDT", "/stream"),
        Stream("btcusdt@trade", "trades", "BTC/USDT", "/stream"),
        Stream("nknusdt@aggTrade", "aggregated_trades", "NKN/USDT", "/stream"),
    ]
    assert [stream.name for stream in binance.streams(["NKN/USDT"])] == [
        "nknusdt@bookTicker",
        "nknusdt@aggTrade",
    ]


def test_every_channel_has_its_stream() -> None:
    binance = BinanceSpot(spot("BTCUSDT").instruments.values(), BinanceSpot.channels_available, (), "5m")
    names = ["bookTicker", "depth@100ms", "ticker", "kline_5m", "trade"]
    assert [stream.name for stream in binance.streams()] == [f"btcusdt@{name}" for name in names]
    assert [BinanceSpot.channel_of(stream.name) for stream in binance.streams()] == [
        (stream.channel, "BTCUSDT") for stream in binance.streams()
    ]


def test_books_alone_bring_no_trades() -> None:
    binance = BinanceSpot(spot("BTCUSDT").instruments.values(), ["books"])
    assert [stream.channel for stream in binance.streams()] == ["books"]
    assert binance.parse(combined("btcusdt@trade", TRADE), RECEIVED) == ()


def test_many_streams_are_asked_for_in_numbered_messages() -> None:
    binance = spot(*(f"X{number}USDT" for number in range(150)))
    streams = binance.streams()
    first, second = binance.requests(streams, 7, 0.0)
    assert json.loads(first.text) == {"method": "SUBSCRIBE", "params": list(first.streams), "id": 7}
    assert (first.number, len(first.streams), second.number, len(second.streams)) == (7, 200, 8, 100)
    assert first.streams + second.streams == tuple(stream.name for stream in streams)
    (leave,) = binance.requests(streams[:1], 9, 0.0, subscribe=False)
    assert json.loads(leave.text) == {"method": "UNSUBSCRIBE", "params": ["x0usdt@bookTicker"], "id": 9}


def test_symbols_come_and_go_at_run_time(binance: BinanceSpot) -> None:
    frame = combined("solusdt@trade", TRADE | {"s": "SOLUSDT"})
    instrument = BinanceSpot.guess("SOLUSDT")
    assert instrument is not None
    binance.admit(instrument)
    (trade,) = binance.parse(frame, RECEIVED)
    assert isinstance(trade, Trade)
    assert trade.symbol == "SOL/USDT"
    assert [stream.name for stream in binance.streams()][-1] == "solusdt@trade"
    binance.drop("SOL/USDT")
    with pytest.raises(BadRecord, match="was not asked for"):
        binance.parse(frame, RECEIVED)
    assert len(binance.streams()) == 4


def test_an_aggregated_trade_of_2019_is_told_by_its_range() -> None:
    data = {key: value for key, value in AGGREGATED.items() if key != "a"}
    (trade,) = spot("BTCUSDT", aggregated=True).parse(combined("btcusdt@aggTrade", data), RECEIVED)
    assert isinstance(trade, Trade)
    assert (trade.trade_id, trade.sequence) == ("716849523-716849523", None)


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
    found = BinanceSpot.guess(venue_symbol)
    assert (found.symbol if found else None) == unified
    if unified is not None:
        assert BinanceSpot.venue_symbol(unified) == venue_symbol


def test_symbols_may_hold_letters_beyond_ascii() -> None:
    binance = spot("币安人生USDT")
    data = TRADE | {"s": "币安人生USDT"}
    escaped = combined("币安人生usdt@trade", data)
    plain = json.dumps(json.loads(escaped), ensure_ascii=False, separators=(",", ":")).encode()
    found = [binance.parse(frame, 1)[0] for frame in (plain, plain, escaped, raw(data))]
    assert {trade.symbol for trade in found if isinstance(trade, Trade)} == {"币安人生/USDT"}
    assert found[0] == found[1] == found[2] == found[3]
    assert binance.streams()[-1].name == "币安人生usdt@trade"
    assert BinanceSpot.stream_of(plain) == BinanceSpot.stream_of(escaped) == "币安人生usdt@trade"


def test_every_number_of_a_recorded_day_survives(captures: Path) -> None:
    binance = spot("BTCUSDT")
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
