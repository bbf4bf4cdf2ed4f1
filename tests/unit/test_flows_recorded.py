"""Recorded quotes and books of an exchange: every value equals a plain recomputation from the file."""

import gzip
import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from processors.flows.books import BookFlows
from processors.flows.plan import FlowPlan
from processors.flows.quotes import QuoteFlows
from schemas.records import BookUpdate, IndicatorValue, Quote, TimeMark
from schemas.topics import BOOKS, QUOTES
from tests.flow_records import Item, fold_in_batches
from tests.flow_reference import depth, top

SECOND = 1_000_000
LINES = 20_000
"""Two minutes."""
MARKET = ("binance", "BTC/USDT")
Sides = dict[str, dict[float, float]]


@pytest.fixture(scope="module")
def messages(captures: Path) -> list[dict[str, Any]]:
    """The messages of the file, in order of arrival."""
    with gzip.open(captures / "binance-spot-btcusdt.capture.gz", "rt") as file:
        lines = (line for line in file if not line.startswith("#"))
        return [json.loads(line.split(" ", 1)[1]) for line in islice(lines, LINES)]


def levels(message: dict[str, Any], side: str) -> tuple[list[float], list[float]]:
    return [float(price) for price, _ in message[side]], [float(size) for _, size in message[side]]


def update(kind: str, numbers: tuple[int | None, int], message: dict[str, Any], names: str) -> BookUpdate:
    bids, asks = levels(message, names.split()[0]), levels(message, names.split()[1])
    return BookUpdate(*MARKET, kind, *numbers, None, *bids, *asks, None, None, 0)  # type: ignore[arg-type]


def values(at: int, found: dict[str, float]) -> list[IndicatorValue]:
    return [IndicatorValue(*MARKET, "1s", at, name, value, 0, True) for name, value in found.items()]


def test_quotes_and_books_of_a_recorded_market_give_the_values_of_the_file(
    messages: list[dict[str, Any]],
) -> None:
    quotes: list[Item] = []
    books: list[Item] = []
    expected_quotes: list[list[IndicatorValue]] = []
    expected_books: list[list[IndicatorValue]] = []
    book: Sides = {"b": {}, "a": {}}
    known, marked, quote = 0, 0, None
    deltas: list[dict[str, Any]] = []
    fresh = {"quote": False, "book": False}
    for message in messages:
        data = message.get("data", {})
        if "rest" in message:
            body = message["rest"]["body"]
            known = body["lastUpdateId"]
            book = {"b": dict(zip(*levels(body, "bids"), strict=True))}
            book["a"] = dict(zip(*levels(body, "asks"), strict=True))
            books.append(update("snapshot", (None, known), body, "bids asks"))
        if data.get("e") == "depthUpdate" or "rest" in message:
            deltas += [data] if data else []
            if known:
                for delta in (delta for delta in deltas if delta["u"] > known):
                    books.append(update("delta", (delta["U"], delta["u"]), delta, "b a"))
                    for side in "ba":
                        changed = dict(zip(*levels(delta, side), strict=True))
                        book[side] = {p: s for p, s in (book[side] | changed).items() if s}
                deltas.clear()
                fresh["book"] = True
        elif data.get("e") == "trade":
            second = data["T"] * 1000 // SECOND
            if second == marked:
                continue
            mark = TimeMark("binance", "binance-spot-0", data["T"] * 1000, False, "run")
            quotes.append(mark)
            books.append(mark)
            at = (second - 1) * SECOND
            expected_quotes.append([])
            expected_books.append([])
            if marked and fresh["quote"]:
                assert quote is not None
                bid, ask = (float(quote["b"]), float(quote["B"])), (float(quote["a"]), float(quote["A"]))
                expected_quotes[-1] = values(at, top("quote", bid, ask))
            if marked and fresh["book"]:
                bids, asks = (sorted(book[side].items(), reverse=side == "b") for side in "ba")
                found = top("book_top", bids[0], asks[0]) | depth("book_10", bids[:10], asks[:10])
                expected_books[-1] = values(at, found | depth("book_100", bids[:100], asks[:100]))
            if marked:
                fresh = {"quote": False, "book": False}
            marked = second
            if known and second % 60 == 0:  # as producers write them
                shown = {side: list(book[side].items()) for side in "ba"}
                newest = [each for each in books if isinstance(each, BookUpdate)][-1].last_sequence
                books.append(update("snapshot", (None, newest or 0), shown, "b a"))
                fresh["book"] = True
        elif "B" in data:
            quote = data
            bid, ask = (float(data["b"]), float(data["B"])), (float(data["a"]), float(data["A"]))
            quotes.append(Quote(*MARKET, *bid, *ask, data["u"], None, 0))
            fresh["quote"] = True
    state = QuoteFlows(FlowPlan.of(["quote"], QUOTES))
    found_quotes = [each for _, each in fold_in_batches(state, quotes, range(0, len(quotes), 7_001))]
    assert found_quotes == expected_quotes
    flows = FlowPlan.of(["book_top", "book(10)@binance:*", "book(100)", "book(3)@gateio:*"], BOOKS)
    found_books = [each for _, each in fold_in_batches(BookFlows(flows), books, range(0, len(books), 997))]
    assert found_books == expected_books
    assert sum(map(len, found_quotes)) == 4 * sum(map(bool, found_quotes)) > 400
    assert sum(map(len, found_books)) == 6 * sum(map(bool, found_books)) > 400
