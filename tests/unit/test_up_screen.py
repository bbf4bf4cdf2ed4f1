"""What `kandle up` shows: what is ready, how everything stands, what happened meanwhile."""

import asyncio
import io
from dataclasses import replace

import pytest
from rich.console import Console

from kandle.up.screen import LineScreen, TerminalScreen
from kandle.up.view import MarketRow, Picture, StageRow, Step, render, render_start, size

PICTURE = Picture(
    feed="a market made on this machine",
    elapsed_s=3661.0,
    stages=[
        StageRow("kafka", "running", 0, 12.4, 412_000_000),
        StageRow("sink", "restarting", 2),
    ],
    rates={"trades stored": 21.0},
    totals={"received": 1000, "trades stored": 990},
    lag_records=3,
    latency_ms=(20.0, 80.0),
    markets=[MarketRow("binance", "BTC/USDT", 50_000.5, None, {"sma(20)": 49_990.0})],
    page="http://127.0.0.1:8765",
    disk_bytes=1_250_000_000,
)


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=100, height=60, color_system=None), file


def test_the_picture_names_processes_with_what_they_use() -> None:
    out, file = console(terminal=False)
    out.print(render(PICTURE))
    text = file.getvalue()
    assert "1:01:01" in text
    assert "kafka running 12 % 412 MB" in text
    assert "sink restarting (restarted 2x)" in text
    assert "disk 1.2 GB" in text
    assert "http://127.0.0.1:8765" in text
    assert "49,990" in text


@pytest.mark.parametrize(("width", "has_candle"), [(80, False), (110, True)])
def test_numbers_are_whole_however_wide_the_terminal_is(width: int, has_candle: bool) -> None:
    indicators = {"ema(20)": 59_946.123456, "rsi(14)": 43.5830512, "sma(20)": 2_997.456789}
    row = MarketRow(
        "binance", "BTC/USDT", 59_914.654, (59_932.1, 59_932.1, 59_908.2, 59_914.6, 0.57175), indicators
    )
    file = io.StringIO()
    Console(file=file, width=width).print(render(replace(PICTURE, markets=[row])))
    text = file.getvalue()
    assert "…" not in text
    assert "trades stored" in text
    assert all(number in text for number in ("59,914.7", "59,946.1", "43.583", "2,997.46"))
    assert ("0.57175" in text) == has_candle


@pytest.mark.parametrize(("count", "text"), [(999_400_000, "999 MB"), (1_000_000_000, "1.0 GB"), (0, "0 MB")])
def test_bytes_are_written_for_people(count: int, text: str) -> None:
    assert size(count) == text


def test_what_is_ready_stands_with_the_time_that_it_took() -> None:
    out, file = console(terminal=False)
    out.print(render_start([Step("kafka", 10.0, 13.25), Step("postgres", 10.0)]))
    first, second = file.getvalue().splitlines()
    assert first.split() == ["kafka", "ready", "3.2", "s"]
    assert second.split()[:2] == ["postgres", "starting"]


def test_without_a_terminal_each_start_and_the_whole_now_and_then_is_a_line() -> None:
    out, file = console(terminal=False)
    screen = LineScreen(out)
    with screen.step("kafka"):
        assert file.getvalue() == ""
    with pytest.raises(OSError, match="no port"), screen.step("postgres"):
        raise OSError("no port")
    for elapsed_s in (9.0, 10.0, 11.0, 20.0):
        screen.show(replace(PICTURE, elapsed_s=elapsed_s))
    screen.say("sink ended with signal SIGKILL; it is started again in 0.4 s")
    lines = file.getvalue().splitlines()
    assert lines[0].startswith("kafka ready after 0.")
    assert [line.split()[0] for line in lines[1:]] == ["0:00:10", "0:00:20", "sink"]
    assert "\x1b" not in file.getvalue()


async def test_in_a_terminal_what_is_said_stays_above_the_picture() -> None:
    out, file = console(terminal=True)
    with TerminalScreen(out) as screen:
        with screen.step("kafka"):
            screen.say("using Kafka at there:9092")
        screen.show(PICTURE)
        while "trades stored" not in file.getvalue():
            await asyncio.sleep(0.05)
    text = file.getvalue()
    assert "using Kafka at there:9092\n" in text
    assert text.index("using Kafka") < text.index("trades stored")
