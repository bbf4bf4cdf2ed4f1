"""Plans of faults: how they are written, and what they make of a market's frames."""

from collections.abc import Sequence

import pytest

from producers.simulator.faults import Fault, parse_fault
from producers.simulator.injection import Break, Injection, Oversize, Pause, Send, Shutdown, Step
from schemas.errors import ConfigurationError


def run(injection: Injection, frames: int, stream: str = "s") -> list[Step]:
    """The steps that numbered frames lead to, those held back at the end included."""
    steps: list[Step] = []
    for number in range(frames):
        steps += injection.frame(stream, b"%d" % number, "trades")
    return steps + list(injection.drain())


def numbers(steps: Sequence[Step]) -> list[int]:
    return [int(step.data) for step in steps if isinstance(step, Send)]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("gap@5000:20", Fault("gap", at=5_000, amount=20)),
        ("gap@10:2.5s/books", Fault("gap", at=10, amount_s=2.5, channel="books")),
        ("mute@30s", Fault("mute", at_s=30.0)),
        ("mute@7:100", Fault("mute", at=7, amount=100)),
        ("shutdown@5", Fault("shutdown", at=5, amount_s=2.0)),
        ("shutdown@5:0.5s", Fault("shutdown", at=5, amount_s=0.5)),
        ("429@0:3", Fault("429", amount=3)),
        (" wrong_ack@0 ", Fault("wrong_ack")),
    ],
)
def test_a_fault_is_written_as_kind_at_amount_and_channel(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("gap", "expected a fault such as"),
        ("gone@5", "kinds: gap"),
        ("gap@5/flowers", "there is no channel flowers"),
        ("duplicate@5:2s", "without s"),
        ("gap@5.5", "whole numbers"),
        ("gap@5:1.5", "whole numbers"),
    ],
)
def test_what_is_no_fault_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        parse_fault(text)


def test_without_faults_every_frame_passes() -> None:
    injection = Injection()
    assert injection.is_idle
    assert numbers(run(injection, 3)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gap@2:3", [0, 1, 5, 6]),
        ("duplicate@2:2", [0, 1, 2, 2, 3, 3, 4, 5, 6]),
        ("reorder@2:1", [0, 1, 3, 2, 4, 5, 6]),
        ("reorder@6:1", [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_frames_are_left_out_doubled_and_swapped(text: str, expected: list[int]) -> None:
    injection = Injection([parse_fault(text)])
    assert numbers(run(injection, 7)) == expected
    assert injection.is_idle
    assert injection.injected == [parse_fault(text)]


def test_only_neighbours_of_one_stream_are_swapped() -> None:
    injection = Injection([parse_fault("reorder@0:5")])
    steps = [step for name in "abba" for step in injection.frame(name, name.encode(), None)]
    assert [step.stream for step in steps if isinstance(step, Send)] == ["b", "b", "a", "a"]


def test_other_channels_pass_and_do_not_count() -> None:
    injection = Injection([parse_fault("gap@0:1/books")])
    assert injection.frame("t", b"1", "trades") == [Send("t", b"1")]
    assert injection.frame("b", b"2", "books") == []
    assert injection.frame("b", b"3", "books") == [Send("b", b"3")]


def test_damage_and_delays_accompany_a_frame() -> None:
    assert run(Injection([parse_fault("malformed@0:1")]), 1) == [Send("s", b"0", cut=True)]
    assert run(Injection([parse_fault("slow@0:1")]), 1) == [Pause(0.02), Send("s", b"0")]
    assert run(Injection([parse_fault("oversize@0:1")]), 1) == [Oversize("s"), Send("s", b"0")]
    assert run(Injection([parse_fault("shutdown@0:3s")]), 1) == [Shutdown(3.0), Send("s", b"0")]


@pytest.mark.parametrize("kind", ["mute", "no_pong", "disconnect"])
def test_the_market_goes_on_for_a_while_when_its_connections_have_ended(kind: str) -> None:
    injection = Injection([parse_fault(f"{kind}@1:3")])
    assert not injection.runs_on
    steps: list[Step] = []
    heard = []
    for number in range(5):
        steps += injection.frame("s", b"%d" % number, "trades")
        heard.append(injection.runs_on)
    assert [step for step in steps if isinstance(step, Break)] == [Break(kind)]  # type: ignore[arg-type]
    assert heard == [False, True, True, False, False]


def test_times_are_counted_from_the_first_frame() -> None:
    now = [100.0]
    injection = Injection([parse_fault("gap@2s:1s")], clock=lambda: now[0])
    passed = []
    for second in (0.0, 1.9, 2.0, 2.9, 3.1):
        now[0] = 100.0 + second
        passed.append(bool(injection.frame("s", b"1", None)))
    assert passed == [True, True, False, False, True]


def test_requests_are_refused_as_often_as_planned_once_it_is_time() -> None:
    injection = Injection([parse_fault("429@1:2"), parse_fault("html@1"), parse_fault("wrong_ack@0")])
    assert injection.http() is None
    assert injection.subscription() == "wrong_ack"
    assert injection.subscription() is None
    injection.frame("s", b"1", None)
    assert [injection.http() for _ in range(4)] == ["429", "429", "html", None]
    assert [fault.kind for fault in injection.injected] == ["wrong_ack", "429", "html"]
