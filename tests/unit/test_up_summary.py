"""What a run came to, also where nobody can say all of it."""

from kandle.up.scrape import Scrape
from kandle.up.summary import summarize
from kandle.up.tally import Stored
from schemas.topics import TRADES


def test_a_summary_says_what_it_does_not_know() -> None:
    stored = Stored({TRADES.name: 1_234}, 0)
    known, unknown = (
        summarize("a capture", Scrape(), stored, letters, 12.0, None, {}, 1_000_000) for letters in (7, None)
    )
    assert "dead letters   7\n" in known.as_text()
    assert "dead letters   unknown\n" in unknown.as_text()
    assert "1,234 stored" in unknown.as_text()
    assert unknown.as_dict()["dead_letters"] is None
