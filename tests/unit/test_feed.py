"""What a feed publishes, and in which order: repeats, gaps, marks, refusals."""

from producers.continuity import Position
from producers.outputs import Ask, Output
from producers.resumed import OpenHole, Resumed
from schemas.records import Gap, Trade
from tests.feed_frames import T0_MS, delta, depth, feed, page, run, streams, told, trade


def test_marks_follow_the_records_that_they_cover() -> None:
    assert told(run(feed(), trade(1, 100), trade(2, 900), trade(3, 1000), trade(4, 1500), end=True)) == [
        ("trade", 1),
        ("mark", 100, False),
        ("trade", 2),
        ("trade", 3),
        ("mark", 1000, False),
        ("trade", 4),
        ("mark", 1500, True),
    ]


def test_missing_ids_are_told_before_the_trade_that_reveals_them_and_asked_for() -> None:
    outputs = run(feed(), trade(1, 100), trade(5, 200))
    assert told(outputs) == [
        ("trade", 1),
        ("mark", 100, False),
        ("opened", 2, 4),
        ("ask", "trades", 2, 4),
        ("trade", 5),
    ]
    gap = outputs[2]
    assert gap == Gap(
        venue="binance",
        symbol="BTC/USDT",
        source="binance-spot-0",
        status="opened",
        first_sequence=2,
        last_sequence=4,
        from_time=(T0_MS + 100) * 1000,
        to_time=(T0_MS + 200) * 1000,
        reason="3 missing ids",
    )


def test_no_mark_passes_an_open_gap_and_the_newest_follows_its_end() -> None:
    fed = feed()
    outputs = run(fed, trade(1, 100), trade(5, 1200), trade(6, 2300))
    assert [entry for entry in told(outputs) if entry[0] == "mark"] == [("mark", 100, False)]
    (ask,) = [output for output in outputs if isinstance(output, Ask)]
    outputs.clear()
    fed.answer(ask.call, page(2, 3, 4, 5, 6, 7), 1, 0.1, outputs)
    assert told(outputs) == [
        ("trade", 2),
        ("trade", 3),
        ("trade", 4),
        ("filled", 2, 4),
        ("mark", 2300, False),
    ]
    found = outputs[0]
    assert isinstance(found, Trade)
    assert found.backfilled
    assert found.price == 1.5
    assert found.side == "sell"


def test_what_cannot_be_had_is_given_up_and_marks_go_on() -> None:
    fed = feed()
    outputs = run(fed, trade(1, 100), trade(5, 1200))
    (ask,) = [output for output in outputs if isinstance(output, Ask)]
    outputs.clear()
    fed.answer(ask.call, None, 1, 0.1, outputs)
    assert told(outputs) == [("given_up", 2, 4), ("mark", 1200, False)]


def test_a_gap_is_given_up_when_marks_have_waited_long_enough() -> None:
    fed = feed()
    run(fed, trade(1, 100), trade(5, 1200))
    outputs: list[Output] = []
    fed.tick(29.9, None, outputs)
    assert outputs == []
    fed.tick(30.0, None, outputs)
    assert told(outputs) == [("given_up", 2, 4), ("mark", 1200, False)]


def test_after_a_disconnect_symbols_are_caught_up_with_before_the_next_mark() -> None:
    fed = feed()
    run(fed, trade(1, 100), trade(7, 100, symbol="ETHUSDT"))
    outputs: list[Output] = []
    both = streams(fed, "trades")
    fed.interrupted(both, 1.0, outputs)
    fed.connected(both, 2.0, outputs)
    assert told(outputs) == [("ask", "trades", 2, None), ("ask", "trades", 8, None)]
    calls = [output.call for output in outputs if isinstance(output, Ask)]
    outputs.clear()
    fed.take(trade(4, 3000), 1, 2.1, outputs)
    assert told(outputs) == [("opened", 2, 3), ("ask", "trades", 2, 3), ("trade", 4)]
    outputs.clear()
    fed.answer(calls[1], page(8, 9), 1, 2.2, outputs)
    assert told(outputs) == [("trade", 8), ("trade", 9), ("ask", "trades", 10, None)]
    outputs.clear()
    fed.answer(calls[1], b"[]", 1, 2.3, outputs)
    assert outputs == []


def test_holes_that_the_log_announces_are_gone_on_with_after_a_restart() -> None:
    opened = Gap("binance", "BTC/USDT", "binance-spot-0", "opened", 3, 6, T0_MS * 1000, T0_MS * 1000, "x")
    position = Position(9, (T0_MS + 9) * 1000)
    resumed = Resumed({"BTC/USDT": position}, {}, T0_MS * 1000, (OpenHole(opened, {4: T0_MS * 1000}),))
    fed = feed(resumed)
    outputs: list[Output] = []
    fed.connected(streams(fed, "trades"), 0.0, outputs)
    asked = {entry[2:] for entry in told(outputs)}
    assert asked == {(10, None), (3, 6)}
    calls = {output.call.last: output.call for output in outputs if isinstance(output, Ask)}
    outputs.clear()
    fed.answer(calls[6], page(3, 4, 5, 6, 7), 1, 0.1, outputs)
    assert told(outputs) == [("trade", 3), ("repeat", 4), ("trade", 5), ("trade", 6), ("filled", 3, 6)]


def test_a_book_begins_with_a_snapshot_that_is_asked_for() -> None:
    fed = feed()
    outputs = run(fed, delta(5, 6), delta(7, 8))
    assert told(outputs) == [("ask", "book", None, None)]
    (ask,) = [output for output in outputs if isinstance(output, Ask)]
    outputs.clear()
    fed.answer(ask.call, depth(6), 1, 0.1, outputs)
    assert told(outputs) == [("snapshot", None, 6), ("delta", 7, 8)]


def test_a_book_that_misses_updates_is_built_anew_alone() -> None:
    fed = feed()
    outputs = run(fed, delta(5, 6))
    (ask,) = [output for output in outputs if isinstance(output, Ask)]
    fed.answer(ask.call, depth(6), 1, 0.1, outputs)
    outputs = run(fed, delta(7, 8), delta(12, 13), trade(1))
    assert told(outputs) == [
        ("delta", 7, 8),
        ("book", "opened", 9, 11),
        ("ask", "book", None, None),
        ("trade", 1),
        ("mark", 0, False),
    ]
    outputs.clear()
    fed.answer(ask.call, depth(12), 1, 0.2, outputs)
    assert told(outputs)[:2] == [("snapshot", None, 12), ("book", "filled", 9, 11)]


def test_a_snapshot_that_cannot_be_had_is_asked_for_again() -> None:
    fed = feed()
    outputs = run(fed, delta(5, 6))
    (ask,) = [output for output in outputs if isinstance(output, Ask)]
    outputs.clear()
    fed.answer(ask.call, None, 1, 0.0, outputs)
    fed.tick(0.9, None, outputs)
    assert outputs == []
    fed.tick(1.0, None, outputs)
    assert told(outputs) == [("ask", "book", None, None)]


def test_a_gap_of_one_symbol_is_none_of_another() -> None:
    outputs = run(feed(), trade(1), trade(900, symbol="ETHUSDT"), trade(2), trade(902, symbol="ETHUSDT"))
    assert [entry for entry in told(outputs) if entry[0] == "opened"] == [("opened", 901, 901)]


def test_repeated_ids_are_not_published_again() -> None:
    outputs = run(feed(), trade(4), trade(5), trade(5), trade(4, 70_000), trade(6))
    assert told(outputs) == [
        ("trade", 4),
        ("mark", 0, False),
        ("trade", 5),
        ("repeat", 5),
        ("repeat", 4),
        ("trade", 6),
    ]


def test_ids_that_arrive_in_another_order_are_published_each_once() -> None:
    outputs = run(feed(), *(trade(number) for number in (5, 8, 6, 6, 9, 4, 7, 5, 8, 4, 7)))
    assert [entry for entry in told(outputs) if entry[0] not in ("mark", "ask")] == [
        ("trade", 5),
        ("opened", 6, 7),
        ("trade", 8),
        ("trade", 6),
        ("repeat", 6),
        ("trade", 9),
        ("trade", 4),
        ("trade", 7),
        ("filled", 6, 7),
        ("repeat", 5),
        ("repeat", 8),
        ("repeat", 4),
        ("repeat", 7),
    ]


def test_what_the_log_held_before_a_restart_is_not_published_again_however_the_ids_come() -> None:
    resumed = Resumed({"BTC/USDT": Position(10, T0_MS * 1000)}, {}, T0_MS * 1000)
    outputs = run(feed(resumed), trade(11), trade(14), trade(9), trade(11), trade(12), trade(12), trade(13))
    assert [entry for entry in told(outputs) if entry[0] not in ("mark", "ask")] == [
        ("trade", 11),
        ("opened", 12, 13),
        ("trade", 14),
        ("repeat", 9),
        ("repeat", 11),
        ("trade", 12),
        ("repeat", 12),
        ("trade", 13),
        ("filled", 12, 13),
    ]
