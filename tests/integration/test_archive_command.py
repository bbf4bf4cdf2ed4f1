"""`kandle archive`: what is there is listed, and whatever is done to it by hand is found."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

from infra.settings import Settings
from kandle.commands.archive import archive
from schemas.errors import ConfigurationError
from schemas.records import BookUpdate, Position, Record, Signal, SystemEvent
from schemas.topics import BOOKS, INSTRUMENTS, POSITIONS, SIGNALS, SYSTEM_EVENTS, TRADES, Topic
from sinks.archive.catalogue import manifests, partitions
from sinks.archive.files import parquet_bytes
from sinks.archive.manifest import Manifest, PartitionId
from sinks.archive.store import Store, open_store
from tests.archive_harness import ONLY, archive_settings, archived
from tests.sink_harness import BASE_US, Log, fresh_topics, mark, running, trade, until

BOOK = BookUpdate("v", "A/B", "delta", 1, None, 3, [1.5, -0.0], [2.0, 0.0], [], [], None, None, BASE_US)
SIGNAL = Signal("i", "v", "A/B", "1m", 1, 2, "r", "long", 0.5, {"x": 1.5, "y": float("nan")}, "c", True)
EVENT = SystemEvent("i", "t", "s", "info", "m", {"k": "v"}, 3)
POSITION = Position("v", "s", "t", 4, {"0": 5}, {"A/B": 6}, {"A/B": 2**62})
SENT: Sequence[tuple[Topic, list[Record | bytes | None]]] = (
    (TRADES, [*(trade(n) for n in range(300)), b"nothing", mark(BASE_US)]),
    (BOOKS, [BOOK] * 20),
    (SIGNALS, [SIGNAL]),
    (SYSTEM_EVENTS, [EVENT]),
    (POSITIONS, [POSITION, msgspec.structs.replace(POSITION, time=5)]),
)


class Command:
    """Runs `kandle archive` with the settings of a test."""

    def __init__(self, settings: Settings) -> None:
        self._environment = {
            "KAFKA_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers or "",
            "KANDLE_ARCHIVE__URL": settings.archive.url or "",
        }

    async def __call__(self, *arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, archive, arguments, env=self._environment)

    async def problems(self, *arguments: str) -> list[str]:
        result = await self("verify", "--json", *arguments)
        found = [json.loads(line) for line in result.output.splitlines()]
        assert result.exit_code == (0 if all(one["clean"] for one in found) else 1), result.output
        return [problem for one in found for problem in one["problems"]]


async def filled(kafka: str, folder: Path) -> tuple[Settings, Store]:
    settings = archive_settings(kafka, folder, topics=[topic.name for topic, _ in SENT])
    store = open_store(settings)
    fresh_topics(settings.kafka)
    log = Log(kafka)
    async with running(settings, ONLY) as task:
        for topic, records in SENT:
            log.put(topic, 0, records)
        await until(
            lambda: all(archived(store, topic).get(0) == len(sent) for topic, sent in SENT), task=task
        )
    return settings, store


async def test_what_is_archived_is_listed_and_verified_beside_the_log(kafka: str, tmp_path: Path) -> None:
    empty = await Command(archive_settings(kafka, tmp_path / "empty"))("verify", "--offline")
    assert "nothing was verified" in empty.output
    settings, _ = await filled(kafka, tmp_path)
    command = Command(settings)
    listed = await command("list")
    assert listed.exit_code == 0, listed.output
    assert "market.trades.v1" in listed.output
    assert "0 to 302" in listed.output
    rows = [json.loads(line) for line in (await command("list", "--json")).output.splitlines()]
    trades = next(row for row in rows if (row["topic"], row["partition"]) == (TRADES.name, 0))
    assert trades["records"]["trade"]["rows"] == 300
    assert trades["records"]["time_mark"]["rows"] == 1
    paths = (await command("list", "--files", "--topic", SIGNALS.name)).output.split()
    assert [path.startswith(tmp_path.as_uri()) for path in paths] == [True]
    assert parquet.read_table(paths[0].removeprefix("file://")).num_rows == 1

    assert await command.problems() == []
    assert await command.problems("--deep", "--offline") == []
    deep = await command("verify", "--deep", "--json")
    compared = {}
    for line in deep.output.splitlines():
        found = json.loads(line)
        compared[found["topic"], found["partition"]] = (found["compared"], found["problems"])
    for topic, records in SENT:
        refused = records.count(b"nothing")
        assert compared[topic.name, 0] == (len(records) - refused, [])
    said = await command("verify", "--topic", TRADES.name)
    assert said.output.splitlines()[-1] == "all is well"
    unknown = await command("verify", "--topic", INSTRUMENTS.name)
    assert isinstance(unknown.exception, ConfigurationError)
    assert "does not hold reference.instruments.v1" in str(unknown.exception)


def head(store: Store, topic: Topic) -> tuple[PartitionId, Manifest]:
    """The last manifest with files of partition 0."""
    id_ = next(id_ for id_ in partitions(store, [topic.name]) if id_.partition == 0)
    return id_, [manifest for manifest in manifests(store, id_) if manifest.files][-1]


def forge(store: Store, change: Any) -> None:
    """Change the rows of a file of trades, and all that is said about it."""
    id_, manifest = head(store, TRADES)
    index = next(i for i, file in enumerate(manifest.files) if file.record == "trade")
    file = manifest.files[index]
    table = change(parquet.read_table(io.BytesIO(store.get(id_.final(file)) or b"")))
    data = parquet_bytes(table)
    digest = hashlib.sha256(data).hexdigest()
    forged = msgspec.structs.replace(file, bytes=len(data), sha256=digest, rows=table.num_rows)
    store.put(id_.final(file), data)
    files = [*manifest.files[:index], forged, *manifest.files[index + 1 :]]
    sums = manifest.totals["trade"]
    sums = msgspec.structs.replace(
        sums, rows=sums.rows + forged.rows - file.rows, bytes=sums.bytes + forged.bytes - file.bytes
    )
    changed = msgspec.structs.replace(manifest, files=files, totals={**manifest.totals, "trade": sums})
    store.put(id_.manifest(manifest.number), changed.encode())


def with_price(table: pa.Table, row: int) -> pa.Table:
    prices = table.column("price").to_pylist()
    prices[row] += 1.0
    return table.set_column(
        table.schema.get_field_index("price"), table.schema.field("price"), [pa.array(prices)]
    )


async def test_what_was_done_by_hand_is_found(kafka: str, tmp_path: Path) -> None:
    settings, store = await filled(kafka, tmp_path)
    command = Command(settings)
    id_, manifest = head(store, TRADES)
    file = next(file for file in manifest.files if file.record == "trade")
    path, name = id_.final(file), id_.manifest(manifest.number)
    whole, told = store.get(path) or b"", store.get(name) or b""

    async def found(*arguments: str) -> str:
        problems = await command.problems("--topic", TRADES.name, *arguments)
        store.put(path, whole)
        store.put(name, told)
        return "\n".join(problems)

    store.put(path, whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:])
    assert await command.problems("--topic", TRADES.name) == []
    assert "not those that were written" in await found("--deep", "--offline")
    store.put(path, whole + b"x")
    assert f"{len(whole) + 1} bytes, expected {len(whole)}" in await found()
    store.delete(path)
    assert f"gone, with {file.rows} rows" in await found()
    besides = path.replace(".parquet", "x.parquet")
    store.put(besides, whole)
    assert "no manifest names it" in await found()
    store.delete(besides)
    store.put(name, told.replace(b'"first_offset": 0', b'"first_offset": 5', 1))
    assert "hole: manifest 1 begins at offset 5, expected 0" in await found()

    # Consistent in itself: only the log tells.
    forge(store, lambda table: with_price(table, 7))
    assert await command.problems("--topic", TRADES.name, "--deep", "--offline") == []
    assert "kafka_offset=7: price" in await found("--deep")
    forge(store, lambda table: pa.concat_tables([table.slice(0, 5), table.slice(6)]))
    assert await command.problems("--topic", TRADES.name, "--deep", "--offline") == []
    assert "lost          kafka_offset=5" in await found("--deep")
    forge(store, lambda table: pa.concat_tables([table.slice(0, 5), table.slice(4)]))
    assert "do not ascend" in await found("--deep", "--offline")
    assert await found("--deep") == ""


@pytest.mark.parametrize("arguments", [("list",), ("verify", "--offline")])
async def test_an_empty_archive_is_no_error(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    command = Command(archive_settings("127.0.0.1:9", tmp_path))
    result = await command(*arguments)
    assert result.exit_code == 0, result.output
