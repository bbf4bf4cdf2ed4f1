"""Which captures may be fed into data that exist, and what is said about them."""

from pathlib import Path

import pytest

from infra.settings import Settings
from kandle.up.feed import Feed, check_age
from kandle.up.tally import Seen
from producers.capture.summary import Summary, SymbolSummary
from schemas.errors import ConflictError

T0 = 1_723_161_255_000_000
MINUTE = 60_000_000
NOTHING, BEGINNING, ALL = (False, False), (True, False), (True, True)


def capture(**first_minutes: int) -> Feed:
    symbols = {
        name: SymbolSummary(name, name, trades=2, first_time=T0 + at * MINUTE, first_id=1, last_id=2)
        for name, at in first_minutes.items()
    }
    summary = Summary(Path("a"), "binance", "spot", symbols, 0, 0, 0)
    return Feed("capture", "", "binance", list(symbols), capture=summary)


def said(feed: Feed, watermark_minutes: int, **stored: tuple[bool, bool]) -> str | None:
    return check_age(feed, Seen(T0 + watermark_minutes * MINUTE, dict(stored)), Settings())


def test_a_feed_that_begins_after_all_that_is_stored_needs_no_word() -> None:
    assert said(capture(A=3), 2, A=NOTHING) is None
    assert check_age(capture(A=3), Seen(None, {"A": NOTHING}), Settings()) is None


def test_the_same_feed_again_brings_nothing_new() -> None:
    assert "nothing new" in str(said(capture(A=0, B=1), 9, A=ALL, B=ALL))


def test_a_longer_one_brings_the_rest() -> None:
    assert "only the rest" in str(said(capture(A=0), 9, A=BEGINNING))


def test_a_longer_one_may_bring_symbols_that_come_later() -> None:
    assert "only the rest" in str(said(capture(A=0, B=10, C=8), 9, A=BEGINNING, B=NOTHING, C=NOTHING))


@pytest.mark.parametrize(
    "feed_and_stored",
    [(capture(A=8), {"A": NOTHING}), (capture(A=0, B=3), {"A": BEGINNING, "B": NOTHING})],
    ids=["another feed", "a symbol that was left out"],
)
def test_what_would_come_too_late_is_refused_with_the_remedy(
    feed_and_stored: tuple[Feed, dict[str, tuple[bool, bool]]],
) -> None:
    feed, stored = feed_and_stored
    with pytest.raises(ConflictError, match=r"too late.*--data"):
        said(feed, 9, **stored)
