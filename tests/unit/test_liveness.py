"""Whether a connection has gone mute: each channel against its own pace."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from producers.connect_pace import ConnectPace
from producers.liveness import AT_ONCE, BEYOND, DOUBT, LEARNED_AFTER, LEAST_S, Liveness

MANY = 2_000
"""Messages after which a pace is not doubted any more."""


def learned(**paces_s: float) -> tuple[Liveness, float]:
    """Channels that were heard at even distances, and the time then."""
    liveness = Liveness()
    end_s = MANY * max(paces_s.values())
    heard = sorted(
        (number * pace_s, name)
        for name, pace_s in paces_s.items()
        for number in range(1, int(end_s / pace_s) + 1)
    )
    for at_s, name in heard[-20 * MANY :]:
        liveness.heard({name: 1}, at_s)
    return liveness, end_s


def verdicts(
    liveness: Liveness, begin_s: float, end_s: float, step_s: float = 0.5
) -> list[tuple[float, str]]:
    """Times after `begin_s` at which a connection is given up; the next begins to count at once."""
    found = []
    at_s = begin_s
    while at_s < end_s:
        at_s += 0.5
        channel = liveness.mute(at_s)
        if channel is not None:
            found.append((at_s - begin_s, channel))
            liveness.begin(at_s)
    return found


def test_a_busy_channel_that_falls_silent_is_mute() -> None:
    liveness, now_s = learned(Trade=0.1)
    assert liveness.mute(now_s + LEAST_S) is None
    assert liveness.mute(now_s + 1.1 * LEAST_S) == "Trade"


def test_a_mute_channel_is_found_beside_one_that_goes_on() -> None:
    liveness, now_s = learned(Trade=0.1, Quote=0.1)
    for tenth in range(1, 120):
        liveness.heard({"Quote": 1}, now_s + tenth / 10)
    assert liveness.mute(now_s + 11.9) == "Trade"


def test_a_quiet_channel_has_its_own_patience() -> None:
    liveness, now_s = learned(Trade=60.0, Quote=1.0)
    assert not verdicts(liveness, now_s, now_s + LEAST_S)
    liveness, now_s = learned(Trade=60.0)
    assert not verdicts(liveness, now_s, now_s + BEYOND * 60.0)
    assert verdicts(liveness, now_s, now_s + BEYOND * 60.0 + 10.0)


def test_no_verdict_on_a_pace_that_is_not_known() -> None:
    liveness = Liveness()
    for number in range(LEARNED_AFTER - 1):
        liveness.heard({"Trade": 1}, float(number))
    assert liveness.mute(1e9) is None
    assert Liveness().mute(1e9) is None


def test_one_burst_of_a_quiet_symbol_is_not_yet_believed_to_be_its_pace() -> None:
    liveness = Liveness()
    for number in range(LEARNED_AFTER):
        liveness.heard({"Trade": 1}, number / 100)
    assert liveness.mute(LEAST_S * DOUBT / LEARNED_AFTER) is None


def test_what_a_busy_machine_reads_together_is_learned_from_all_the_same() -> None:
    liveness = Liveness()
    for number in range(6):
        liveness.heard({"Trade": 40}, float(number))
    assert liveness.mute(5.0 + LEAST_S) is None
    assert liveness.mute(6.0 + LEAST_S * (1.0 + DOUBT / (6 * AT_ONCE))) == "Trade"


def test_what_was_learned_outlives_a_connection_and_silence_counts_anew() -> None:
    liveness, now_s = learned(Trade=0.1)
    liveness.begin(now_s + 100.0)
    assert liveness.mute(now_s + 100.0 + LEAST_S) is None
    assert liveness.mute(now_s + 101.0 + LEAST_S) == "Trade"


def test_a_market_that_stands_still_brings_no_storm_of_reconnects() -> None:
    liveness, now_s = learned(Trade=0.1, Quote=0.2, BookUpdate=0.1, Ticker=1.0)
    found = verdicts(liveness, now_s, now_s + 3_600.0)
    assert len(found) <= 3, "one in an order of magnitude of time"


def test_a_reconnect_that_helped_leaves_the_pace_as_it_was() -> None:
    liveness, now_s = learned(Trade=0.1)
    assert verdicts(liveness, now_s, now_s + 11.0)
    again_s = now_s + 12.0
    liveness.begin(again_s)
    for tenth in range(1, 20):
        liveness.heard({"Trade": 1}, again_s + tenth / 10)
    assert liveness.mute(again_s + 2.0 + 1.1 * LEAST_S) == "Trade"


def test_a_portion_that_is_looked_at_late_changes_no_pace() -> None:
    liveness, now_s = learned(Trade=0.1)
    liveness.begin(now_s + 50.0)
    liveness.heard({"Trade": 1}, now_s + 0.1)
    assert liveness.mute(now_s + 50.0 + LEAST_S) is None


@given(
    st.lists(st.floats(0.001, 300.0), min_size=LEARNED_AFTER, max_size=80),
    st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30),
)
def test_silences_up_to_the_usual_never_count(silences_s: list[float], shares: Iterable[float]) -> None:
    liveness, now_s = Liveness(), 0.0
    liveness.heard({"Trade": 1}, now_s)
    for silence_s in silences_s:
        now_s += silence_s
        liveness.heard({"Trade": 1}, now_s)
    longest_s = max(silences_s)
    for share in shares:
        assert liveness.mute(now_s + share * longest_s) is None
        now_s += share * longest_s
        liveness.heard({"Trade": 1}, now_s)


@given(st.floats(1.0, 600.0), st.lists(st.floats(0.0, 20.0), max_size=300))
def test_turns_to_connect_never_exceed_the_limit_of_a_minute(
    per_minute: float, pauses_s: list[float]
) -> None:
    pace, now_s, turns_s = ConnectPace(per_minute), 0.0, []
    for pause_s in pauses_s:
        now_s += pause_s
        turns_s.append(now_s + pace.reserve(now_s))
    for index, begin_s in enumerate(turns_s):
        within = sum(begin_s <= at_s < begin_s + 60.0 for at_s in turns_s[index:])
        assert within <= per_minute + 1


def test_connections_lost_at_once_come_back_at_once() -> None:
    pace = ConnectPace(60.0)
    assert max(pace.reserve(1000.0) for _ in range(10)) < 1e-6
    assert pace.reserve(1000.0) > 0.0
