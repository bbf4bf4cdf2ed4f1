"""Repeats, restarts, refusals and odd times of a feed."""

from hypothesis import given
from hypothesis import strategies as st

from producers.continuity import BETWEEN_RUNS, Position
from producers.feed import AHEAD_LIMIT_US
from producers.outputs import Output, Refusal
from producers.resumed import Resumed
from schemas.records import Gap
from tests.feed_frames import DAY_MS, T0_MS, feed, quote, run, told, trade


def test_repeated_quotes_are_not_published_again() -> None:
    assert told(run(feed(), quote(5), quote(5), quote(3), quote(9))) == [
        ("quote", 5),
        ("repeat", 5),
        ("repeat", 3),
        ("quote", 9),
    ]


def test_the_same_feed_again_publishes_its_final_mark_alone() -> None:
    frames = [trade(number, number * 400) for number in range(1, 6)]
    first = feed()
    run(first, *frames, end=True)
    trades, quotes = first.positions
    again = feed(Resumed(trades, quotes, (T0_MS + 2000) * 1000))
    assert [entry for entry in told(run(again, *frames, end=True)) if entry[0] != "repeat"] == [
        ("mark", 2000, True)
    ]


def test_a_restart_tells_what_was_missed_while_nothing_ran() -> None:
    resumed = Resumed({"BTC/USDT": Position(10, T0_MS * 1000)}, {}, T0_MS * 1000)
    outputs = run(feed(resumed), trade(10), trade(14, 5000))
    assert told(outputs) == [("repeat", 10), ("opened", 11, 13), ("ask", "trades", 11, 13), ("trade", 14)]
    outputs = run(feed(resumed), trade(14, 5000))
    assert isinstance(outputs[0], Gap)
    assert outputs[0].reason.startswith(BETWEEN_RUNS)


def test_a_venue_that_counts_anew_after_a_restart_is_followed() -> None:
    resumed = Resumed({"BTC/USDT": Position(1_000_000, T0_MS * 1000)}, {}, T0_MS * 1000)
    outputs = run(feed(resumed), trade(7, DAY_MS), trade(8, DAY_MS + 1))
    assert told(outputs) == [("given_up", None, None), ("trade", 7), ("mark", DAY_MS, False), ("trade", 8)]


def test_a_bad_frame_is_refused_and_the_feed_goes_on() -> None:
    bad = trade(2, p="NaN")
    outputs = run(feed(), trade(1), bad, b"nonsense", trade(3))
    assert told(outputs) == [
        ("trade", 1),
        ("mark", 0, False),
        ("refused", "price"),
        ("refused", "json"),
        ("opened", 2, 2),
        ("ask", "trades", 2, 2),
        ("trade", 3),
    ]
    assert isinstance(outputs[2], Refusal)
    assert outputs[2].frame == bad


def test_a_refused_quote_is_known_as_one() -> None:
    (refusal,) = run(feed(), quote(1).replace(b'"1.0"', b'"-1"'))
    assert isinstance(refusal, Refusal)
    assert refusal.channel == "quotes"


def test_a_time_far_ahead_of_the_feed_is_refused_and_moves_no_mark() -> None:
    outputs = run(feed(), trade(1), trade(2, DAY_MS), trade(3, 10), trade(4, 20), end=True)
    assert told(outputs) == [
        ("trade", 1),
        ("mark", 0, False),
        ("refused", "ahead"),
        ("opened", 2, 2),
        ("ask", "trades", 2, 2),
        ("trade", 3),
        ("trade", 4),
        ("given_up", 2, 2),
        ("mark", 20, True),
    ]


def test_a_time_far_ahead_at_the_very_end_is_refused() -> None:
    outputs = run(feed(), trade(1), trade(2, DAY_MS), end=True)
    assert told(outputs)[-2:] == [("refused", "ahead"), ("mark", 0, True)]


def test_a_feed_without_any_time_ends_with_a_final_mark_as_well() -> None:
    assert told(run(feed(), quote(1), trade(1, p="0.0"), end=True)) == [
        ("quote", 1),
        ("refused", "price"),
        ("mark", -T0_MS, True),
    ]


def test_a_long_silence_that_the_next_record_confirms_is_believed() -> None:
    late = AHEAD_LIMIT_US // 1000 + 60_000
    outputs = run(feed(), trade(1), trade(2, late), quote(1), trade(3, late + 5))
    assert told(outputs) == [
        ("trade", 1),
        ("mark", 0, False),
        ("quote", 1),
        ("trade", 2),
        ("mark", late, False),
        ("trade", 3),
    ]


def test_a_bad_time_is_refused_again_when_the_feed_is_repeated() -> None:
    frames = [trade(1), trade(2, DAY_MS), trade(3, 10), trade(4, 20)]
    first = feed()
    run(first, *frames, end=True)
    trades, _ = first.positions
    outputs = run(feed(Resumed(trades, {}, T0_MS * 1000)), *frames, end=True)
    assert "trade" not in {entry[0] for entry in told(outputs)}


def test_live_time_goes_on_in_silence_and_a_late_trade_after_it_is_believed() -> None:
    live = feed(idle_marks=True)
    outputs: list[Output] = []
    live.take(trade(1), T0_MS * 1000, 100.0, outputs)
    outputs.clear()
    live.tick(700.0, 700.0, outputs)
    assert told(outputs) == [("mark", 600_000, False)]
    outputs.clear()
    live.take(trade(2, 599_000), (T0_MS + 599_000) * 1000, 699.5, outputs)
    assert told(outputs) == [("trade", 2)]


def test_answers_of_the_venue_pass_through() -> None:
    assert told(run(feed(), b'{"result":null,"id":3}')) == [("accepted", 3)]


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 5_000)), max_size=60))
def test_each_id_is_published_once_and_gaps_name_what_was_skipped(events: list[tuple[int, int]]) -> None:
    outputs = run(feed(), *(trade(number, at_ms) for number, at_ms in events), end=True)
    highest: int | None = None
    announced: tuple[int, int] | None = None
    last_mark = 0
    for entry in told(outputs):
        if entry[0] == "opened":
            announced = (entry[1], entry[2])
        elif entry[0] == "trade":
            skips = highest is not None and entry[1] > highest + 1
            assert announced == ((highest + 1, entry[1] - 1) if skips and highest is not None else None)
            announced, highest = None, max(entry[1], highest or 0)
        elif entry[0] == "mark":
            assert entry[1] >= last_mark or entry == ("mark", -T0_MS, True)
            last_mark = entry[1]
    published = [entry[1] for entry in told(outputs) if entry[0] == "trade"]
    assert sorted(published) == sorted({number for number, _ in events})
