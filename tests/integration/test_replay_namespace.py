"""A namespace at work beside the live topics: it touches nothing of theirs, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from backtest.replay.isolation import local_state, named, remove
from backtest.replay.plan import REPLAY_VENUE
from infra.embedded.errors import DirectoryLockedError
from infra.kafka.admin import Admin
from infra.settings import Settings
from kandle.replays.set import running
from kandle.servers import reach_servers
from schemas.errors import ConfigurationError, ConflictError
from schemas.namespace import Namespace
from schemas.records import Record, TimeMark, Trade
from schemas.topics import TOPICS, TRADES
from tests.kandle_command import kandle
from tests.made_capture import write_capture
from tests.sink_harness import BASE_US, PARTITIONS, Log, settings_for, url_of

REPLAY_ID = "0123456789abcdef"
SECOND_US = 1_000_000


def beside(settings: Settings, namespace: Namespace) -> dict[str, Any]:
    """Topics, ends of logs and groups that are not of a namespace."""
    admin = Admin(settings.kafka)
    counts = {name: n for name, n in admin.partition_counts().items() if not name.startswith(str(namespace))}
    ends = admin.log_ranges([(name, number) for name, count in counts.items() for number in range(count)])
    groups = [name for name in admin.groups(["kandle"]) if not name.startswith(f"{namespace}.")]
    return {"topics": counts, "ends": ends, "groups": groups}


def of(settings: Settings, namespace: Namespace) -> set[str]:
    """Topics and groups of a namespace, without it."""
    admin = Admin(settings.kafka)
    front = f"{namespace}."
    names = [*admin.partition_counts(), *admin.groups()]
    return {name.removeprefix(front) for name in names if name.startswith(front)}


def schemas(settings: Settings) -> set[str]:
    with psycopg.connect(url_of(settings)) as db:
        rows = db.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'kandle%'").fetchall()
    return {name for (name,) in rows}


def trades(partition: int) -> list[Record]:
    """Two seconds of trades and marks, and what ends a replay."""
    symbol = f"M{partition}/USDT"
    made: list[Record] = [TimeMark("binance", "s", BASE_US, False, "live")]
    for number in range(20):
        at = BASE_US + number * 100_000
        made.append(Trade("binance", symbol, str(number), number, 100.0 + number, 1.0, "buy", at, at))
        if number % 10 == 9:
            made.append(TimeMark("binance", "s", at, False, "live"))
    made.append(TimeMark("binance", "s", BASE_US + 10 * SECOND_US, False, "live"))
    return [*made, TimeMark(REPLAY_VENUE, REPLAY_ID, 0, True, REPLAY_ID)]


async def compute(settings: Settings, namespace: Namespace) -> None:
    """Run a set over some trades until all is stored; while it runs, nobody else may use the namespace."""
    async with running(settings, namespace, partitions=PARTITIONS, fed=[TRADES]) as isolated:
        assert not await isolated.has_drained(REPLAY_ID)
        log = Log(settings.kafka.bootstrap_servers or "")
        for partition in range(PARTITIONS):
            log.put(TRADES.in_namespace(namespace), partition, trades(partition))
        async with asyncio.timeout(60):
            assert await isolated.drain(REPLAY_ID, asyncio.Event())
        with pytest.raises(DirectoryLockedError):
            remove(settings, namespace)


def test_a_namespace_touches_nothing_beside_it_and_leaves_nothing(
    kafka: str, postgres: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = settings_for(kafka, postgres()).model_copy(update={"data_dir": tmp_path / "var"})
    namespace = Namespace("Set-1")
    Admin(settings.kafka).ensure_topics([TRADES.in_namespace("Set-10")])
    before = beside(settings, namespace)
    asyncio.run(compute(settings, namespace))
    assert beside(settings, namespace) == before
    assert {topic.base_name for topic in TOPICS} <= of(settings, namespace)
    assert {"kandle", "kandle-timescale", "kandle-checkpoints-changelog"} <= of(settings, namespace)
    assert schemas(settings) == {namespace.schema}
    with psycopg.connect(url_of(settings)) as db:
        table = f'"{namespace.schema}"'
        stored = db.execute(f"SELECT count(*) FROM {table}.trades".encode()).fetchone()
        candles = db.execute(f"SELECT symbol, open, trade_count FROM {table}.candles ORDER BY 1, 2".encode())
        assert stored == (20 * PARTITIONS,)
        assert candles.fetchall() == [
            (f"M{partition}/USDT", first, 10) for partition in range(PARTITIONS) for first in (100.0, 110.0)
        ]
    # As if an earlier drop had been killed halfway.
    Admin(settings.kafka).delete_topics([TRADES.in_namespace(namespace).name])
    Admin(settings.kafka).delete_groups([namespace.name_of("kandle-timescale")])
    removed = remove(settings, namespace)
    assert TRADES.in_namespace(namespace).name not in removed.topics
    assert len(removed.topics) > len(TOPICS)
    assert (removed.schema, removed.folder) == (namespace.schema, local_state(settings.data_dir, namespace))
    assert (of(settings, namespace), schemas(settings)) == (set(), set())
    assert not local_state(settings.data_dir, namespace).exists()
    assert beside(settings, namespace) == before
    again = remove(settings, namespace)
    assert (again.topics, again.groups, again.schema, again.folder) == ([], [], None, None)
    remove(settings, Namespace("Set-10"))


def test_what_is_not_a_replays_is_not_removed(
    kafka: str, postgres: Callable[[], str], tmp_path: Path
) -> None:
    settings = settings_for(kafka, postgres()).model_copy(update={"data_dir": tmp_path})
    with pytest.raises(ConfigurationError, match="without one, all is the live run's"):
        remove(settings, named(""))
    with psycopg.connect(url_of(settings), autocommit=True) as db:
        db.execute("CREATE SCHEMA kandle_theirs")
    with pytest.raises(ConflictError, match="made by somebody else"):
        remove(settings, Namespace("theirs"))
    assert schemas(settings) == {"kandle_theirs"}


def answered(ran: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    return found


@pytest.mark.full
@pytest.mark.timeout(900)
def test_a_replay_of_a_run_equals_it_and_leaves_it_alone(tmp_path: Path) -> None:
    """By command, on servers of its own: a run, a replay of it, one of its middle, and all removed."""
    capture = write_capture(tmp_path / "made.capture.gz", seconds=300)
    data = ("--data", str(tmp_path / "var"))
    live = answered(
        kandle("up", "--feed", str(capture), "--speed", "max", "--once", "--json", *data, cwd=tmp_path)
    )
    settings = Settings(data_dir=tmp_path / "var")
    with reach_servers(settings) as reached:
        before = beside(reached, Namespace("r1"))
        assert before["groups"]
        whole = answered(
            kandle("replay", "topics", "--into", "r1", "--workers", "2", "--json", *data, cwd=tmp_path)
        )
        assert whole["complete"]
        middle = ("--from", "2023-11-14T22:15:00Z", "--to", "2023-11-14T22:17:00Z")
        assert answered(kandle("replay", "topics", "--into", "mid", *middle, "--json", *data, cwd=tmp_path))[
            "complete"
        ]
        after = beside(reached, Namespace("r1"))
        audit = ("system.audit.v1", 0)
        assert {
            name: end for name, end in after["ends"].items() if name != audit and name[0][:4] != "mid."
        } == {name: end for name, end in before["ends"].items() if name != audit}
        assert [name for name in after["groups"] if not name.startswith("mid.")] == before["groups"]
        compared = answered(kandle("replay", "--compare", "r1", "--json", *data, cwd=tmp_path))
        counts = {(check["name"], check["against"]): check["found"] for check in compared["checks"]}
        assert counts["candles", "live topic and replay"] == live["candles_stored"]
        assert counts["indicators", "live topic and replay"] == live["indicators_stored"]
        assert counts["signals", "live table and replay"] == live["signals_stored"] > 0
        assert counts["trades", "live table and replay"] == live["trades_stored"]
        partly = answered(kandle("replay", "--compare", "mid", "--json", *data, cwd=tmp_path))
        found = {check["name"]: check["found"] for check in partly["checks"]}
        assert 0 < found["candles"] < live["candles_stored"]
        assert 0 < found["indicators"] < live["indicators_stored"]
        told = next(check["notes"] for check in partly["checks"] if check["name"] == "indicators")
        assert any("never forget" in note and "ema_20" in note for note in told)
        url = reached.database.url
        assert url is not None
        with psycopg.connect(url.get_secret_value(), autocommit=True) as db:
            db.execute("UPDATE kandle_r1.market_candles SET close = close + 1 WHERE trade_count > 20")
        differs = kandle("replay", "--compare", "r1", *data, cwd=tmp_path)
        assert differs.returncode == 1
        assert "instead of" in differs.stdout
        for prefix in ("r1", "mid"):
            assert answered(kandle("replay", "--drop", prefix, "--json", *data, cwd=tmp_path))["schema"]
        assert of(reached, Namespace("r1")) == of(reached, Namespace("mid")) == set()
        assert list((tmp_path / "var" / "namespaces").iterdir()) == []
