"""Captures and kills that once went wrong, by a whole pipeline: odd symbols, ids out of order, damage."""

import gzip
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.expected_candles import WireTrade, expected_candles
from tests.kandle_command import endpoints, kandle, kill, rows, start, summary_of, wait_until
from tests.stored_trades import StoredTrades

T0_MS = 1_700_000_010_000
SYMBOLS = {"ADAEUR": "ADA/EUR", "BTCGYEN": "BTC/GYEN", "USDCTRY": "USDC/TRY"}
DAMAGED = ('{"stream":"adaeur@trade","data":{"e":"trade","s":"ADA', "not json")
ANSWERS = ('{"result":null,"id":1}', "[1,2]")
pytestmark = pytest.mark.timeout(300)


def write(path: Path, frames: list[tuple[int, str]]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("# venue=binance\n")
        file.writelines(f"{time_ms * 1_000_000} {text}\n" for time_ms, text in frames)
    return path


def quotes(count: int) -> list[tuple[int, str]]:
    data = {"s": "ADAEUR", "b": "0.3", "B": "1.0", "a": "0.4", "A": "1.0"}
    return [
        (T0_MS + n, json.dumps({"stream": "adaeur@bookTicker", "data": {"u": n + 1, **data}}))
        for n in range(count)
    ]


def trades(seconds: int) -> list[WireTrade]:
    """Ids dense for each symbol; one in ten arrives up to a second after those that follow it."""
    chance = random.Random(3)
    made = []
    for number in range(seconds * 20):
        venue_symbol = chance.choice(list(SYMBOLS))
        price, size = round(chance.uniform(1, 2), 4), round(chance.uniform(0.001, 3), 5)
        made.append(WireTrade(venue_symbol, number, price, size, T0_MS + number * 50, chance.random() < 0.5))
    counts = dict.fromkeys(SYMBOLS, 100)
    numbered = []
    for trade in made:
        counts[trade.symbol] += 1
        numbered.append(replace(trade, number=counts[trade.symbol]))
    delays = {id(trade): chance.uniform(0, 1_000) if chance.random() < 0.1 else 0.0 for trade in numbered[1:]}
    return sorted(numbered, key=lambda trade: trade.time_ms + delays.get(id(trade), 0.0))


def frame(trade: WireTrade) -> str:
    data = {
        "e": "trade",
        "s": trade.symbol,
        "t": trade.number,
        "p": repr(trade.price),
        "q": repr(trade.size),
        "T": trade.time_ms,
        "m": trade.buyer_is_maker,
    }
    return json.dumps({"stream": f"{trade.symbol.lower()}@trade", "data": data})


@pytest.mark.full
def test_nothing_is_lost_when_ids_come_out_of_order_frames_are_damaged_and_both_servers_are_killed(
    tmp_path: Path,
) -> None:
    sent = trades(60)
    frames = [(trade.time_ms, frame(trade)) for trade in sent]
    for at, text in enumerate((*DAMAGED, *ANSWERS), 1):
        frames.insert(at * 100, (frames[at * 100][0], text))
    capture = write(tmp_path / "odd.capture.gz", frames)
    data = tmp_path / "data"
    running = start(
        *("up", "--feed", str(capture), "--speed", "6", "--once", "--json", "--data", str(data)), cwd=tmp_path
    )
    try:
        stored = StoredTrades(data)
        for share, server in ((0.3, "postgres"), (0.5, "kafka")):
            wait_until(lambda share=share: stored.count() >= share * len(sent))  # type: ignore[misc]
            kill([endpoints(data)["stages"][server]["pid"]])
        output, errors = running.communicate(timeout=120)
    finally:
        running.kill()
    assert running.returncode == 0, errors
    assert "Traceback" not in errors
    assert summary_of(output)["dead_letters"] == len(DAMAGED)

    named = [replace(trade, symbol=SYMBOLS[trade.symbol]) for trade in sent]
    found = rows("SELECT symbol, trade_id, price, size FROM trades", data, tmp_path)
    assert sorted(
        (row["symbol"], int(row["trade_id"]), float(row["price"]), float(row["size"])) for row in found
    ) == sorted((trade.symbol, trade.number, trade.price, trade.size) for trade in named)
    candles = {
        (row["symbol"], int(float(row["at"]) * 1000)): row
        for row in rows(
            "SELECT extract(epoch FROM time) AS at, * FROM candles WHERE interval = '1s'", data, tmp_path
        )
    }
    expected = expected_candles(named, "1s")
    assert candles.keys() == expected.keys()
    for key, candle in expected.items():
        for name in ("open", "high", "low", "close", "trade_count"):
            assert float(candles[key][name]) == candle[name], (key, name)
        assert float(candles[key]["volume"]) == pytest.approx(candle["volume"], rel=1e-12)


@pytest.mark.full
def test_a_capture_of_quotes_alone_ends(tmp_path: Path) -> None:
    capture = write(tmp_path / "quotes.capture.gz", quotes(50))
    data = tmp_path / "data"
    answer = kandle(
        *("up", "--feed", str(capture), "--speed", "max", "--once", "--json", "--data", str(data)),
        cwd=tmp_path,
        timeout_s=60.0,
    )
    assert answer.returncode == 0, answer.stderr
    assert summary_of(answer.stdout)["trades_stored"] == 0
    assert rows("SELECT count(*) AS n FROM quotes", data, tmp_path) == [{"n": "50"}]
