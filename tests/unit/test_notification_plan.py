"""What is told singly, what in one message, and what waits: decided by the ledger and event time."""

from hypothesis import given
from hypothesis import strategies as st

from infra.settings import ChannelLimits
from sinks.notifications.plan import Claim, Group, Part, plan

LIMITS = ChannelLimits(fold_over=5, fold_window_s=60)
OPEN_US = 1_700_000_000_000_000
OVER_US = OPEN_US + 60_000_000


def group(waiting: int, told: int = 0, rule: str = "r", type_: str = "signal", start: int = OPEN_US) -> Group:
    return Group(rule, type_, start, waiting, told)


def planned(
    *groups: Group,
    late: bool = False,
    now_us: int = OPEN_US,
    together: bool = False,
    ended: bool = False,
    room: int = 5,
    limits: ChannelLimits = LIMITS,
) -> list[Claim]:
    return plan(groups, late, now_us, limits, together=together, ended=ended, room=room)


def test_a_few_are_told_singly_at_once() -> None:
    few = group(3, told=2)
    assert planned(few) == [Claim("single", (Part(few),), most=5)]


def test_of_a_storm_the_first_are_told_singly_and_the_rest_when_the_window_is_over() -> None:
    assert planned(group(9_000)) == [Claim("single", (Part(group(9_000), 5),), most=5)]
    rest = group(8_995, told=5)
    assert planned(rest) == []
    assert planned(rest, now_us=OVER_US - 1) == []
    assert planned(rest, now_us=OVER_US) == [Claim("folded", (Part(rest),))]


def test_a_storm_whose_window_is_over_already_is_one_message() -> None:
    assert planned(group(6), now_us=OVER_US) == [Claim("folded", (Part(group(6)),))]


def test_a_window_far_ahead_of_the_clock_is_not_waited_for() -> None:
    rest = group(2, told=5)
    length_us = OVER_US - OPEN_US
    assert planned(rest, now_us=OPEN_US - 60 * length_us) == [Claim("folded", (Part(rest),))]
    assert planned(rest, now_us=OPEN_US - length_us - 1) == [Claim("folded", (Part(rest),))]
    assert planned(rest, now_us=OPEN_US - length_us) == []


def test_the_end_of_a_feed_ends_all_windows() -> None:
    assert planned(group(6), ended=True) == [Claim("folded", (Part(group(6)),))]


def test_a_straggler_of_a_storm_is_told_by_a_message_of_its_own() -> None:
    last = group(1, told=5)
    assert planned(last, now_us=OVER_US) == [Claim("single", (Part(last),), most=1)]


def test_rules_and_types_are_folded_apart() -> None:
    groups = group(7, rule="a"), group(7, rule="b"), group(7, rule="b", type_="price_alert")
    assert planned(*groups, now_us=OVER_US) == [Claim("folded", (Part(each),)) for each in groups]


def test_what_is_late_goes_into_a_digest_before_the_rest() -> None:
    assert planned(group(1), late=True, room=3) == [
        Claim("digest", late=True),
        Claim("single", (Part(group(1)),), most=2),
    ]


def test_no_more_is_made_than_there_is_room_for() -> None:
    groups = group(7, rule="a"), group(7, rule="b"), group(2, rule="c")
    assert [claim.form for claim in planned(*groups, late=True, now_us=OVER_US, room=2)] == [
        "digest",
        "folded",
    ]
    assert planned(*groups, room=0) == []


def test_what_has_waited_for_the_channel_goes_together() -> None:
    one, other = group(2, rule="a"), group(1, rule="b")
    assert planned(one, together=True) == [Claim("folded", (Part(one),))]
    assert planned(other, together=True) == [Claim("single", (Part(other),), most=1)]
    assert planned(one, other, together=True) == [Claim("digest", (Part(one), Part(other)))]
    assert planned(one, late=True, together=True) == [Claim("digest", (Part(one),), late=True)]
    assert planned(together=True) == []
    assert planned(group(3, told=5), together=True) == []


def test_folding_can_be_switched_off() -> None:
    limits = ChannelLimits(fold_over=0)
    assert planned(group(9_000), limits=limits) == [Claim("single", (Part(group(9_000)),), most=5)]


groups_of_windows = st.builds(
    Group,
    rule=st.sampled_from("ab"),
    type=st.sampled_from(["signal", "price_alert"]),
    start_us=st.integers(0, 3).map(lambda window: OPEN_US + window * 60_000_000),
    waiting=st.integers(1, 20),
    told=st.integers(0, 7),
)


@given(
    groups=st.lists(groups_of_windows, max_size=8, unique_by=lambda g: (g.rule, g.type, g.start_us)),
    late=st.booleans(),
    together=st.booleans(),
    limits=st.builds(ChannelLimits, fold_over=st.integers(0, 6)),
)
def test_everything_is_told_once_after_the_windows_are_over(
    groups: list[Group], late: bool, together: bool, limits: ChannelLimits
) -> None:
    """With room for all, each waiting cause is in exactly one claim."""
    claims = plan(groups, late, OPEN_US + 10**9, limits, together=together, ended=False, room=10_000)
    told: dict[Group, int] = {}
    for claim in claims:
        assert claim.parts or claim.late
        for part in claim.parts:
            count = part.group.waiting if part.most is None else part.most
            told[part.group] = told.get(part.group, 0) + count
    assert told == {each: each.waiting for each in groups}
    assert sum(claim.late for claim in claims) == late
    if together:
        assert len(claims) <= 1
    for claim in claims:
        if claim.form == "folded":
            assert len({(part.group.rule, part.group.type) for part in claim.parts}) == 1
