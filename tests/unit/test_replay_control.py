"""A replay is told what to do, from its own process and from another one."""

import asyncio
from pathlib import Path

import pytest

from backtest.replay.control import Controls, ask, listening, speed_of
from backtest.replay.pace import MAX, Pace, Turn
from kandle.replays.view import ReplayView, words_of
from kandle.times import parse_time
from schemas.errors import ConfigurationError, ConflictError, UnavailableError


def controls(pace: Pace) -> tuple[Controls, asyncio.Event]:
    stop = asyncio.Event()
    return Controls(pace, stop, ReplayView(pace, (0, 10_000_000)).state, parse_time), stop


async def test_another_process_pauses_steps_and_stops(tmp_path: Path) -> None:
    pace = Pace(MAX)
    told, stop = controls(pace)
    async with listening(tmp_path, told):
        assert (await asyncio.to_thread(ask, tmp_path, ["pause"]))["paused"]
        assert (await asyncio.to_thread(ask, tmp_path, ["step", "7"]))["speed"] == "max"
        assert await pace.turn(1) == Turn(count=7)
        pace.went(7, 5_000_000)
        assert (await asyncio.to_thread(ask, tmp_path, ["status"]))["part"] == 0.5
        with pytest.raises(ConflictError, match="does not go back"):
            await asyncio.to_thread(ask, tmp_path, ["seek", "1970-01-01T00:00:01Z"])
        with pytest.raises(ConfigurationError, match="can be told: pause"):
            await asyncio.to_thread(ask, tmp_path, ["dance"])
        with pytest.raises(ConfigurationError, match="ISO 8601"):
            await asyncio.to_thread(ask, tmp_path, ["seek", "tomorrow"])
        await asyncio.to_thread(ask, tmp_path, ["resume"])
        assert not pace.is_paused
        await asyncio.to_thread(ask, tmp_path, ["stop"])
        assert stop.is_set()
    with pytest.raises(UnavailableError, match="no replay answers"):
        ask(tmp_path, ["status"])


async def test_a_socket_that_a_kill_left_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "control.sock").touch()
    async with listening(tmp_path, controls(Pace(2))[0]):
        assert (await asyncio.to_thread(ask, tmp_path, ["speed", "4"]))["speed"] == 4


async def test_where_a_path_is_too_long_for_a_socket_the_replay_runs_without(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    async with listening(folder, controls(Pace(1))[0]):
        with pytest.raises(ConfigurationError, match="too long"):
            ask(folder, ["status"])


@pytest.mark.parametrize("text", ["0", "-1", "inf", "nan", "fast", ""])
def test_a_speed_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="speed"):
        speed_of(text)


async def test_keys_mean_what_the_replay_is_at() -> None:
    pace = Pace(4)
    assert words_of(" ", pace) == ("pause",)
    assert words_of("+", pace) == ("speed", "8.0")
    assert words_of("x", pace) is None
    pace.pause()
    assert words_of(" ", pace) == ("resume",)
    assert words_of("-", Pace(MAX)) is None


async def test_the_display_tells_part_pace_and_time_left() -> None:
    clock = iter(float(second) for second in range(100))
    pace = Pace(2)
    view = ReplayView(pace, (1_700_000_000_000_000, 1_700_000_100_000_000), lambda: next(clock))
    assert view.line() == "beginning, 2x, 0 records, 0/s"
    pace.went(10, 1_700_000_020_000_000)
    view.took(10)
    view.state()
    pace.went(30, 1_700_000_050_000_000)
    view.took(30)
    view.notice("waiting")
    assert view.line() == (
        "[############............] 50 % 2023-11-14T22:14:10Z, 2x, 40 records, 30/s, 0:25 left, waiting"
    )
