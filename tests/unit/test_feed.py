"""What a feed publishes, and in which order: repeats, gaps, marks, refusals."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from producers.continuity import BETWEEN_RUNS, Position
from producers.exchange import Control, Stream
from producers.feed import AHEAD_LIMIT_US, Feed, Patience
from producers.markets import exchange_class
from producers.outputs import Ask, BookGap, Output, Refusal, Repeat
from producers.resumed import OpenHole, Resumed
from schemas.records import BookUpdate, Gap, Quote, TimeMark, Trade

T0_MS = 1_723_161_255_000
DAY_MS = 86_400_000
MARKET = exchange_class("binance", "spot")
INSTRUMENTS = [found for name in ("BTCUSDT", "ETHUSDT") if (found := MARKET.guess(name)) is not None]


def feed(resumed: Resumed | None = None, idle_marks: bool = False) -> Feed:
    exchange = MARKET(INSTRUMENTS, ["trades", "quotes", "books"])
    return Feed(exchange, "binance-spot-0", "run", idle_marks, resumed, Patience(30.0, 60.0))


def streams(fed: Feed, channel: str, *symbols: str) -> list[Stream]:
    return [stream for stream in fed.exchange.streams(symbols or None) if stream.channel == channel]


def page(*numbers: int) -> bytes:
    """A page of past trades as the venue's REST interface answers it."""
    return json.dumps(
        [
            {"id": n, "price": "1.5", "qty": "2.0", "quoteQty": "3", "time": T0_MS + n, "isBuyerMaker": True}
            for n in numbers
        ]
    ).encode()


def delta(first: int, last: int, bid: str = "1.0") -> bytes:
    data = {"e": "depthUpdate", "E": T0_MS + last, "s": "BTCUSDT", "U": first, "u": last}
    levels = {"b": [[bid, "2.0"]], "a": []}
    return json.dumps(
        {"stream": "btcusdt@depth@100ms", "data": data | levels}, separators=(",", ":")
    ).encode()


def depth(last: int) -> bytes:
    """A book as the venue's REST interface answers it."""
    return json.dumps({"lastUpdateId": last, "bids": [["1.0", "5.0"]], "asks": [["1.1", "5.0"]]}).encode()


def trade(number: int, at_ms: int = 0, symbol: str = "BTCUSDT", **fields: Any) -> bytes:
    data = {"e": "trade", "s": symbol, "t": number, "p": "1.5", "q": "2.0", "T": T0_MS + at_ms, "m": True}
    return json.dumps(
        {"stream": f"{symbol.lower()}@trade", "data": data | fields}, separators=(",", ":")
    ).encode()


def quote(number: int, symbol: str = "BTCUSDT") -> bytes:
    data = {"u": number, "s": symbol, "b": "1.0", "B": "2.0", "a": "1.1", "A": "3.0"}
    return json.dumps(
        {"stream": f"{symbol.lower()}@bookTicker", "data": data}, separators=(",", ":")
    ).encode()


def run(fed: Feed, *frames: bytes, end: bool = False) -> list[Output]:
    outputs: list[Output] = []
    for frame in frames:
        fed.take(frame, 1, 0.0, outputs)
    if end:
        fed.end(outputs)
    return outputs


def told(outputs: list[Output]) -> list[tuple[Any, ...]]:
    """Outputs in short: (trade, id), (mark, ms after T0, final), (gap, first, last) ..."""
    short: list[tuple[Any, ...]] = []
    for output in outputs:
        match output:
            case Trade():
                short.append(("trade", output.sequence))
            case Quote():
                short.append(("quote", output.sequence))
            case TimeMark():
                short.append(("mark", output.time // 1000 - T0_MS, output.final))
            case Gap():
                short.append((output.status, output.first_sequence, output.last_sequence))
            case Ask():
                short.append(("ask", output.call.kind, output.call.first, output.call.last))
            case BookGap():
                gap = output.gap
                short.append(("book", gap.status, gap.first_sequence, gap.last_sequence))
            case BookUpdate():
                short.append((output.kind, output.first_sequence, output.last_sequence))
            case Refusal():
                short.append(("refused", output.error.reason))
            case Repeat(record=Trade() | Quote() as record):
                short.append(("repeat", record.sequence))
            case Control():
                short.append((output.kind, output.request))
    return short


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
