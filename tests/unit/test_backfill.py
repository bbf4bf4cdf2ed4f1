"""Holes in the trades of a symbol: what is asked, what is said, and when marks may go on."""

from collections.abc import Sequence

from producers.backfill import ASK_AGAIN_S, REORDER_S, Backfill
from producers.continuity import Continuity, Missing, Position
from producers.exchange import Call
from producers.markets import exchange_class
from producers.outputs import Ask, Output
from schemas.records import Gap, Instrument, Trade

SYMBOL = "BTC/USDT"
HOLD_S = 30.0


def trade(sequence: int, backfilled: bool = False, time: int | None = None) -> Trade:
    return Trade(
        venue="binance",
        symbol=SYMBOL,
        trade_id=str(sequence),
        sequence=sequence,
        price=1.0,
        size=1.0,
        side="buy",
        event_time=sequence * 1_000 if time is None else time,
        receive_time=0,
        backfilled=backfilled,
    )


class Case:
    """A symbol's trades going through continuity and backfill, as a feed has them go."""

    def __init__(self, position: int | None = None, calls: bool = True) -> None:
        market = exchange_class("binance")
        instrument = market.guess("BTCUSDT")
        assert isinstance(instrument, Instrument)
        exchange = market([instrument])
        if not calls:
            exchange.trades_call = lambda symbol, first, last: None  # type: ignore[method-assign]
        positions = {} if position is None else {SYMBOL: Position(position, position * 1_000)}
        self.continuity = Continuity(positions)
        self.backfill = Backfill(exchange, "binance-spot-0", HOLD_S)
        self.out: list[Output] = []

    def take(self, *sequences: int, at_s: float = 0.0, backfilled: bool = False) -> None:
        for sequence in sequences:
            given = trade(sequence, backfilled)
            verdict = self.continuity.admit(given)
            if isinstance(verdict, Missing):
                self.backfill.miss(SYMBOL, verdict, at_s, self.out)
            if verdict is not False:
                newest = self.continuity.positions[SYMBOL].sequence
                self.backfill.delivered(given, verdict is True and sequence == newest, self.out)

    def answer(self, sequences: Sequence[int], at_s: float = 0.1) -> None:
        call = self.asked()[-1]
        self.take(*(s for s in sequences if call.last is None or s <= call.last), backfilled=True)
        trades = [trade(sequence, backfilled=True) for sequence in sequences]
        self.backfill.answered(call, trades, False, at_s, self.out)

    def asked(self) -> list[Call]:
        return [output.call for output in self.out if isinstance(output, Ask)]

    def said(self) -> list[tuple[str, int | None, int | None]]:
        return [
            (output.status, output.first_sequence, output.last_sequence)
            for output in self.out
            if isinstance(output, Gap)
        ]


def test_missing_ids_are_announced_asked_for_and_filled() -> None:
    case = Case()
    case.take(1, 2, 6)
    assert case.said() == [("opened", 3, 5)]
    assert [(call.first, call.last) for call in case.asked()] == [(3, 5)]
    assert case.backfill.is_open
    assert case.backfill.announced == 1
    case.answer([3, 4, 5, 6, 7])
    assert case.said() == [("opened", 3, 5), ("filled", 3, 5)]
    assert not case.backfill.is_open
    assert case.backfill.announced == 0


def test_ids_that_were_only_late_fill_the_hole_themselves() -> None:
    case = Case()
    case.take(1, 3, 2)
    assert case.said() == [("opened", 2, 2), ("filled", 2, 2)]
    assert not case.backfill.is_open


def test_what_the_venue_does_not_have_is_given_up_by_ranges_between_the_times_around_them() -> None:
    case = Case()
    case.take(1, 10)
    case.answer([4, 5, 10])
    assert case.said() == [("opened", 2, 9), ("given_up", 2, 3), ("given_up", 6, 9)]
    first, second = (output for output in case.out[2:] if isinstance(output, Gap))
    assert (first.from_time, first.to_time) == (1_000, 4_000)
    assert (second.from_time, second.to_time) == (5_000, 10_000)
    assert not case.backfill.is_open


def test_a_long_hole_is_asked_for_page_by_page() -> None:
    case = Case()
    case.take(1, 10)
    case.answer([2, 3, 4])
    case.answer([5, 6, 7])
    case.answer([8, 9, 10])
    assert [call.first for call in case.asked()] == [2, 5, 8]
    assert case.said()[-1] == ("filled", 2, 9)


def test_a_venue_that_does_not_know_its_newest_trades_yet_is_asked_again() -> None:
    case = Case()
    case.take(1, 3)
    case.answer([], at_s=0.1)
    case.backfill.tick(0.2, case.out)
    assert len(case.asked()) == 1
    case.backfill.tick(0.1 + ASK_AGAIN_S, case.out)
    assert len(case.asked()) == 2
    case.answer([2])
    assert case.said()[-1] == ("filled", 2, 2)


def test_a_hole_is_given_up_when_its_time_is_over_or_the_call_fails() -> None:
    slow, failing = Case(), Case()
    slow.take(1, 3)
    slow.backfill.tick(HOLD_S - 0.1, slow.out)
    assert slow.backfill.is_open
    slow.backfill.tick(HOLD_S, slow.out)
    assert slow.said()[-1] == ("given_up", 2, 2)
    failing.take(1, 3)
    failing.backfill.failed(failing.asked()[0], failing.out)
    assert failing.said()[-1] == ("given_up", 2, 2)


def test_without_a_call_for_trades_late_ones_are_waited_for_a_moment() -> None:
    case = Case(calls=False)
    case.take(1, 3)
    case.backfill.tick(REORDER_S - 0.1, case.out)
    assert case.backfill.is_open
    case.backfill.tick(REORDER_S, case.out)
    assert case.said() == [("opened", 2, 2), ("given_up", 2, 2)]


def test_catching_up_says_nothing_where_nothing_was_missed() -> None:
    case = Case(position=5)
    case.backfill.catch_up(SYMBOL, Position(5, 5_000), HOLD_S, "not running", 0.0)
    case.backfill.tick(0.0, case.out)
    assert [(call.first, call.last) for call in case.asked()] == [(6, None)]
    case.answer([])
    assert case.said() == []
    assert not case.backfill.is_open


def test_catching_up_brings_what_was_missed() -> None:
    case = Case(position=5)
    case.backfill.catch_up(SYMBOL, Position(5, 5_000), HOLD_S, "not running", 0.0)
    case.backfill.tick(0.0, case.out)
    case.answer([6, 7, 8])
    case.answer([])
    assert case.continuity.positions[SYMBOL].sequence == 8
    assert case.said() == []
    assert not case.backfill.is_open


def test_a_trade_that_follows_the_last_one_proves_that_nothing_was_missed() -> None:
    case = Case(position=5)
    case.backfill.catch_up(SYMBOL, Position(5, 5_000), HOLD_S, "not running", 0.0)
    case.take(6)
    assert not case.backfill.is_open
    case.backfill.tick(0.0, case.out)
    assert case.asked() == []


def test_a_trade_that_skips_ids_tells_how_far_to_catch_up() -> None:
    case = Case(position=5)
    case.backfill.catch_up(SYMBOL, Position(5, 5_000), HOLD_S, "not running", 0.0)
    case.take(9)
    assert case.said() == [("opened", 6, 8)]
    case.answer([6, 7, 8])
    assert case.said()[-1] == ("filled", 6, 8)
    assert not case.backfill.is_open


def test_two_holes_of_a_symbol_are_filled_one_by_one() -> None:
    case = Case()
    case.take(1, 3, 5)
    assert case.said() == [("opened", 2, 2), ("opened", 4, 4)]
    case.take(4, 2, backfilled=True)
    assert case.said()[2:] == [("filled", 4, 4), ("filled", 2, 2)]


def test_a_suspicion_holds_the_marks_until_it_is_over() -> None:
    case = Case(position=5)
    case.backfill.suspect(SYMBOL, Position(5, 5_000), HOLD_S, "disconnected", 0.0)
    case.backfill.tick(1.0, case.out)
    assert case.asked() == []
    assert case.backfill.is_open
    case.backfill.tick(HOLD_S, case.out)
    assert case.said() == []
    assert not case.backfill.is_open


def test_what_is_open_at_the_end_is_given_up() -> None:
    case = Case()
    case.take(1, 4)
    case.backfill.give_up(case.out)
    assert case.said() == [("opened", 2, 3), ("given_up", 2, 3)]
    assert not case.backfill.is_open


def test_what_may_only_be_missing_is_open_but_no_gap_yet() -> None:
    case = Case()
    case.take(1)
    case.backfill.suspect(SYMBOL, Position(1, 1_000), HOLD_S, "disconnected", 0.0)
    assert case.backfill.is_open
    assert case.backfill.announced == 0
