"""A made market goes on while nobody runs it: its ids, its prices, and what its REST side remembers."""

import itertools
import json
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from producers.simulator.market import SeededMarket, message_of
from producers.simulator.numbering import FILE, number
from producers.simulator.prices import Instrument, TradeEvent, merged

START = 1_700_000_000_123_456
HOUR_US = 3_600_000_000


def begun(at: int, folder: Path | None, rate: float = 20.0, seed: int = 1) -> tuple[Instrument, int]:
    """The instrument of a market that begins, and since when it has been the same."""
    instrument = Instrument("BTC/USDT", "BTCUSDT", seed, rate)
    return instrument, number([instrument], seed, rate, at, folder)


def trades(instrument: Instrument, start: int, count: int) -> list[TradeEvent]:
    made = (event for event in merged([instrument], start) if isinstance(event, TradeEvent))
    return list(itertools.islice(made, count))


def test_a_restart_misses_as_many_ids_as_there_were_trades(tmp_path: Path) -> None:
    first, _ = begun(START, tmp_path)
    whole = trades(first, START, 3_000)
    restarted, since = begun(START + 60_000_000, tmp_path)
    after = trades(restarted, START + 60_000_000, 500)
    assert since == START
    assert after == [trade for trade in whole if trade.time >= START + 60_000_000][:500]
    missed = [trade for trade in whole if trade.time < after[0].time]
    assert after[0].trade_id - whole[0].trade_id == len(missed)
    assert 600 < len(missed) < 2_400, "a minute at 20 a second, not the millions of the clock"


def test_what_was_traded_is_told_as_it_would_have_been_streamed(tmp_path: Path) -> None:
    first, _ = begun(START, tmp_path)
    streamed = trades(first, START, 2_000)
    restarted, _ = begun(START + HOUR_US, tmp_path)
    assert restarted.trades(streamed[700].trade_id, 1_000, START + HOUR_US) == streamed[700:1_700]
    assert restarted.trades(streamed[700].trade_id, 1_000, streamed[705].time) == streamed[700:705]


@pytest.mark.parametrize(("rate", "seed"), [(1.0, 1), (300.0, 1), (20.0, 2)])
def test_another_market_goes_on_behind_the_ids_of_the_one_before(
    tmp_path: Path, rate: float, seed: int
) -> None:
    first, _ = begun(START, tmp_path)
    until = START + HOUR_US
    expected = first.id_at(until)
    other, since = begun(until, tmp_path, rate, seed)
    assert (trades(other, until, 1)[0].trade_id, since) == (expected, until)
    again, since = begun(until + HOUR_US, tmp_path, rate, seed)
    assert (again.offset, since) == (other.offset, until)


@pytest.mark.parametrize("content", [None, b"", b'{"seed": "x"}'])
def test_without_a_file_ids_begin_by_the_clock(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / FILE).write_bytes(content)
    instrument, since = begun(START, tmp_path)
    assert since == START
    assert instrument.id_at(START) == START // 1_000 * 1_000
    assert json.loads((tmp_path / FILE).read_bytes())["offsets"] == {"BTC/USDT": instrument.offset}


def test_a_folder_that_cannot_be_written_does_not_stop_the_market(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with capture_logs() as logs:
        instrument, _ = begun(START, tmp_path / "file" / "below")
    assert instrument.id_at(START) == START // 1_000 * 1_000
    assert any("cannot be kept" in line["event"] for line in logs)


def test_a_symbol_that_joins_leaves_the_others_their_ids(tmp_path: Path) -> None:
    bitcoin, _ = begun(START, tmp_path)
    both = [Instrument("BTC/USDT", "BTCUSDT", 1, 20.0), Instrument("ETH/USDT", "ETHUSDT", 1, 20.0)]
    number(both, 1, 20.0, START + HOUR_US, tmp_path)
    assert both[0].offset == bitcoin.offset
    assert both[1].id_at(START + HOUR_US) == (START + HOUR_US) // 1_000 * 1_000


def test_rest_tells_the_trades_that_nobody_saw(tmp_path: Path) -> None:
    now = time.time_ns() // 1_000
    gone, _ = begun(now - 60_000_000, tmp_path)
    missed = trades(gone, now - 60_000_000, 200)
    market = SeededMarket(["BTC/USDT"], 1, 20.0, tmp_path)
    query = {"symbol": "BTCUSDT", "fromId": str(missed[0].trade_id), "limit": "200"}
    told = json.loads(market.venue.rest("/api/v3/historicalTrades", query, 0).body)
    assert [trade["id"] for trade in told] == [trade.trade_id for trade in missed]
    assert told[0]["price"] == json.loads(message_of(missed[0])[1])["p"]


def test_rest_forgets_what_was_before_the_market_was_changed(tmp_path: Path) -> None:
    now = time.time_ns() // 1_000
    gone, _ = begun(now - 60_000_000, tmp_path)
    market = SeededMarket(["BTC/USDT"], 1, 5.0, tmp_path)
    query = {"symbol": "BTCUSDT", "fromId": str(gone.id_at(now - 60_000_000)), "limit": "200"}
    assert json.loads(market.venue.rest("/api/v3/historicalTrades", query, 0).body) == []
