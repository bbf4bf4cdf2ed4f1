"""A backup made while the sink runs, restored elsewhere, catches up from Kafka exactly."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from infra.settings import Settings
from kandle import dumps
from kandle.commands.backup import backup, restore
from schemas.errors import ConfigurationError, ConflictError
from schemas.records import AuditEntry
from schemas.rows import decode
from schemas.topics import AUDIT, TRADES
from tests.processor_harness import PARTITIONS, market
from tests.sink_harness import (
    Log,
    fresh_topics,
    query,
    running,
    settings_for,
    stored_trades,
    until_passed,
    until_stored,
)
from tests.stored_market import verify

COUNT = 20 * 200


def invoke(command: object, settings: Settings, *arguments: str) -> Result:
    assert settings.database.url is not None
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers or "",
        "KANDLE_KAFKA__PARTITIONS": str(PARTITIONS),
        "DATABASE_URL": settings.database.url.get_secret_value(),
    }
    return CliRunner().invoke(command, arguments, env=environment)  # type: ignore[arg-type]


def command_lines() -> set[bytes]:
    """What everybody on this machine can read of the programs that run."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.add((entry / "cmdline").read_bytes())
            except OSError:
                continue
    return found


async def test_a_backup_of_a_database_in_use_is_restored_and_catches_up_exactly(
    kafka: str, sink_database: Callable[[], str], tmp_path: Path
) -> None:
    first = sink_database()
    settings = settings_for(kafka, first)
    fresh_topics(settings.kafka)
    log, file = Log(kafka), tmp_path / "kandle.dump"
    feed = market(seconds=20, rate=200)

    written = threading.Event()

    def feeding() -> None:
        longest = max(map(len, feed.values()))
        for start in range(0, longest, 50):
            if start + 200 > longest:
                written.wait(60)  # the last ones come after the backup
            for partition, items in feed.items():
                log.put(TRADES, partition, items[start : start + 50])
            time.sleep(0.02)

    feeder = threading.Thread(target=feeding)
    feeder.start()
    seen: set[bytes] = set()
    async with running(settings, ["timescale"]) as task:
        await until_stored(first, 1000, task=task)
        writing = asyncio.create_task(asyncio.to_thread(invoke, backup, settings, str(file), "--json"))
        while not writing.done():
            seen |= await asyncio.to_thread(command_lines)
            await asyncio.sleep(0.02)
        answer = writing.result()
        written.set()
        assert answer.exit_code == 0, (answer.output, answer.exception)
        feeder.join()
        await until_passed(first, "timescale", TRADES, task=task)
        refused = (await asyncio.to_thread(invoke, restore, settings, str(file))).exception
        assert isinstance(refused, ConflictError), "sinks are at work"
    password = psycopg.conninfo.conninfo_to_dict(first)["password"]
    assert password
    assert any(b"pg_dump" in line for line in seen)
    assert not any(str(password).encode() in line for line in seen)
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    assert os.listdir(tmp_path) == [file.name]

    second = sink_database()
    other = settings_for(kafka, second)
    restored = await asyncio.to_thread(invoke, restore, other, str(file))
    assert restored.exit_code == 0, (restored.output, restored.exception)
    ((held,),) = query(second, "SELECT count(*) FROM trades")
    assert 1000 <= held < COUNT, "the backup was made in the middle of it"
    async with running(other, ["timescale"]) as task:
        await until_passed(second, "timescale", TRADES, task=task)
    assert stored_trades(second) == stored_trades(first)
    assert len(stored_trades(second)) == COUNT
    found = await asyncio.to_thread(verify, other, ["trades"])
    assert all(check.comparison.clean for check in found.values())

    entries = [decode(message.value()) for message in log.read(AUDIT.name)]
    assert [entry.action for entry in entries if isinstance(entry, AuditEntry)] == ["backup", "restore"]

    # A database that is in use is kept.
    refused = (await asyncio.to_thread(invoke, restore, other, str(file))).exception
    assert isinstance(refused, ConflictError)
    assert "not empty" in str(refused)
    replaced = await asyncio.to_thread(invoke, restore, other, str(file), "--replace", "--json")
    assert replaced.exit_code == 0, (replaced.output, replaced.exception)
    kept = json.loads(replaced.stdout)["kept_as"]
    assert query(second, "SELECT count(*) FROM trades") == [(held,)]
    aside = psycopg.conninfo.make_conninfo(second, dbname=kept)
    assert query(aside, "SELECT count(*) FROM trades") == [(COUNT,)]
    with psycopg.connect(first, autocommit=True) as db:
        db.execute(f'DROP DATABASE "{kept}" WITH (FORCE)'.encode())


def test_what_cannot_be_done_is_told_and_nothing_is_left(
    kafka: str, postgres: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(kafka, postgres())
    file = tmp_path / "kandle.dump"
    file.write_text("no backup")
    for command, message in ((backup, "exists"), (restore, "is no backup")):
        refused = invoke(command, settings, str(file)).exception
        assert isinstance(refused, ConfigurationError)
        assert message in str(refused)
    url = psycopg.conninfo.make_conninfo(postgres(), dbname="postgres")
    for_all = invoke(restore, settings_for(kafka, url), str(file), "--replace").exception
    assert isinstance(for_all, ConfigurationError)
    assert "not for the database postgres" in str(for_all)
    options = (str(tmp_path / "none"), "--data", str(tmp_path / "var"))
    missing = CliRunner().invoke(restore, options).exception
    assert isinstance(missing, ConfigurationError)
    assert not (tmp_path / "var").exists(), "no servers are made for a file that is not there"
    monkeypatch.setattr(dumps, "server_programs", lambda: tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("pg_dump", "pg_restore"):
        old = tmp_path / name
        old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6'\n")
        old.chmod(0o755)
    too_old = invoke(backup, settings, str(tmp_path / "new.dump")).exception
    assert isinstance(too_old, ConfigurationError)
    assert "must not be older" in str(too_old)
    assert not (tmp_path / "new.dump").exists()
