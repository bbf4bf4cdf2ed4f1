"""What a restart makes of the end of a log, and what a feed makes of that."""

from producers.continuity import Continuity, Delivered, Position
from producers.feed import Feed, Patience
from producers.log_tail import LogTail
from producers.markets import exchange_class
from producers.outputs import Output
from producers.resumed import OpenHole, Resumed
from schemas import rows
from schemas.records import Gap, Record, TimeMark, Trade
from schemas.records import Position as Written
from schemas.topics import TRADES

SOURCE = "binance-spot-0"
T0 = 1_723_161_255_000_000
SECOND = 1_000_000
SYMBOL = "BTC/USDT"


def trade(number: int | None, at: int, trade_id: str | None = None, backfilled: bool = False) -> Trade:
    name = trade_id or str(number)
    return Trade("binance", SYMBOL, name, number, 1.5, 2.0, "buy", at, at, backfilled=backfilled)


def gap(status: str, first: int, last: int) -> Gap:
    return Gap("binance", SYMBOL, SOURCE, status, first, last, T0, T0 + SECOND, "missing")  # type: ignore[arg-type]


def tail_of(*records: Record, position: Written | None = None) -> LogTail:
    tail = LogTail("binance", SOURCE, TRADES.name, [] if position is None else [position])
    for record in records:
        tail.take(rows.encode(record))
    return tail


def written(sequences: dict[str, int], times: dict[str, int]) -> Written:
    return Written("binance", SOURCE, TRADES.name, T0, {"0": 5}, sequences, times)


def test_a_gap_given_up_in_part_stays_open_above() -> None:
    tail = tail_of(
        trade(10, T0),
        gap("opened", 11, 20),
        trade(21, T0 + 1),
        trade(14, T0, backfilled=True),
        trade(18, T0, backfilled=True),
        gap("given_up", 11, 13),
    )
    assert list(tail.holes) == [(SYMBOL, 14, 20)]
    assert set(tail.holes[SYMBOL, 14, 20].found) == {14, 18}
    tail.take(rows.encode(gap("given_up", 15, 17)))
    tail.take(rows.encode(gap("given_up", 19, 20)))
    assert not tail.holes


def test_a_gap_whose_end_was_found_ends_with_its_last_range() -> None:
    tail = tail_of(
        trade(10, T0), gap("opened", 11, 13), trade(13, T0, backfilled=True), gap("given_up", 11, 12)
    )
    assert not tail.holes


def test_unnumbered_trades_are_known_by_their_ids_from_the_position_on() -> None:
    tail = tail_of(
        trade(None, T0 - 5, "old"),
        trade(None, T0, "same moment"),
        trade(None, T0 + 7, "new"),
        position=written({}, {SYMBOL: T0}),
    )
    assert tail.sequences[SYMBOL] == Position(None, T0), "what came later does not hide what was missed"
    assert tail.delivered[SYMBOL] == Delivered(T0 - 1, {"same moment": T0, "new": T0 + 7})
    follow = Continuity(tail.sequences, (), tail.delivered)
    assert follow.admit(trade(None, T0 - 5, "old")) is False
    assert follow.admit(trade(None, T0, "same moment")) is False
    assert follow.admit(trade(None, T0, "its twin")) is True
    assert follow.admit(trade(None, T0 + 3, "missed")) is True
    assert follow.admit(trade(None, T0 + 7, "new")) is False


def test_a_gap_announced_before_the_trade_that_revealed_it_is_gone_on_with() -> None:
    tail = tail_of(trade(10, T0), gap("opened", 11, 20))
    holes = [(SYMBOL, 11, 20, hole.found) for hole in tail.holes.values()]
    follow = Continuity(tail.sequences, holes)
    found = follow.admit(trade(25, T0 + 2))
    assert not isinstance(found, bool)
    assert (found.first, found.last) == (21, 24)
    assert follow.admit(trade(15, T0 + 1, backfilled=True)) is True
    assert follow.admit(trade(10, T0, backfilled=True)) is False


def feed(resumed: Resumed) -> Feed:
    market = exchange_class("binance", "spot")
    listed = [one for name in ("BTCUSDT", "ETHUSDT") if (one := market.guess(name)) is not None]
    return Feed(market(listed, ["trades"]), SOURCE, "run", False, resumed, Patience(30.0, 60.0))


def frame(symbol: str, number: int, at_us: int) -> bytes:
    fields = f'"e":"trade","s":"{symbol}","t":{number},"p":"1.5","q":"2.0","T":{at_us // 1_000},"m":true'
    return f'{{"stream":"{symbol.lower()}@trade","data":{{{fields}}}}}'.encode()


def test_no_mark_passes_what_was_missed_between_runs_even_before_the_venue_has_answered() -> None:
    known = Resumed({SYMBOL: Position(10, T0), "ETH/USDT": Position(5, T0)}, {}, T0)
    fed, out = feed(known), list[Output]()
    fed.tick(0.0, None, out)
    fed.take(frame("ETHUSDT", 6, T0 + 5 * SECOND), T0, 0.1, out)
    assert not [output for output in out if isinstance(output, TimeMark)], "BTC may have missed trades"
    fed.take(frame("BTCUSDT", 11, T0 + 5 * SECOND), T0, 0.2, out)
    assert [output for output in out if isinstance(output, TimeMark)]


def test_a_gap_that_the_log_announces_holds_marks_from_the_first_moment() -> None:
    known = Resumed({SYMBOL: Position(20, T0)}, {}, T0, (OpenHole(gap("opened", 11, 15), {}),))
    fed, out = feed(known), list[Output]()
    fed.tick(0.0, None, out)
    fed.take(frame("BTCUSDT", 21, T0 + 5 * SECOND), T0, 0.1, out)
    assert not [output for output in out if isinstance(output, TimeMark)]


def test_a_symbol_removed_and_added_again_tells_what_it_missed() -> None:
    fed, out = feed(Resumed()), list[Output]()
    fed.tick(0.0, None, out)
    fed.take(frame("BTCUSDT", 1, T0), T0, 0.1, out)
    fed.take(frame("BTCUSDT", 4, T0 + 1), T0, 0.1, out)
    fed.drop(SYMBOL)
    fed.tick(0.2, None, out)
    gaps = [output for output in out if isinstance(output, Gap)]
    assert [(one.status, one.first_sequence, one.last_sequence) for one in gaps] == [
        ("opened", 2, 3),
        ("given_up", 2, 3),
    ]
    out.clear()
    fed.connected(fed.exchange.streams([SYMBOL]), 9.0, out)
    fed.take(frame("BTCUSDT", 9, T0 + SECOND), T0, 9.1, out)
    (opened,) = [output for output in out if isinstance(output, Gap)]
    assert (opened.status, opened.first_sequence, opened.last_sequence) == ("opened", 5, 8)
