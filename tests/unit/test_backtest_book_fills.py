"""Fills by order books, checked by hand; with events heard of one by one, and not."""

from typing import Any

import pytest

from backtest.history import History
from backtest.orders import OrderState
from schemas.errors import ConfigurationError
from tests.backtest_events import book, books_of, buy, by_books, play_events, sell
from tests.backtest_runs import MARKET, terms_of

FIRST = book(1, [(99, 6), (98, 20)], [(101, 4), (102, 5), (104, 50)])


def test_a_market_order_walks_the_levels_and_waits_for_what_the_book_has_not() -> None:
    # 4 * 101 + 5 * 102 + 1 * 104
    assert by_books([FIRST], {2: buy(10)}) == [(2, 4, 101, False), (2, 5, 102, False), (2, 1, 104, False)]
    # 6 + 20 of 30 now; the rest once the book has changed, when it shows all of them again
    later = book(3, [(99, 0)], [], delta=True)
    assert by_books([FIRST, later], {2: sell(30)}) == [
        (2, 6, 99, False),
        (2, 20, 98, False),
        (3, 4, 98, False),
    ]


def test_a_limit_takes_up_to_its_price_and_joins_the_queue_with_the_rest() -> None:
    trades = [(3, 102, 3), (4, 101, 1)]
    # 4 at 101 and 5 at 102; one is left as the only bid of 102, and the trade of second 3 is at its price
    assert by_books([FIRST], {2: buy(10, limit=102)}, trades) == [
        (2, 4, 101, False),
        (2, 5, 102, False),
        (3, 1, 102, True),
    ]


@pytest.mark.parametrize(
    ("queue", "filled"),
    [
        # 6 stand ahead: 4 of them by the first trade, 2 by the second, whose other 3 are ours
        ("back", [(4, 3, 99, True)]),
        ("front", [(3, 4, 99, True), (4, 1, 99, True)]),
    ],
)
def test_trades_at_the_price_eat_the_queue_ahead(queue: Any, filled: list[Any]) -> None:
    trades = [(3, 99, 4), (4, 99, 5)]
    assert by_books([FIRST], {2: buy(5, limit=99)}, trades, queue=queue) == filled


def test_a_trade_through_the_price_fills_it_whole() -> None:
    assert by_books([FIRST], {2: buy(5, limit=99)}, [(3, 98.5, 0.1)]) == [(3, 5, 99, True)]


@pytest.mark.parametrize(
    ("queue", "filled"),
    [
        # Of 6 ahead, the book shows 10 once others have come behind. 5 of those 10 vanish without a trade.
        # behind all that: 5 still show, so that 5 are ahead at most, and a trade of 6 leaves one
        ("back", [(5, 1, 99, True)]),
        # half of all 10 was withdrawn, half of our 6 as well: 3 are ahead, and a trade of 6 leaves 3
        ("proportional", [(5, 3, 99, True)]),
        ("front", [(5, 5, 99, True)]),
    ],
)
def test_what_vanishes_without_a_trade_was_withdrawn(queue: Any, filled: list[Any]) -> None:
    updates = [
        FIRST,
        book(3, [(99, 10)], [], delta=True),
        book(4, [(99, 5)], [], delta=True),
    ]
    assert by_books(updates, {2: buy(5, limit=99)}, [(5, 99, 6)], queue=queue) == filled


def test_what_vanishes_by_a_trade_was_not_withdrawn_besides() -> None:
    updates = [FIRST, book(4, [(99, 3)], [], delta=True)]
    # A trade takes 3 of 6 ahead; the book shows the other 3, none was withdrawn: of the next 4 one is ours
    for queue in ("back", "proportional"):
        found = by_books(updates, {2: buy(5, limit=99)}, [(3, 99, 3), (5, 99, 4)], queue=queue)
        assert found == [(5, 1, 99, True)]


def test_a_price_at_which_nobody_stands_has_no_queue() -> None:
    assert by_books([FIRST], {2: buy(5, limit=100)}, [(3, 100, 2), (4, 100, 2)]) == [
        (3, 2, 100, True),
        (4, 2, 100, True),
    ]


def test_two_orders_of_one_price_share_what_is_left_of_a_trade() -> None:
    def two(strategy: Any) -> None:
        strategy.buy(MARKET, 2, limit=99)
        strategy.buy(MARKET, 2, limit=99)

    # 9 less the 6 ahead: 2 for the first, 1 for the second
    assert by_books([FIRST], {2: two}, [(3, 99, 9)]) == [(3, 2, 99, True), (3, 1, 99, True)]


def test_the_other_side_of_the_book_fills_what_it_comes_to() -> None:
    updates = [FIRST, book(3, [], [(100, 2), (99.5, 1)], delta=True)]
    # A bid of 100 meets 1 + 2, at its own price
    assert by_books(updates, {2: buy(10, limit=100)}) == [(3, 1, 100, True), (3, 2, 100, True)]


@pytest.mark.parametrize(
    ("how", "size", "filled"),
    [
        ({"limit": 102, "time_in_force": "fok"}, 9, [(2, 4, 101, False), (2, 5, 102, False)]),
        ({"limit": 102, "time_in_force": "fok"}, 10, []),
        ({"limit": 101, "time_in_force": "ioc"}, 9, [(2, 4, 101, False)]),
        ({"limit": 101, "post_only": True}, 1, []),
    ],
)
def test_at_once_or_not_at_all(how: Any, size: int, filled: list[Any]) -> None:
    assert by_books([FIRST], {2: buy(size, **how)}, [(3, 101.5, 50)]) == filled


def test_stops_look_at_the_best_price_of_the_side_they_would_take() -> None:
    updates = [FIRST, book(3, [], [(101, 0), (102, 0)], delta=True)]
    assert by_books(updates, {2: buy(1, stop=103)}) == [(3, 1, 104, False)]
    updates = [
        FIRST,
        book(3, [(103, 1)], [(101, 0), (102, 0)], delta=True),
        book(4, [(103, 0)], [], delta=True),
    ]
    # Follows the bid to 103, less 3: the bid of 99 is beyond 100
    assert by_books(updates, {2: sell(1, trail=3)}) == [(4, 1, 99, False)]


def test_orders_arrive_late_and_meet_the_book_of_then() -> None:
    updates = [FIRST, book(3, [], [(101, 0)], delta=True), book(4, [], [(102, 0)], delta=True)]
    for latency, second, price in ((0, 2, 101), (1, 3, 101), (1.5, 3.5, 102), (2.5, 4.5, 104)):
        assert by_books(updates, {2: buy(1), 6: sell(1)}, latency=round(latency * 1_000_000))[0] == (
            second,
            1,
            price,
            False,
        )


def test_a_short_position_is_liquidated_by_the_ask() -> None:
    updates = [FIRST, book(3, [], [(101, 0), (102, 0), (104, 0), (148, 1)], delta=True)]
    run, strategy = play_events(History(books=[books_of(updates)]), {2: sell(6)}, terms_of(300, leverage=3))
    # 300 + 6 * 99 = 894; nothing is left at 894 / 6 = 149, and 148 is below it
    assert len(run.fills) == 1
    updates = [FIRST, book(3, [], [(101, 0), (102, 0), (104, 0), (149, 1)], delta=True)]
    run, strategy = play_events(History(books=[books_of(updates)]), {2: sell(6)}, terms_of(300, leverage=3))
    assert [float(fill.price) for fill in run.fills] == [99, 149]
    assert strategy.orders[0].state is OrderState.FILLED


def test_what_is_not_there_fills_nothing_and_is_told() -> None:
    history = History(books=[books_of([FIRST])])
    for fills in ("trade", "quote"):
        with pytest.raises(ConfigurationError, match=f"no {fills}s of {MARKET}"):
            play_events(history, {}, fills=fills)
