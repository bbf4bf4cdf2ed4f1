"""The examples run as their first lines say, on a real broker with a worker that has the user's own code."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from infra.settings import DatabaseSettings, KafkaSettings, Settings
from schemas.identity import ce_id
from schemas.records import Candle, IndicatorValue, Signal, Trade
from schemas.topics import CANDLES, INDICATORS, SIGNALS, TRADES
from sinks.archive.store import open_store
from tests.archive_harness import ONLY, archive_settings, archived
from tests.kandle_command import environment
from tests.processor_harness import PARTITIONS, kafka_settings, market, read_topic, until_drained, worker
from tests.serve_harness import serving
from tests.sink_harness import Log, fresh_topics, running, until

EXAMPLES = Path(__file__).parents[2] / "examples"
FEED = market(seconds=40, rate=200, symbols=4)
OWN = "own_indicator,own_signal"
SENT = [item for items in FEED.values() for item in items if isinstance(item, Trade)]
SYMBOLS = sorted({each.symbol for each in SENT})


def run(*command: str, cwd: Path = EXAMPLES, **more: str) -> str:
    """What a command prints."""
    answer = subprocess.run(
        command, cwd=cwd, env=environment() | more, capture_output=True, text=True, timeout=60, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def filled(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A broker whose topics hold a market, and what a worker with the examples' code has made of it."""
    fresh_topics(kafka_settings(kafka))
    log = Log(kafka)
    for partition, items in FEED.items():
        log.put(TRADES, partition, items)
    with worker(
        kafka,
        f"examples-{uuid.uuid4().hex[:8]}",
        tmp_path_factory.mktemp("worker"),
        PYTHONPATH=str(EXAMPLES),
        KANDLE_PROCESSORS__INDICATORS="streak@1s",
        KANDLE_PROCESSORS__SIGNALS="streak_end(3)@1s",
        KANDLE_PROCESSORS__PLUGINS=OWN,
    ) as started:
        until_drained(kafka, [started])
        assert started.stop() == 0, started.log()
    return kafka


@pytest.fixture(scope="module")
def candles(filled: str) -> list[Candle]:
    return [item for item in read_topic(filled, CANDLES).records.values() if isinstance(item, Candle)]


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    """A server of schemas; neither Kafka nor a database are needed for them."""
    nowhere = Settings(
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:9"),
        database=DatabaseSettings(url=SecretStr("postgresql://kandle@127.0.0.1:9/none")),
    )
    with serving(nowhere) as server:
        yield server.url


def streaks(closes: list[float]) -> list[int]:
    """By the definition: the newest steps that have one sign, counted."""
    found = []
    for end in range(1, len(closes)):
        steps = [(b > a) - (b < a) for a, b in itertools.pairwise(closes[: end + 1])]
        newest = steps[-1]
        run_ = list(itertools.takewhile(lambda step: step == newest, reversed(steps)))  # noqa: B023
        found.append(newest * min(len(run_), 20))
    return found


def test_the_indicator_and_the_rule_run_in_the_stream(filled: str, candles: list[Candle]) -> None:
    expected, ends = {}, set()
    for symbol in {candle.symbol for candle in candles}:
        series = [each for each in candles if (each.symbol, each.interval) == (symbol, "1s")]
        counts = streaks([each.close for each in series])
        for candle, count in zip(series[1:], counts, strict=True):
            expected[symbol, candle.open_time] = float(count)
        for last, candle, (before, count) in zip(
            series[1:], series[2:], itertools.pairwise(counts), strict=False
        ):
            # No rule fires on a candle that misses trades, nor on the one after it.
            if abs(before) >= 3 and before * count < 0 and candle.complete and last.complete:
                ends.add((symbol, candle.open_time, "long" if before < 0 else "short"))
    values = read_topic(filled, INDICATORS).records.values()
    found = {
        (each.symbol, each.open_time): each.value
        for each in values
        if isinstance(each, IndicatorValue) and each.name == "streak_20"
    }
    assert found == expected
    signals = [each for each in read_topic(filled, SIGNALS).records.values() if isinstance(each, Signal)]
    assert len(signals) > 5
    assert {(each.symbol, each.open_time, each.direction) for each in signals} == ends


def test_the_rule_runs_over_a_file(tmp_path: Path) -> None:
    closes = [10, 9, 8, 7, 6, 7, 8, 7]
    rows = [f"{60 * number},{close},{close},{close},{close},1" for number, close in enumerate(closes)]
    (tmp_path / "candles.csv").write_text("\n".join(["time,open,high,low,close,volume", *rows]) + "\n")
    kandle = (sys.executable, "-m", "kandle", "signals", "--candles", str(tmp_path / "candles.csv"))
    printed = run(
        *kandle, *("--rule", "streak_end", "--param", "length=4", "--json"), KANDLE_PROCESSORS__PLUGINS=OWN
    )
    assert [(row["direction"], row["values"]) for row in lines_of(printed)] == [("long", {"streak": -4.0})]


def test_a_subscriber_prints_each_candle_once(filled: str, candles: list[Candle]) -> None:
    group = f"example-{uuid.uuid4().hex[:8]}"
    command = (sys.executable, "subscribe.py", filled, CANDLES.name, "--group", group, "--until-end")
    found = lines_of(run(*command))
    assert {row["id"] for row in found} == {ce_id(candle) for candle in candles}
    assert len(found) == len(candles)
    assert run(*command) == "", "the group's offsets were not kept"


def test_a_confluent_deserializer_prints_signals_and_marks(filled: str, registry: str) -> None:
    content = read_topic(filled, SIGNALS)
    printed = run(sys.executable, "subscribe_registry.py", filled, registry, SIGNALS.name, "--until-end")
    found = lines_of(printed)
    ids = [row["fields"]["id"] for row in found if row["type"] == "Signal"]
    assert sorted(ids) == sorted(content.records)
    marks = [row for row in found if row["type"] == "TimeMark"]
    assert len(marks) == sum(map(len, content.marks.values()))


def test_kcat_shows_partitions_keys_headers_and_offsets(filled: str, registry: str) -> None:
    if shutil.which("kcat") is None:
        pytest.skip("no kcat: apt-get install kcat")
    content = read_topic(filled, SIGNALS)
    printed = run("sh", "subscribe_kcat.sh", filled, SIGNALS.name, registry)
    assert f'topic "{SIGNALS.name}" with {PARTITIONS} partitions' in printed
    told = re.findall(r"^(\d) (\d+) \d+ (\S*) \[(\S*)\] (\d+)$", printed, re.MULTILINE)
    assert len(told) == 5 * PARTITIONS
    signals = [(key, headers) for _, _, key, headers, _ in told if "ce_id=signal" in headers]
    assert signals
    for key, headers in signals:
        assert re.fullmatch(r"binance:S\d/USDT", key)
        assert any(f"ce_id={name}" in headers for name in content.records)
    assert "Avro" in printed


async def test_the_archive_is_analysed_by_polars(filled: str, candles: list[Candle], tmp_path: Path) -> None:
    settings = archive_settings(filled, tmp_path / "archive")
    store = open_store(settings)
    sent = {number: len(items) for number, items in FEED.items()}
    async with running(settings, ONLY) as task:
        await until(lambda: archived(store, TRADES) == sent, task=task)
        await until(lambda: sum(archived(store, CANDLES).values()) >= len(candles), task=task)
    printed = run(sys.executable, "analyse_archive.py", str(tmp_path / "archive"), POLARS_FMT_MAX_COLS="9")
    counts = {symbol: len([each for each in SENT if each.symbol == symbol]) for symbol in SYMBOLS}
    for symbol, count in counts.items():
        assert re.search(rf"binance\s*┆ {symbol}\s*┆ {count}\s", printed), printed
    seconds = sum(candle.interval == "1s" for candle in candles)
    assert f"{seconds} candles of a second, 0 of them differ from their trades" in printed
