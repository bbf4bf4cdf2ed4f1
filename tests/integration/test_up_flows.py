"""`kandle up --once` with flows and spreads: the run ends, and not before the last values are stored."""

from pathlib import Path

import pytest

from tests.kandle_command import kandle, rows, summary_of
from tests.made_capture import START_MS, write_capture

SECONDS = 60
pytestmark = [pytest.mark.timeout(200), pytest.mark.full]


def test_a_run_with_flows_ends_once_the_last_second_is_stored(tmp_path: Path) -> None:
    capture = write_capture(tmp_path / "made.capture.gz", seconds=SECONDS)
    (tmp_path / "kandle.toml").write_text(
        '[processors]\nflows = ["quote", "book(10)"]\nvenue_spreads = ["venue_spread(10)"]\n'
    )
    data = tmp_path / "data"
    answer = kandle(
        *("up", "--feed", str(capture), "--speed", "max", "--once", "--json", "--data", str(data)),
        cwd=tmp_path,
    )
    assert answer.returncode == 0, answer.stderr
    assert summary_of(answer.stdout)["dead_letters"] == 0
    found = rows(
        "SELECT symbol, name, count(*), extract(epoch FROM max(time))::bigint AS last FROM indicators"
        " WHERE name LIKE 'quote.%' GROUP BY 1, 2 ORDER BY 1, 2",
        data,
        tmp_path,
    )
    assert len(found) == 3 * 4
    last_second = START_MS // 1000 + SECONDS - 2
    for row in found:
        assert int(row["count"]) > SECONDS / 2, row
        assert int(row["last"]) >= last_second, row
