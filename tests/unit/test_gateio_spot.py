"""Gate.io spot: recorded frames become records, what breaks a rule is refused with its reason."""

import json
from typing import Any

import pytest

from producers.exchange import BadRecord, Control
from producers.exchanges.gateio.spot import GateSpot
from producers.markets import exchange_class
from schemas.errors import ConfigurationError
from schemas.records import ExchangeCandle, Instrument, Quote, Ticker, Trade

RECEIVED = 1_788_336_082_500_000
ALL = ("trades", "quotes", "books", "tickers", "candles")

TRADE = {
    "id": 217831625,
    "id_market": 217831625,
    "create_time": 1788336082,
    "create_time_ms": "1788336082402.208000",
    "side": "sell",
    "currency_pair": "BTC_USDT",
    "amount": "0.000021",
    "price": "77474",
    "range": "217831625-217831625",
}
OLD_TRADE = {
    "id": 816995772,
    "create_time": 1619093543,
    "create_time_ms": "1619093543708.2642",
    "side": "buy",
    "currency_pair": "BTC_USDT",
    "amount": "0.2010000000",
    "price": "121.5800000000",
}
BOOK_TICKER = {
    "t": 1654029559473,
    "u": 6765708346,
    "s": "BTC_USDT",
    "b": "31738.93",
    "B": "2.3039",
    "a": "31738.94",
    "A": "0.335",
}
TICKER = {
    "currency_pair": "BTC_USDT",
    "last": "64043.9",
    "lowest_ask": "64043.95",
    "highest_bid": "64043.8",
    "change_percentage": "-0.4034",
    "base_volume": "5291.366688",
    "quote_volume": "337744396.9986996",
    "high_24h": "64473.5",
    "low_24h": "63234.7",
}
CANDLE = {
    "t": "1662803040",
    "v": "3272.187909",
    "c": "21342.41",
    "h": "21352.26",
    "l": "21342.41",
    "o": "21352.26",
    "n": "1m_BTC_USDT",
    "a": "0.1533",
}


def instrument(name: str) -> Instrument:
    found = GateSpot.guess(name)
    assert found is not None
    return found


def gate(*channels: str) -> GateSpot:
    return GateSpot([instrument("BTC_USDT"), instrument("ETH_USDT")], channels or ALL)


def frame(channel: str, result: Any, **fields: Any) -> bytes:
    envelope = {"time": 1788336082, "time_ms": 1788336082403, "channel": f"spot.{channel}", "event": "update"}
    return json.dumps(envelope | {"result": result} | fields).encode()


@pytest.mark.parametrize("venue", ["gateio", "GateIO", "gate", "gate-io", "Gate.io", "gate-spot"])
def test_the_market_answers_to_its_usual_names(venue: str) -> None:
    assert exchange_class(venue) is GateSpot
    assert exchange_class(venue, "spot") is GateSpot


def test_symbols_go_to_the_venue_and_back() -> None:
    assert GateSpot.venue_symbol("BTC/USDT") == "BTC_USDT"
    assert instrument("QTUM3S_USDT").symbol == "QTUM3S/USDT"
    assert [GateSpot.guess(name) for name in ("BTCUSDT", "_USDT", "BTC_", "BTC_USDT_20251226")] == [None] * 4


def test_a_trade_has_the_takers_side_and_the_number_of_its_market() -> None:
    (trade,) = gate().parse(frame("trades", TRADE), RECEIVED)
    assert trade == Trade(
        "gateio", "BTC/USDT", "217831625", 217831625, 77474.0, 0.000021, "sell", 1788336082402208, RECEIVED
    )


def test_before_2025_trades_had_no_number_of_their_market() -> None:
    (trade,) = gate().parse(frame("trades", OLD_TRADE), RECEIVED)
    assert isinstance(trade, Trade)
    assert (trade.trade_id, trade.sequence, trade.side) == ("816995772", None, "buy")
    assert (trade.event_time, trade.size) == (1619093543708264, 0.201)


def test_numbers_that_a_float_does_not_keep_are_flagged() -> None:
    (trade,) = gate().parse(frame("trades", TRADE | {"amount": "2.048263365803126123"}), RECEIVED)
    assert isinstance(trade, Trade)
    assert trade.inexact


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        ("price", {"price": "NaN"}),
        ("price", {"price": "Infinity"}),
        ("price", {"price": "0"}),
        ("price", {"price": "-1.5"}),
        ("price", {"price": "1e308"}),
        ("price", {"price": 1e308}),
        ("price", {"price": "1,234.5"}),
        ("price", {"price": ""}),
        ("shape", {"price": None}),
        ("size", {"amount": "-0.1"}),
        ("size", {"amount": "nan"}),
        ("shape", {"amount": 5}),
        ("shape", {"side": "Buy"}),
        ("shape", {"currency_pair": None}),
        ("id", {"id": -1}),
        ("id", {"id": "217831625x"}),
        ("id", {"id_market": 2**63}),
        ("time", {"create_time_ms": "0"}),
        ("time", {"create_time_ms": "86400000"}),
        ("time", {"create_time_ms": "yesterday"}),
        ("shape", {"create_time_ms": None}),
    ],
)
def test_bad_values_are_refused_with_their_reason(reason: str, fields: dict[str, Any]) -> None:
    with pytest.raises(BadRecord) as refusal:
        gate().parse(frame("trades", TRADE | fields), RECEIVED)
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    ("reason", "raw"),
    [
        ("json", b"{"),
        ("json", b"\xff\xfe"),
        ("shape", b"[]"),
        ("shape", b"{}"),
        ("shape", b'{"method":"ticker.update","params":[],"id":null}'),
        ("shape", b'{"channel":"spot.trades","event":"update"}'),
        ("shape", b'{"channel":"spot.trades","event":"update","result":[[]]}'),
    ],
)
def test_frames_that_cannot_be_read_are_refused(reason: str, raw: bytes) -> None:
    with pytest.raises(BadRecord) as refusal:
        gate().parse(raw, RECEIVED)
    assert refusal.value.reason == reason


def test_seconds_milliseconds_and_nanoseconds_are_told_apart() -> None:
    for time in ("1788336082.402208", "1788336082402.208", "1788336082402208", "1788336082402208000"):
        (trade,) = gate().parse(frame("trades", TRADE | {"create_time_ms": time}), RECEIVED)
        assert isinstance(trade, Trade)
        assert trade.event_time == 1788336082402208


def test_best_bid_and_ask_carry_the_update_id() -> None:
    (quote,) = gate().parse(frame("book_ticker", BOOK_TICKER), RECEIVED)
    assert quote == Quote(
        "gateio", "BTC/USDT", 31738.93, 2.3039, 31738.94, 0.335, 6765708346, 1654029559473000, RECEIVED
    )


def test_a_side_that_is_empty_has_no_price() -> None:
    (quote,) = gate().parse(frame("book_ticker", BOOK_TICKER | {"a": "", "A": "0"}), RECEIVED)
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.ask, quote.ask_size) == (31738.93, None, 0.0)


def test_a_ticker_takes_its_time_from_the_frame() -> None:
    (ticker,) = gate().parse(frame("tickers", TICKER), RECEIVED)
    assert ticker == Ticker(
        venue="gateio",
        symbol="BTC/USDT",
        last=64043.9,
        bid=64043.8,
        ask=64043.95,
        open=None,
        high=64473.5,
        low=63234.7,
        base_volume=5291.366688,
        quote_volume=337744396.9986996,
        change=None,
        change_percent=-0.4034,
        event_time=1788336082403000,
        receive_time=RECEIVED,
    )
    old = json.loads(frame("tickers", TICKER))
    del old["time_ms"]
    (ticker,) = gate().parse(json.dumps(old).encode(), RECEIVED)
    assert isinstance(ticker, Ticker)
    assert ticker.event_time == 1788336082000000


def test_a_pair_that_was_never_traded_has_no_ticker() -> None:
    never = TICKER | {"last": "0", "high_24h": "0", "low_24h": "0", "lowest_ask": "", "highest_bid": ""}
    assert gate().parse(frame("tickers", never), RECEIVED) == []


def test_tickers_stand_in_for_quotes_that_nobody_subscribed() -> None:
    exchange = gate("tickers")
    ticker, quote = exchange.parse(frame("tickers", TICKER), RECEIVED)
    assert isinstance(ticker, Ticker)
    assert quote == Quote("gateio", "BTC/USDT", 64043.8, 0.0, 64043.95, 0.0, None, 1788336082403000, RECEIVED)
    assert exchange.parse(frame("book_ticker", BOOK_TICKER), RECEIVED) == ()
    assert [type(record) for record in exchange.parse(frame("tickers", TICKER), RECEIVED)] == [Ticker]
    exchange.drop("BTC/USDT")
    exchange.admit(instrument("BTC_USDT"))
    assert len(exchange.parse(frame("tickers", TICKER), RECEIVED)) == 2


def test_the_volume_of_a_candle_is_in_quote_currency() -> None:
    (candle,) = gate().parse(frame("candlesticks", CANDLE | {"w": True}), RECEIVED)
    assert candle == ExchangeCandle(
        venue="gateio",
        symbol="BTC/USDT",
        interval="1m",
        open_time=1662803040_000000,
        close_time=1662803100_000000,
        open=21352.26,
        high=21352.26,
        low=21342.41,
        close=21342.41,
        volume=0.1533,
        quote_volume=3272.187909,
        taker_buy_volume=None,
        trade_count=None,
        first_sequence=None,
        last_sequence=None,
        closed=True,
        event_time=1788336082403000,
        receive_time=RECEIVED,
    )


def test_a_candle_of_2021_says_neither_base_volume_nor_whether_it_is_closed() -> None:
    old = {key: value for key, value in CANDLE.items() if key != "a"}
    (candle,) = gate().parse(frame("candlesticks", old), RECEIVED)
    assert isinstance(candle, ExchangeCandle)
    assert (candle.volume, candle.closed) == (None, None)


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        ("ohlc", {"h": "21342.42"}),
        ("ohlc", {"l": "21342.42"}),
        ("size", {"v": "-1"}),
        ("price", {"o": "0"}),
        ("time", {"t": "0"}),
        ("shape", {"n": "2m_BTC_USDT"}),
    ],
)
def test_candles_that_do_not_fit_are_refused(reason: str, fields: dict[str, Any]) -> None:
    with pytest.raises(BadRecord) as refusal:
        gate().parse(frame("candlesticks", CANDLE | fields), RECEIVED)
    assert refusal.value.reason == reason


def test_frames_of_symbols_and_channels_that_are_not_fed_are_nobodys() -> None:
    assert list(gate().parse(frame("trades", TRADE | {"currency_pair": "SOL_USDT"}), RECEIVED)) == []
    assert gate().parse(frame("book_ticker", BOOK_TICKER | {"s": "SOL_USDT"}), RECEIVED) == ()
    assert gate("quotes").parse(frame("trades", TRADE), RECEIVED) == ()
    assert gate().parse(frame("orders", []), RECEIVED) == ()
    assert gate().parse(b'{"rest":{"method":"GET","url":"https://a.b/c","body":{}}}', RECEIVED) == ()


def test_only_candles_that_the_venue_has_can_be_fed() -> None:
    with pytest.raises(ConfigurationError, match="has no candles of '7m'"):
        GateSpot([instrument("BTC_USDT")], ["candles"], candle_interval="7m")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"event": "subscribe", "result": {"status": "success"}}, Control("accepted", None)),
        ({"event": "subscribe", "id": 3, "result": {"status": "success"}}, Control("accepted", 3)),
        ({"event": "unsubscribe", "id": 4, "error": None, "result": None}, Control("accepted", 4)),
        (
            {"event": "subscribe", "id": 5, "result": {"status": "fail"}},
            Control("refused", 5, "spot.obu: fail"),
        ),
        (
            {
                "event": "subscribe",
                "id": 6,
                "error": {"code": 2, "message": "Alert sub ob.BTC_USDT.400"},
                "result": {"status": "fail"},
            },
            Control("refused", 6, "2: Alert sub ob.BTC_USDT.400"),
        ),
    ],
)
def test_answers_to_requests_are_told_by_their_error(answer: dict[str, Any], expected: Control) -> None:
    raw = json.dumps({"time": 1611541000, "channel": "spot.obu"} | answer).encode()
    assert gate().parse(raw, RECEIVED) == (expected,)
    assert GateSpot.stream_of(raw) is None


def test_the_server_answers_heartbeats_and_announces_its_end() -> None:
    exchange = gate()
    assert json.loads(exchange.heartbeat(1611541000.9)) == {"time": 1611541000, "channel": "spot.ping"}
    pong = b'{"time":1545404023,"channel":"spot.pong","event":"","error":null,"result":null}'
    assert exchange.parse(pong, RECEIVED) == (Control("alive", None),)
    words = "The connection will soon be closed for a service upgrade. Please reconnect."
    end = frame("system", {"type": "upgrade", "msg": words})
    assert exchange.parse(end, RECEIVED) == (Control("shutdown", None, words),)
    assert exchange.parse(frame("system", {"type": "else", "msg": ""}), RECEIVED) == ()
