"""When a time mark is due, and what it says."""

from hypothesis import given
from hypothesis import strategies as st

from producers.marks import NOTHING_US, SECOND_US, MarkClock

T0 = 1_723_161_255_342_000


def step(clock: MarkClock, event_us: int, at_s: float = 0.0, receive_us: int | None = None) -> int | None:
    clock.observe(event_us, event_us if receive_us is None else receive_us, at_s)
    return clock.delivered(event_us)


def test_the_first_record_is_marked_at_once() -> None:
    assert step(MarkClock(idle=False), T0) == T0


def test_a_mark_comes_with_each_new_second_and_says_the_newest_time() -> None:
    clock = MarkClock(idle=False)
    step(clock, T0)
    second = T0 // SECOND_US * SECOND_US + SECOND_US
    assert step(clock, T0 + 1) is None
    assert step(clock, second - 1) is None
    assert step(clock, second + 5) == second + 5
    assert step(clock, second + 9) is None
    assert step(clock, second + 7) is None
    assert clock.final() == second + 9


def test_a_late_record_brings_no_mark() -> None:
    clock = MarkClock(idle=False)
    step(clock, T0)
    assert step(clock, T0 - 10 * SECOND_US) is None
    assert clock.newest_us == T0


@given(st.lists(st.integers(0, 50_000_000), min_size=1))
def test_marks_never_go_back_and_never_run_ahead(offsets: list[int]) -> None:
    clock = MarkClock(idle=False)
    marks: list[int] = []
    newest = 0
    for offset in offsets:
        newest = max(newest, T0 + offset)
        mark = step(clock, T0 + offset)
        if mark is not None:
            assert mark == newest
            marks.append(mark)
    seconds = [mark // SECOND_US for mark in marks]
    assert seconds == sorted(set(seconds)), "one mark a second at most, in order"
    assert marks[-1] // SECOND_US == newest // SECOND_US, "the newest second is always marked"
    assert clock.final() == newest


def test_a_feed_that_delivered_nothing_ends_before_all_that_any_market_did() -> None:
    assert MarkClock(idle=False).final() == NOTHING_US


def test_a_restart_never_marks_before_the_mark_in_the_log() -> None:
    clock = MarkClock(idle=False, newest_us=T0 + 5 * SECOND_US)
    assert step(clock, T0) == T0 + 5 * SECOND_US
    assert step(clock, T0 + SECOND_US) is None
    assert step(clock, T0 + 6 * SECOND_US) == T0 + 6 * SECOND_US


def test_a_feed_that_only_repeats_ends_at_the_mark_in_the_log() -> None:
    clock = MarkClock(idle=False, newest_us=T0)
    clock.observe(T0 - SECOND_US, T0, 0.0)
    assert clock.final() == T0


def test_a_silent_playback_stands_still() -> None:
    clock = MarkClock(idle=False)
    step(clock, T0, at_s=10.0)
    assert clock.silent(answered_s=100.0) is None


def test_a_silent_live_feed_goes_on_by_the_monotonic_clock_less_the_delay() -> None:
    clock = MarkClock(idle=True)
    assert clock.silent(0.0) is None, "nothing goes on before the first record"
    step(clock, T0, at_s=10.0, receive_us=T0 + 250_000)
    assert clock.silent(answered_s=10.1) is None
    assert clock.silent(answered_s=15.0) == T0 + 5 * SECOND_US - 250_000
    assert clock.silent(answered_s=15.0) is None
    assert clock.silent(answered_s=12.0) is None


def test_the_slowest_record_of_the_last_minute_counts() -> None:
    clock = MarkClock(idle=True)
    step(clock, T0, at_s=10.0)
    step(clock, T0 + 1_000_000, at_s=13.0)  # two seconds slower than the first
    step(clock, T0 + 4_000_000, at_s=14.0)
    assert clock.silent(answered_s=20.0) == T0 + 8 * SECOND_US
    step(clock, T0 + 66_000_000, at_s=76.0)  # the slow one is more than a minute ago
    assert clock.silent(answered_s=80.0) == T0 + 70 * SECOND_US


def test_a_clock_behind_the_exchange_does_not_push_time_ahead() -> None:
    clock = MarkClock(idle=True)
    step(clock, T0, at_s=10.0, receive_us=T0 - 1_270_000)
    assert clock.silent(answered_s=15.0) == T0 + 5 * SECOND_US


def test_a_clock_that_is_years_off_does_not_hold_time_back() -> None:
    clock = MarkClock(idle=True)
    step(clock, T0, at_s=10.0, receive_us=T0 + 10**14)
    assert clock.silent(answered_s=25.0) == T0 + 10 * SECOND_US


def test_a_record_that_comes_while_time_went_on_is_late_and_brings_no_mark() -> None:
    clock = MarkClock(idle=True)
    step(clock, T0, at_s=10.0)
    assert clock.silent(answered_s=15.0) is not None
    assert step(clock, T0 + 2 * SECOND_US, at_s=15.1) is None
