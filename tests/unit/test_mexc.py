"""MEXC spot: frames of the recorded values become records, what breaks a rule is refused with its reason."""

import json
from pathlib import Path

import pytest

from producers.exchange import CHANNELS, Call
from producers.exchanges.mexc.messages import frame_of
from producers.exchanges.mexc.spot import MexcSpot
from schemas.records import BookUpdate, ExchangeCandle, Quote, Ticker, Trade
from tests.mexc_frames import (
    BEST,
    BOOK_TICKER,
    CANDLE,
    CHANGE,
    DAY,
    DEALS,
    DEPTH,
    KLINE,
    RECEIVED,
    TICKER,
    deals,
    frame,
    ids,
    instruments,
    reason,
)


@pytest.fixture
def mexc() -> MexcSpot:
    return MexcSpot(instruments("BTCUSDT", "ETHUSDT"), CHANNELS)


def test_a_trade_of_type_2_was_sold(mexc: MexcSpot) -> None:
    (trade,) = mexc.parse(deals({}), RECEIVED)
    assert trade == Trade(
        venue="mexc",
        symbol="BTC/USDT",
        trade_id="1782208006167-sell-62383.56-8.235e-05-0",
        sequence=None,
        price=62383.56,
        size=0.00008235,
        side="sell",
        event_time=1782208006167000,
        receive_time=RECEIVED,
    )


def test_best_bid_and_ask_have_the_version_of_the_book(mexc: MexcSpot) -> None:
    (quote,) = mexc.parse(frame(BOOK_TICKER, "publicAggreBookTicker", BEST), RECEIVED)
    assert quote == Quote(
        "mexc",
        "BTC/USDT",
        62383.56,
        0.07956651,
        62383.57,
        0.09556,
        74891313262,
        1782208006171000,
        RECEIVED,
    )


def test_an_empty_side_of_the_book_has_no_price(mexc: MexcSpot) -> None:
    empty = BEST | {"askPrice": "", "askQuantity": "", "version": ""}
    (quote,) = mexc.parse(frame(BOOK_TICKER, "publicAggreBookTicker", empty), RECEIVED)
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.ask, quote.ask_size, quote.sequence) == (62383.56, None, 0.0, None)


def test_a_change_of_the_book_covers_its_versions(mexc: MexcSpot) -> None:
    (update,) = mexc.parse(frame(DEPTH, "publicAggreDepths", CHANGE), RECEIVED)
    assert update == BookUpdate(
        "mexc",
        "BTC/USDT",
        "delta",
        74891313263,
        74891313265,
        None,
        [61759.73],
        [0.0001778],
        [61760.1],
        [0.0],
        None,
        1782208006171000,
        RECEIVED,
    )


def test_a_ticker_has_volumes_in_both_currencies(mexc: MexcSpot) -> None:
    (ticker,) = mexc.parse(frame(TICKER, "publicMiniTicker", DAY), RECEIVED)
    assert isinstance(ticker, Ticker)
    assert (ticker.last, ticker.high, ticker.low) == (2.5174, 2.6299, 2.302)
    assert (ticker.base_volume, ticker.quote_volume) == (4638390.17, 11336518.0264)
    assert (ticker.open, ticker.change, ticker.change_percent) == (None, None, -7.66)


def test_a_candle_spans_its_window(mexc: MexcSpot) -> None:
    (candle,) = mexc.parse(
        frame(KLINE, "publicSpotKline", CANDLE, sendTime=0, createTime="1736410707571"), RECEIVED
    )
    assert isinstance(candle, ExchangeCandle)
    assert (candle.interval, candle.open_time, candle.close_time) == (
        "15m",
        1736410500000000,
        1736411400000000,
    )
    assert (candle.open, candle.high, candle.low, candle.close) == (92925.0, 93158.47, 92800.0, 93158.47)
    assert (candle.volume, candle.quote_volume, candle.closed) == (36.83803224, 3424811.05, None)
    assert candle.event_time == 1736410707571000


def test_channels_that_are_not_fed_are_nobodys() -> None:
    mexc = MexcSpot(instruments("BTCUSDT"), ["quotes"])
    assert mexc.parse(deals({}), RECEIVED) == ()
    assert len(mexc.parse(frame(BOOK_TICKER, "publicAggreBookTicker", BEST), RECEIVED)) == 1


def test_frames_without_a_body_say_nothing(mexc: MexcSpot) -> None:
    assert mexc.parse(frame_of({"channel": DEALS, "symbol": "BTCUSDT"}), RECEIVED) == ()
    assert mexc.parse(frame_of({"channel": "spot@private.orders.v3.api.pb"}), RECEIVED) == ()


def test_fields_that_the_venue_adds_pass_by(mexc: MexcSpot) -> None:
    added = bytes.fromhex("c00c01ca0c03616263")
    assert mexc.parse(deals({}) + added, RECEIVED) == mexc.parse(deals({}), RECEIVED)


def test_all_samples_are_read_the_same_from_protobuf_and_from_its_json_form(captures: Path) -> None:
    counts: dict[type, int] = {}
    for name in ("tardis_mexc_messages", "tardis_mexc_live_captured_messages"):
        for line in (captures / "samples" / f"{name}.jsonl").read_text().splitlines():
            text, binary = (MexcSpot(instruments("BTCUSDT", "XENUSDT"), CHANNELS) for _ in range(2))
            records = text.parse(line.encode(), RECEIVED)
            sample = json.loads(line)
            if "channel" in sample:
                assert binary.parse(frame_of(sample), RECEIVED) == records
                assert MexcSpot.stream_of(frame_of(sample)) == MexcSpot.stream_of(line.encode())
            for record in records:
                counts[type(record)] = counts.get(type(record), 0) + 1
    assert counts == {Trade: 7, BookUpdate: 6, Quote: 3}


def test_samples_of_the_interface_that_has_ended_are_nobodys(captures: Path, mexc: MexcSpot) -> None:
    """Its symbols, channels and shapes were others; no server sends them since 2023."""
    spot = 0
    for line in (captures / "samples" / "cmp_mexc.jsonl").read_text().splitlines():
        sample = json.loads(line)
        raw = sample["raw"]
        is_stream = isinstance(raw, list) or "channel" in raw
        if sample["test"].startswith("spot") and is_stream:
            assert mexc.parse(json.dumps(raw).encode(), RECEIVED) == ()
            assert MexcSpot.stream_of(json.dumps(raw).encode()) is None
            spot += 1
    assert spot == 7


# ids of trades


def test_trades_that_are_equal_in_all_are_counted(mexc: MexcSpot) -> None:
    first, other, second = ids(mexc, deals({}, {"tradeType": 1}, {}))
    assert first.endswith("-0")
    assert other.endswith("-0")
    assert second == first.removesuffix("0") + "1"


def test_a_frame_that_comes_twice_gives_the_same_ids(mexc: MexcSpot) -> None:
    assert ids(mexc, deals({}, {})) == ids(mexc, deals({}, {}))
    named = deals({"tradeId": "7X0_8X0"}, {"tradeId": "7X0_9X0"})
    assert ids(mexc, named) == ids(mexc, named)


def test_equal_trades_in_two_frames_are_told_apart_by_the_id_of_the_venue(mexc: MexcSpot) -> None:
    (first,) = ids(mexc, deals({"tradeId": "7X0_8X0"}))
    (second,) = ids(mexc, deals({"tradeId": "7X0_9X0"}))
    assert (first[-2:], second[-2:]) == ("-0", "-1")
    assert ids(mexc, deals({"tradeId": "7X0_8X0"})) == [first]


def test_equal_trades_of_two_symbols_are_counted_apart(mexc: MexcSpot) -> None:
    (bitcoin,) = ids(mexc, deals({"tradeId": "7X0_8X0"}))
    (ether,) = ids(mexc, deals({"tradeId": "1X0_2X0"}, symbol="ETHUSDT", channel=DEALS.replace("BTC", "ETH")))
    assert bitcoin == ether


def test_rest_gives_the_same_ids_as_the_stream(mexc: MexcSpot) -> None:
    streamed = ids(mexc, deals({"tradeId": "7X0_8X0"}, {"tradeId": "7X0_9X0"}, {"price": "62383.6"}))
    call = mexc.trades_call("BTC/USDT", None, None)
    assert call == Call("trades", "/api/v3/trades?symbol=BTCUSDT&limit=1000", 5, "BTC/USDT")
    rows = [
        {"id": None, "price": price, "qty": "0.000082350", "time": 1782208006167, "isBuyerMaker": True}
        for price in ("62383.60", "62383.56", "62383.56")
    ]
    found = mexc.read(call, json.dumps(rows).encode(), RECEIVED)
    assert all(isinstance(trade, Trade) and trade.backfilled for trade in found)
    assert {trade.trade_id for trade in found if isinstance(trade, Trade)} == set(streamed)


# what is refused


@pytest.mark.parametrize("price", ["", "0", "-1", "nan", "inf", "1e308", "1,234.5", "0x1", "\u0661"])
def test_prices_that_are_none_are_refused(mexc: MexcSpot, price: str) -> None:
    assert reason(mexc, deals({"price": price})) == "price"
    assert reason(mexc, frame(KLINE, "publicSpotKline", CANDLE | {"closingPrice": price})) == "price"
    level = {"bids": [{"price": price, "quantity": "1"}]}
    assert reason(mexc, frame(DEPTH, "publicAggreDepths", CHANGE | level)) == "price"


@pytest.mark.parametrize("size", ["", "-1", "nan", "1e308", "1,234.5"])
def test_sizes_that_are_none_are_refused(mexc: MexcSpot, size: str) -> None:
    assert reason(mexc, deals({}, {"quantity": size})) == "size"
    level = {"asks": [{"price": "1", "quantity": size}]}
    assert reason(mexc, frame(DEPTH, "publicAggreDepths", CHANGE | level)) == "size"


@pytest.mark.parametrize("time", ["0", "1", "1782208006", "-1782208006167", "9223372036854775807"])
def test_times_that_are_none_are_refused(mexc: MexcSpot, time: str) -> None:
    assert reason(mexc, deals({"time": time})) == "time"


def test_times_in_microseconds_are_told_from_milliseconds(mexc: MexcSpot) -> None:
    (trade,) = mexc.parse(deals({"time": "1782208006167123"}), RECEIVED)
    assert isinstance(trade, Trade)
    assert trade.event_time == 1782208006167123


@pytest.mark.parametrize("side", [0, 3, -1])
def test_a_side_that_is_neither_is_refused(mexc: MexcSpot, side: int) -> None:
    assert reason(mexc, deals({"tradeType": side})) == "side"


@pytest.mark.parametrize(
    ("versions", "why"),
    [
        ({"fromVersion": ""}, "id"),
        ({"toVersion": "x"}, "id"),
        ({"toVersion": "-1"}, "id"),
        ({"toVersion": "9" * 30}, "id"),
        ({"fromVersion": "74891313266"}, "id"),
    ],
)
def test_versions_that_are_none_are_refused(mexc: MexcSpot, versions: dict[str, str], why: str) -> None:
    assert reason(mexc, frame(DEPTH, "publicAggreDepths", CHANGE | versions)) == why
