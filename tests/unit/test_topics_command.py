"""`kandle topics`: what it says of how long records are kept."""

import pytest
from click.testing import CliRunner

from kandle.commands.topics import topics
from schemas.topics import AUDIT, TICKERS, TRADES


@pytest.mark.parametrize(
    ("name", "kept"),
    [(AUDIT.name, "kept for ever"), (TICKERS.name, "newest by key"), (TRADES.name, "kept 7 d ")],
)
def test_retention_is_told_in_days_or_by_key_or_for_ever(name: str, kept: str) -> None:
    told = CliRunner().invoke(topics, ["--offline"]).output.splitlines()
    assert kept in next(line for line in told if line.startswith(f"{name} "))
