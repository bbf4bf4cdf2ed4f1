"""MEXC futures: recorded frames become records, what breaks a rule is refused with its reason."""

import json
from collections import Counter
from pathlib import Path

import pytest

from producers.exchange import CHANNELS, Call
from producers.exchanges.mexc.futures import MexcFutures
from schemas.records import (
    BookUpdate,
    DerivativeTicker,
    ExchangeCandle,
    Quote,
    Ticker,
    Trade,
)
from tests.mexc_futures_frames import (
    BTC,
    CANDLE,
    DAY,
    DEAL,
    DEPTH,
    FULL,
    RECEIVED,
    frame,
    instrument,
    reason,
    written,
)


@pytest.fixture
def mexc() -> MexcFutures:
    return MexcFutures([instrument("BTC_USDT", 0.0001), instrument("BTC_USD", 100.0)], CHANNELS)


def test_a_trade_has_its_size_in_base_units_and_in_contracts(mexc: MexcFutures) -> None:
    (trade,) = mexc.parse(frame("deal", [DEAL]), RECEIVED)
    assert trade == Trade(
        venue="mexc",
        symbol=BTC,
        trade_id="1755487578276-sell-115309.8-55.0-0",
        sequence=None,
        price=115309.8,
        size=0.0055,
        side="sell",
        event_time=1755487578276000,
        receive_time=RECEIVED,
        raw_size=55.0,
    )


def test_one_trade_may_come_without_a_list(mexc: MexcFutures) -> None:
    single = {key: value for key, value in DEAL.items() if key not in ("i", "cts")}
    assert mexc.parse(frame("deal", single), RECEIVED) == mexc.parse(frame("deal", [DEAL]), RECEIVED)


def test_a_contract_settled_in_its_base_currency_is_worth_quote_currency(mexc: MexcFutures) -> None:
    (trade,) = mexc.parse(frame("deal", DEAL | {"p": 40000, "v": 8}, "BTC_USD"), RECEIVED)
    assert isinstance(trade, Trade)
    assert (trade.symbol, trade.size, trade.raw_size) == ("BTC/USD:BTC", 0.02, 8.0)


def test_trades_come_by_ascending_time(mexc: MexcFutures) -> None:
    newest_first = [DEAL, DEAL | {"T": 1, "v": 2}, DEAL | {"t": 1755487578275, "v": 3}]
    records = mexc.parse(frame("deal", newest_first), RECEIVED)
    assert [record.raw_size for record in records if isinstance(record, Trade)] == [3.0, 2.0, 55.0]


def test_a_trade_by_rest_has_the_id_of_the_stream(mexc: MexcFutures) -> None:
    equal = [DEAL, DEAL | {"i": "13064218900"}]
    streamed = [
        record.trade_id
        for record in (*mexc.parse(frame("deal", equal[:1]), 1), *mexc.parse(frame("deal", equal[1:]), 1))
        if isinstance(record, Trade)
    ]
    assert len(set(streamed)) == 2
    call = mexc.trades_call(BTC, None, None)
    assert call == Call("trades", "/api/v1/contract/deals/BTC_USDT?limit=100", 1, BTC)
    rows = [{key: row[key] for key in ("p", "v", "T", "O", "M", "t")} for row in equal]
    for body in ({"success": True, "code": 0, "data": rows}, {"success": True, "code": 0, "data": equal}):
        found = mexc.read(call, json.dumps(body).encode(), RECEIVED)
        assert all(isinstance(trade, Trade) and trade.backfilled for trade in found)
        assert {trade.trade_id for trade in found if isinstance(trade, Trade)} == set(streamed)


def test_a_change_of_the_book_has_one_version(mexc: MexcFutures) -> None:
    (update,) = mexc.parse(frame("depth", DEPTH), RECEIVED)
    assert update == BookUpdate(
        "mexc",
        BTC,
        "delta",
        96801927,
        96801927,
        None,
        [6858.5],
        [0.0042],
        [6859.5],
        [0.3251],
        None,
        1587442021983000,
        RECEIVED,
    )


def test_merged_changes_of_the_book_name_their_range(mexc: MexcFutures) -> None:
    merged = DEPTH | {"begin": 96801920, "end": 96801927, "cts": None}
    (update,) = mexc.parse(frame("depth", merged), RECEIVED)
    assert isinstance(update, BookUpdate)
    assert (update.first_sequence, update.last_sequence) == (96801920, 96801927)
    assert update.event_time == 1755487578276000


def test_the_book_of_a_contract_settled_in_base_currency_is_in_base_units(mexc: MexcFutures) -> None:
    (update,) = mexc.parse(frame("depth", DEPTH | {"bids": [[40000, 8, 1]]}, "BTC_USD"), RECEIVED)
    assert isinstance(update, BookUpdate)
    assert update.bid_sizes == [0.02]


def test_the_best_of_five_levels_are_the_quote(mexc: MexcFutures) -> None:
    (quote,) = mexc.parse(frame("depth.full", FULL), RECEIVED)
    assert quote == Quote("mexc", BTC, 31708.0, 0.321, 31708.5, 7.495, 5194972869, 1755487578276000, RECEIVED)
    (empty,) = mexc.parse(frame("depth.full", FULL | {"bids": []}), RECEIVED)
    assert isinstance(empty, Quote)
    assert (empty.bid, empty.bid_size, empty.ask) == (None, 0.0, 31708.5)


def test_a_ticker_tells_of_trading_and_of_the_contract(mexc: MexcFutures) -> None:
    ticker, derivative = mexc.parse(frame("ticker", DAY), RECEIVED)
    assert isinstance(ticker, Ticker)
    assert (ticker.last, ticker.bid, ticker.ask, ticker.high, ticker.low) == (
        29911.5,
        29911.0,
        29911.5,
        31905.5,
        29316.0,
    )
    assert (ticker.base_volume, ticker.quote_volume) == (29514.6577, 898120149.6331)
    assert (ticker.change, ticker.change_percent) == (-846.0, -2.75)
    assert derivative == DerivativeTicker(
        "mexc", BTC, 29911.1, 29926.9, 7.2e-05, None, 1235.7864, 1654165943014000, RECEIVED
    )


def test_a_ticker_is_read_for_the_channels_that_are_fed() -> None:
    for channel, kind in (("tickers", Ticker), ("derivatives", DerivativeTicker)):
        exchange = MexcFutures([instrument("BTC_USDT", 0.0001)], [channel])
        assert [type(record) for record in exchange.parse(frame("ticker", DAY), RECEIVED)] == [kind]


def test_a_candle_is_of_what_was_traded(mexc: MexcFutures) -> None:
    (shown,) = mexc.parse(frame("kline", CANDLE), RECEIVED)
    assert isinstance(shown, ExchangeCandle)
    assert (shown.interval, shown.open_time, shown.close_time) == (
        "1m",
        1654083480000000,
        1654083540000000,
    )
    assert (shown.volume, shown.quote_volume, shown.open) == (3.1468, 99371.3865, 31576.0)
    traded = CANDLE | {"ro": 31575.5, "rh": 31580, "rl": 31575, "rc": 31575}
    (candle,) = mexc.parse(frame("kline", traded), RECEIVED)
    assert isinstance(candle, ExchangeCandle)
    assert (candle.open, candle.high, candle.low, candle.close) == (31575.5, 31580.0, 31575.0, 31575.0)


def test_funding_mark_price_and_index_come_one_by_one(mexc: MexcFutures) -> None:
    (funding,) = mexc.parse(
        frame("funding.rate", {"rate": -0.0012, "nextSettleTime": 1587445200000}), RECEIVED
    )
    time = 1755487578276000
    assert funding == DerivativeTicker(
        "mexc", BTC, None, None, -0.0012, 1587445200000000, None, time, RECEIVED
    )
    (mark,) = mexc.parse(frame("fair.price", {"price": 6867.5}), RECEIVED)
    assert mark == DerivativeTicker("mexc", BTC, 6867.5, None, None, None, None, time, RECEIVED)
    (index,) = mexc.parse(frame("index.price", {"price": 6861.7}), RECEIVED)
    assert index == DerivativeTicker("mexc", BTC, None, 6861.7, None, None, None, time, RECEIVED)


def test_all_samples_of_futures_are_read(captures: Path, mexc: MexcFutures) -> None:
    counts: Counter[str] = Counter()
    lines = (captures / "samples" / "tardis_mexc_futures_messages.jsonl").read_text().splitlines()
    for line in (captures / "samples" / "cmp_mexc.jsonl").read_text().splitlines():
        sample = json.loads(line)
        if "swap" in sample["test"] and sample["mod"] != "l2_snapshot":
            lines.append(json.dumps(sample["raw"]))
    for line in lines:
        records = mexc.parse(line.encode(), RECEIVED)
        assert records or '"generated":true' in line
        counts.update(type(record).__name__ for record in records)
        stream = mexc.stream_of(line.encode())
        assert stream is not None
        assert mexc.channel_of(stream) is not None or not records
    assert counts == {
        "Trade": 6,
        "BookUpdate": 7,
        "Quote": 2,
        "Ticker": 4,
        "DerivativeTicker": 7,
        "ExchangeCandle": 2,
    }


def test_books_by_rest_in_the_samples_are_read(captures: Path, mexc: MexcFutures) -> None:
    found = 0
    for line in (captures / "samples" / "cmp_mexc.jsonl").read_text().splitlines():
        sample = json.loads(line)
        if sample["mod"] == "l2_snapshot" and "swap" in sample["test"]:
            call = mexc.book_call(BTC)
            assert call is not None
            (book,) = mexc.read(call, json.dumps(sample["raw"]).encode(), RECEIVED)
            assert isinstance(book, BookUpdate)
            assert (book.kind, book.first_sequence, len(book.bid_prices)) == ("snapshot", None, 3)
            assert book.last_sequence == sample["raw"]["data"]["version"]
            found += 1
    assert found == 2


# what is refused


@pytest.mark.parametrize("price", ["0", "-1", "1e308", "1e999999999", "-0"])
def test_prices_that_are_none_are_refused(mexc: MexcFutures, price: str) -> None:
    assert reason(mexc, written(p=price)) == "price"


@pytest.mark.parametrize("price", ['"115309.8"', "null", "true", "[1]", "{}"])
def test_prices_of_another_type_are_refused(mexc: MexcFutures, price: str) -> None:
    assert reason(mexc, written(p=price)) == "shape"


@pytest.mark.parametrize("price", ["NaN", "Infinity", "1,234.5", "01"])
def test_prices_that_json_does_not_know_are_refused(mexc: MexcFutures, price: str) -> None:
    assert reason(mexc, written(p=price)) == "json"


@pytest.mark.parametrize(("size", "why"), [("-1", "size"), ("1e308", "size"), ('"55"', "shape")])
def test_sizes_that_are_none_are_refused(mexc: MexcFutures, size: str, why: str) -> None:
    assert reason(mexc, written(v=size)) == why


def test_small_numbers_may_have_an_exponent(mexc: MexcFutures) -> None:
    (trade,) = mexc.parse(written(p="1.5036E-6"), RECEIVED)
    assert isinstance(trade, Trade)
    assert (trade.price, trade.inexact) == (1.5036e-06, False)


def test_a_number_with_more_digits_than_a_float_keeps_is_marked(mexc: MexcFutures) -> None:
    (trade,) = mexc.parse(written(p="115309.12345678901234"), RECEIVED)
    assert isinstance(trade, Trade)
    assert trade.inexact
