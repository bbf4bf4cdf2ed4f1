"""`kandle replay SOURCE --serve` as a process of its own."""

import asyncio
import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.kandle_command import kandle, start
from tests.venue_captures import write_market


@pytest.mark.full
async def test_it_says_where_it_listens_and_ends_with_the_past(tmp_path: Path) -> None:
    capture = write_market(tmp_path / "made.capture.gz", "binance", "usdm", seconds=4.0)
    words = ("replay", str(capture), "--serve", "--venue-format", "binance-usdm", "--once")
    running = start(*words, cwd=tmp_path)
    try:
        assert running.stdout is not None
        said = await asyncio.to_thread(running.stdout.readline)
        assert "served as binance usdm: BTC/USDT:USDT, ETH/USDT:USDT" in said
        url = re.search(r"WebSocket (\S+)", await asyncio.to_thread(running.stdout.readline))
        assert url is not None
        streams = "btcusdt@trade/ethusdt@trade"
        count = 0
        async with connect(f"{url[1]}/public/stream?streams={streams}") as client:
            with suppress(ConnectionClosed):
                while True:
                    assert json.loads(await client.recv())["data"]["e"] == "trade"
                    count += 1
        output, errors = await asyncio.to_thread(running.communicate, timeout=30)
    finally:
        running.kill()
    assert running.returncode == 0, errors
    assert client.close_code == 4000
    assert count > 80
    assert re.search(r"^[\d,]+ records were played$", output, re.MULTILINE)


@pytest.mark.full
@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--serve", "--into", "r1"), "--into PREFIX, or"),
        (("--serve", "--venue-format", "nasdaq"), "nasdaq"),
        (("--serve", "--venue-format", "kraken"), "cannot be served in its own format"),
        (("--serve", "--venue-format", "gateio"), "nothing of gateio spot"),
        (("--serve", "--speed", "0"), "speed"),
    ],
)
def test_what_cannot_be_served_is_told(words: tuple[str, ...], what: str, tmp_path: Path) -> None:
    capture = write_market(tmp_path / "made.capture.gz", "binance", "spot", seconds=1.0)
    answer = kandle("replay", str(capture), *words, cwd=tmp_path)
    assert answer.returncode != 0
    assert what in answer.stderr
    assert "Traceback" not in answer.stderr
