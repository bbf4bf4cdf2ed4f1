"""What stands between messages and a channel: rate, pauses, breaker."""

import asyncio

import pytest

from infra.settings import ChannelLimits
from schemas.errors import BreakerOpenError, CallTimeoutError, UnavailableError
from sinks.notifications.channel import ChannelBusyError, ChannelRefusedError
from sinks.notifications.gate import Gate


class Time:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Channel:
    """Ends each message as it is told to."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.sent = 0

    async def deliver(self, left_s: float) -> None:
        assert left_s > 0
        if self.error is not None:
            raise self.error
        self.sent += 1


@pytest.fixture
def time() -> Time:
    return Time()


def gate_of(time: Time, limits: ChannelLimits, told: list[str] | None = None) -> Gate:
    return Gate("desk", limits, lambda: None if told is None else told.append("suspended"), time)


async def fail(gate: Gate, channel: Channel, time: Time) -> None:
    time.now_s += gate.delay_s
    assert channel.error is not None
    with pytest.raises(type(channel.error)):
        await gate.send(channel.deliver)


async def test_a_burst_passes_then_the_rate_holds(time: Time) -> None:
    gate, channel = gate_of(time, ChannelLimits(per_minute=30, burst=3, at_once=2)), Channel()
    assert gate.room == 2
    for _ in range(3):
        assert gate.delay_s == 0
        await gate.send(channel.deliver)
    assert gate.room == 0
    assert gate.delay_s == pytest.approx(2.0)
    time.now_s += 2.0
    assert gate.room == 1


async def test_without_a_rate_only_the_places_count(time: Time) -> None:
    gate, channel = gate_of(time, ChannelLimits(per_minute=0, at_once=4)), Channel()
    for _ in range(1000):
        await gate.send(channel.deliver)
    assert gate.room == 4


async def test_a_channel_that_asks_us_to_wait_is_not_asked_again_before(time: Time) -> None:
    gate, channel = gate_of(time, ChannelLimits()), Channel()
    for _ in range(7):
        channel.error = ChannelBusyError("wait", 12.5)
        await fail(gate, channel, time)
        assert gate.delay_s == pytest.approx(12.5)
    # It works: it is not suspended.
    assert not gate.is_on_trial
    channel.error = ChannelBusyError("wait", 1e9)
    await fail(gate, channel, time)
    assert gate.delay_s == pytest.approx(3600)


@pytest.mark.parametrize("error", [UnavailableError("500"), ChannelRefusedError("revoked")])
async def test_a_channel_that_fails_is_suspended_and_then_tried_by_one_message(
    time: Time, error: Exception
) -> None:
    told: list[str] = []
    gate, channel = gate_of(time, ChannelLimits(), told), Channel()
    channel.error = error
    for _ in range(5):
        assert not told
        await fail(gate, channel, time)
    assert told == ["suspended"]
    assert gate.delay_s == pytest.approx(30)
    with pytest.raises(BreakerOpenError):
        await gate.send(channel.deliver)
    time.now_s += 30
    assert gate.is_on_trial
    assert gate.room == 1
    # It fails again: nobody is told twice of one trouble.
    await fail(gate, channel, time)
    assert gate.delay_s == pytest.approx(30)
    assert told == ["suspended"]
    time.now_s += 30
    channel.error = None
    await gate.send(channel.deliver)
    assert not gate.is_on_trial
    assert gate.room == 5
    channel.error = error
    for _ in range(5):
        await fail(gate, channel, time)
    assert told == ["suspended"] * 2


async def test_a_message_that_hangs_is_cut_off(time: Time) -> None:
    gate = gate_of(time, ChannelLimits(timeout_s=0.05))

    async def hang(left_s: float) -> None:
        await asyncio.sleep(60)

    with pytest.raises(CallTimeoutError, match="no answer from desk"):
        await gate.send(hang)
