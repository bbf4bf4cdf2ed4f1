"""Recorded markets with faults: what real traffic loses on its way comes back by REST, or is announced."""

import asyncio
import gzip
from pathlib import Path

import pytest

from producers.capture import CaptureReader, summarize
from schemas.records import Gap, TimeMark, Trade
from schemas.topics import TRADES
from tests.fault_harness import Outcome, exchange_playing, produce
from tests.venue_captures import write_market

HEAD = 8_000
SPEED = 20.0


def head_of(path: Path, target: Path, lines: int) -> Path:
    """The beginning of a capture."""
    with gzip.open(path, "rb") as source, gzip.open(target, "wb", compresslevel=1) as file:
        for number, line in enumerate(source):
            if number > lines:
                break
            file.write(line)
    return target


def ids_of(outcome: Outcome) -> list[int]:
    return [trade.sequence or 0 for trade in outcome.of(Trade)]


@pytest.mark.parametrize("name", ["binance-spot-btcusdt", "binance-usdm-btcusdt"])
def test_a_busy_market_is_whole_after_a_gap_and_a_break(captures: Path, tmp_path: Path, name: str) -> None:
    path = head_of(captures / f"{name}.capture.gz", tmp_path / "head.capture.gz", HEAD)
    outcome = asyncio.run(produce(exchange_playing(path, SPEED), ("gap@2500:300", "disconnect@4500:300")))
    (summary,) = summarize(path).symbols.values()
    assert [fault.kind for fault in outcome.injected] == ["gap", "disconnect"]
    assert summary.first_id is not None
    assert summary.last_id is not None
    ids = ids_of(outcome)
    assert len(ids) == len(set(ids)) == summary.trades > 1_000
    assert (min(ids), max(ids)) == (summary.first_id, summary.last_id)
    assert outcome.books() == outcome.book_tops
    assert not [gap for gap in outcome.of(Gap) if gap.status == "given_up"]
    assert outcome.connections == 2


@pytest.mark.parametrize("name", ["binance-spot-2021", "gateio-spot-2021"])
def test_thin_markets_of_another_year_are_fed_whole(captures: Path, name: str) -> None:
    path = captures / f"{name}.capture.gz"
    outcome = asyncio.run(produce(exchange_playing(path, SPEED)))
    listed = summarize(path).symbols
    assert len(outcome.of(Trade)) == sum(symbol.trades for symbol in listed.values() if not symbol.aggregated)
    assert set(outcome.books()) == set(listed)
    assert outcome.books() == outcome.book_tops
    assert not outcome.of(Gap)
    assert CaptureReader(path).venue == path.name.partition("-")[0]


def test_what_rest_does_not_give_is_announced_and_the_marks_go_on(tmp_path: Path) -> None:
    path = write_market(tmp_path / "made.capture.gz", "binance", "spot", 20.0, 10.0)
    playback = exchange_playing(path, 4.0)
    outcome = asyncio.run(produce(playback, ("gap@300:30/trades", "503@300:1000"), patience_s=1.0))
    whole = asyncio.run(produce(exchange_playing(path, 20.0)))
    missing = {(trade.symbol, trade.sequence) for trade in whole.of(Trade)} - {
        (trade.symbol, trade.sequence) for trade in outcome.of(Trade)
    }
    given_up = [gap for gap in outcome.of(Gap, TRADES) if gap.status == "given_up"]
    announced = {
        (gap.symbol, sequence)
        for gap in given_up
        for sequence in range(gap.first_sequence or 0, (gap.last_sequence or 0) + 1)
    }
    assert len(missing) == 30
    assert announced == missing
    marks = [mark.time for mark in outcome.of(TimeMark, TRADES)]
    first_end = min(gap.to_time for gap in given_up)
    assert len([time for time in marks if time > first_end]) > 3, "marks go on after what is given up"
