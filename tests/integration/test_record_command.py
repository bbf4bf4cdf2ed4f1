"""`kandle record` as a process: it is stopped by a signal, and what it has written is whole."""

import asyncio
import gzip
import signal
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from kandle.commands.record import record
from producers.capture import CaptureReader
from producers.capture.reading import CaptureReading
from producers.simulator.market import SeededMarket
from producers.simulator.server import SimulatorServer
from schemas.errors import ConfigurationError
from tests.kandle_command import environment

DEADLINE_S = 30.0


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
async def test_a_recording_that_is_interrupted_is_whole(tmp_path: Path, sent: signal.Signals) -> None:
    market = SeededMarket(["BTC/USDT"], 7, 50.0)
    server = SimulatorServer(market)
    await server.start()
    playing = asyncio.create_task(market.play(server))
    path = tmp_path / "a.capture.gz"
    arguments = ("record", "Binance", "btc/usdt", "--channels", "trades,quotes,books", "--out", str(path))
    urls = ("--websocket-url", server.websocket_url, "--rest-url", server.rest_url)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kandle", *arguments, *urls),
        env=environment(),
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not server.streams():
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.7)
            process.send_signal(sent)
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        await server.stop()
    assert process.returncode == 0, said.decode()
    assert f"in {path}" in said.decode()
    assert gzip.decompress(path.read_bytes()).startswith(b"# venue=binance market=spot symbols=BTCUSDT")
    reader = CaptureReader(path)
    reading = CaptureReading(reader, reader.exchange())
    assert {found.symbol for found in reading} == {"BTC/USDT"}
    tally = reading.tally
    assert (tally.gaps, tally.rejected.total()) == (0, 0)
    assert min(tally.counts[kind] for kind in ("trade", "quote", "book")) > 0


def test_what_cannot_be_recorded_is_told_at_once(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.touch()
    for arguments, message in (
        (("atlantis", "BTC/USDT", "--out", "a"), "atlantis is not supported"),
        (("binance", ",", "--out", "a"), "there are no SYMBOLS"),
        ((" ", "BTC/USDT", "--out", "a"), "VENUE is empty"),
        (("binance", "BTC/USDT", "--out", str(there)), "exists; remove it"),
        (("binance", "BTC/USDT", "--out", str(tmp_path / "no" / "a")), "is no directory"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            CliRunner().invoke(record, list(arguments), catch_exceptions=False)
    answer = CliRunner().invoke(record, ["binance", "BTC/USDT", "--out", "a", "--channels", "gossip"])
    assert (answer.exit_code, "'gossip' is no channel" in answer.stderr) == (2, True)
