"""examples/own_venue.py reads recorded frames, and feeds a broker from a server that speaks like Pebble."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
from pathlib import Path

from schemas.records import Gap, TimeMark, Trade
from schemas.topics import INSTRUMENTS, TRADES
from tests.examples.pebble_server import LOST, START_MS, frame, pebble
from tests.kandle_command import environment
from tests.producer_harness import Topics

EXAMPLES = Path(__file__).parents[2] / "examples"
CHOSEN = {"KANDLE_PRODUCER__PLUGINS": "own_venue", "KANDLE_PRODUCER__VENUE": "pebble"}


def test_recorded_frames_become_trades(tmp_path: Path) -> None:
    capture = tmp_path / "pebble.capture.gz"
    with gzip.open(capture, "wb") as file:
        file.write(b"# venue=pebble market=spot symbols=BTC-USDT source=made licence=none\n")
        for number in (1, 2, 4):
            file.write(b"%d %s\n" % ((START_MS + number * 100) * 1_000_000, frame(number)))
        file.write(b'%d {"stream":"deals:BTC-USDT","deal":{"id":5}}\n' % (START_MS * 1_000_000))
    answer = subprocess.run(
        [sys.executable, "-m", "kandle", "parse", str(capture)],
        cwd=EXAMPLES,
        env=environment() | CHOSEN,
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [(row["trade_id"], row["price"], row["side"]) for row in rows] == [
        ("1", 101.5, "buy"),
        ("2", 102.5, "sell"),
        ("4", 104.5, "sell"),
    ]
    assert "rejected: 1 for shape" in answer.stderr


async def test_a_gap_of_the_stream_is_filled_by_rest(kafka: str, tmp_path: Path) -> None:
    topics = Topics(kafka)
    await asyncio.to_thread(topics.renew)
    async with pebble() as address:
        settings = CHOSEN | {
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "KANDLE_PRODUCER__SYMBOLS": "BTC/USDT",
            "KANDLE_PRODUCER__CHANNELS": "trades",
            "KANDLE_PRODUCER__WEBSOCKET_URL": f"ws://{address}",
            "KANDLE_PRODUCER__REST_URL": f"http://{address}",
        }
        with (tmp_path / "log").open("wb") as log:
            running = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "kandle", "produce"),
                cwd=EXAMPLES,
                env=environment() | settings,
                stdout=log,
                stderr=log,
            )
        try:
            found: list[Trade] = []
            for _ in range(150):
                found = await asyncio.to_thread(topics.records, TRADES.name, Trade)
                if len(found) >= 2 * LOST[1] or running.returncode is not None:
                    break
                await asyncio.sleep(0.2)
        finally:
            if running.returncode is None:
                running.terminate()
            await running.wait()
    said = (tmp_path / "log").read_text()
    assert running.returncode == 0, said
    found = await asyncio.to_thread(topics.records, TRADES.name, Trade)
    numbers = sorted(trade.sequence or 0 for trade in found)
    assert numbers == list(range(1, len(found) + 1)), said
    assert [trade.sequence for trade in found if trade.backfilled] == list(LOST)
    statuses = [gap.status for gap in await asyncio.to_thread(topics.records, TRADES.name, Gap)]
    assert statuses == ["opened", "filled"]
    marks = await asyncio.to_thread(topics.records, TRADES.name, TimeMark)
    assert any(mark.final for mark in marks)
    listed = topics.read(INSTRUMENTS.name)
    assert [stored.key for stored in listed] == ["pebble:BTC/USDT"]
