"""`kandle verify` is clean after every capture that was recorded has been played; takes minutes."""

import json
from pathlib import Path

import pytest

from tests.kandle_command import kandle, summary_of

CAPTURES = (
    "binance-spot-2021",
    "binance-spot-btcusdt",
    "binance-usdm-btcusdt",
    "gateio-spot-2021",
)
pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]


@pytest.mark.parametrize("name", CAPTURES)
def test_a_capture_that_was_played_is_equal_everywhere(name: str, captures: Path, tmp_path: Path) -> None:
    played = kandle(
        *("up", "--feed", str(captures / f"{name}.capture.gz"), "--speed", "max", "--once", "--json"),
        *("--data", str(tmp_path / "data")),
        cwd=tmp_path,
        timeout_s=400,
    )
    assert played.returncode == 0, played.stderr
    answer = kandle("verify", "--json", "--data", str(tmp_path / "data"), cwd=tmp_path, timeout_s=300)
    assert answer.returncode == 0, answer.stdout
    found = {
        (check["name"], check["against"]): check["found"] for check in json.loads(answer.stdout)["checks"]
    }
    assert found["trades", "topic and table"] == summary_of(played.stdout)["trades_stored"] > 0
    assert found["candles", "trades and topic"] == summary_of(played.stdout)["candles_stored"] > 0
