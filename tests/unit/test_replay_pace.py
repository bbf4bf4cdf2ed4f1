"""When records may go: at a speed, in a pause, by steps, on the way to a time."""

import asyncio
import itertools

import pytest

from backtest.replay.pace import MAX, Pace, Turn
from schemas.errors import ConfigurationError, ConflictError

SECOND = 1_000_000


class Hand:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def waits(pace: Pace, due: int) -> bool:
    """Whether a turn is not there at once."""
    turn = asyncio.ensure_future(pace.turn(due))
    done, _ = await asyncio.wait([turn], timeout=0.01)
    turn.cancel()
    await asyncio.gather(turn, return_exceptions=True)
    return not done


async def test_records_go_when_the_clock_has_come_to_them() -> None:
    hand = Hand()
    pace = Pace(10, hand)
    assert await pace.turn(100 * SECOND) == Turn(through=100 * SECOND)
    pace.went(1, 100 * SECOND)
    assert await waits(pace, 105 * SECOND)
    hand.now = 0.5
    assert await pace.turn(105 * SECOND) == Turn(through=105 * SECOND)
    hand.now = 1.0
    assert await pace.turn(106 * SECOND) == Turn(through=110 * SECOND), "who is late catches up"


async def test_at_max_everything_goes_at_once() -> None:
    pace = Pace(MAX)
    for due in (1, 10**15):
        assert await pace.turn(due) == Turn()


async def test_a_pause_holds_the_clock() -> None:
    hand = Hand()
    pace = Pace(1, hand)
    await pace.turn(0)
    pace.went(1, 0)
    hand.now = 2.0
    pace.pause()
    assert await waits(pace, SECOND)
    hand.now = 60.0
    pace.resume()
    assert await pace.turn(SECOND) == Turn(through=2 * SECOND)
    assert await waits(pace, 3 * SECOND)


async def test_steps_let_so_many_records_go_and_no_more() -> None:
    pace = Pace(MAX)
    pace.step(3)
    assert pace.is_paused
    assert await pace.turn(1) == Turn(count=3)
    pace.went(2, 1)
    assert await pace.turn(2) == Turn(count=1)
    pace.went(1, 2)
    assert await waits(pace, 3)
    pace.step()
    assert await pace.turn(7) == Turn(through=7)
    pace.went(4, 7)
    assert await waits(pace, 8)
    pace.resume()
    assert await pace.turn(8) == Turn()


async def test_a_seek_is_fast_up_to_its_time_and_goes_on_as_before() -> None:
    hand = Hand()
    pace = Pace(1, hand)
    await pace.turn(0)
    pace.went(1, 0)
    pace.seek(100 * SECOND)
    assert await pace.turn(5) == Turn(through=100 * SECOND - 1)
    pace.went(9, 99 * SECOND)
    assert await waits(pace, 101 * SECOND)
    hand.now = 1.0
    assert await pace.turn(101 * SECOND) == Turn(through=101 * SECOND)
    with pytest.raises(ConflictError, match="--drop"):
        pace.seek(50 * SECOND)


async def test_a_seek_in_a_pause_stays_paused_at_its_time() -> None:
    pace = Pace(MAX)
    pace.pause()
    pace.seek(10)
    assert await pace.turn(3) == Turn(through=9)
    assert await waits(pace, 10)


async def test_a_seek_to_before_the_first_record_is_not_waited_for() -> None:
    pace = Pace(1, Hand())
    pace.seek(5)
    assert await pace.turn(10_000 * SECOND) == Turn(through=10_000 * SECOND)


async def test_a_change_of_speed_wakes_who_waits() -> None:
    pace = Pace(0.001)
    await pace.turn(0)
    turn = asyncio.create_task(pace.turn(SECOND))
    await asyncio.sleep(0.01)
    pace.set_speed(MAX)
    assert await asyncio.wait_for(turn, 5) == Turn()


async def test_from_max_to_a_speed_the_clock_begins_at_what_went_last() -> None:
    hand = Hand()
    pace = Pace(MAX, hand)
    await pace.turn(0)
    pace.went(10, 50 * SECOND)
    pace.set_speed(2)
    assert await waits(pace, 51 * SECOND)
    hand.now = 0.5
    assert await pace.turn(51 * SECOND) == Turn(through=51 * SECOND)


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(ConfigurationError):
        Pace(speed)


async def test_turns_of_a_busy_replay_are_some_time_apart() -> None:
    hand = Hand()
    pace = Pace(1_000, hand)
    found = 0
    for tick in itertools.count():
        hand.now = tick * 0.005
        if hand.now > 1:
            break
        if not await _is_waiting(pace, round(hand.now * 1_000 * SECOND)):
            found += 1
    assert 40 <= found <= 51


async def _is_waiting(pace: Pace, due: int) -> bool:
    turn = asyncio.ensure_future(pace.turn(due))
    await asyncio.sleep(0)
    done = turn.done()
    turn.cancel()
    await asyncio.gather(turn, return_exceptions=True)
    return not done
