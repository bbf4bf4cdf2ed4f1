"""The archive sink on a real Kafka: all of a topic in files, read by other programs as it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import msgspec
import polars
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from infra.settings import Settings
from kandle.sink_acceptance import accept
from schemas import rows
from schemas.records import Candle, Gap, Record, Signal, SystemEvent, Trade
from schemas.topics import CANDLES, SIGNALS, SYSTEM_EVENTS, TRADES
from sinks.archive.fields import arrow_schema
from sinks.archive.files import parquet_bytes
from sinks.archive.store import open_store
from sinks.misfits import Misfit
from sinks.positions import PositionLostError, TopicReplacedError
from tests.archive_harness import (
    ONLY,
    archive_settings,
    archived,
    assert_whole,
    files_by_manifest,
    problems,
    rows_archived,
)
from tests.sink_harness import BASE_US, PARTITIONS, Log, fresh_topics, mark, running, trade, until

HOUR_US = 3_600_000_000


async def test_topics_are_archived_whole_and_read_by_duckdb_and_polars(kafka: str, tmp_path: Path) -> None:
    settings = archive_settings(kafka, tmp_path / "archive")
    store = open_store(settings)
    fresh_topics(settings.kafka)
    log = Log(kafka)
    gap = Gap("binance", "BTC/USDT", "s", "filled", 1, 2, BASE_US, BASE_US + 5, "away")
    trades: dict[int, list[Record]] = {
        partition: [
            *(trade(n, time_us=BASE_US + n * HOUR_US // 1_000) for n in range(partition, 4_000, PARTITIONS)),
            gap,
            mark(BASE_US),
        ]
        for partition in range(PARTITIONS)
    }
    signal = Signal("i", "v", "A/B", "1m", 1, 2, "r", "long", 0.5, {"x": 1.5, "": -0.0}, "c", True)
    event = SystemEvent("i", "t", "s", "info", "m", {"k": "v"}, 3)
    async with running(settings, ONLY) as task:
        for partition, records in trades.items():
            log.put(TRADES, partition, records[:1_000])
        await until(lambda: archived(store, TRADES) == {0: 1_000, 1: 1_000}, task=task)
        for partition, records in trades.items():
            log.put(TRADES, partition, records[1_000:])
        log.put(SIGNALS, 1, [signal])
        log.put(SYSTEM_EVENTS, 0, [event])
        await until(lambda: archived(store, TRADES) == {0: 2_002, 1: 2_002}, task=task)
        await until(lambda: archived(store, SIGNALS).get(1) == 1, task=task)
        await until(lambda: archived(store, SYSTEM_EVENTS) == {0: 1}, task=task)
    assert_whole(store, TRADES, trades)
    assert_whole(store, SIGNALS, {1: [signal]})
    assert_whole(store, SYSTEM_EVENTS, {0: [event]})

    sent = [record for records in trades.values() for record in records if isinstance(record, Trade)]
    pattern = f"{tmp_path}/archive/{TRADES.name}/record=trade/**/*.parquet"
    # What a name pattern finds is what the manifests name.
    assert len(list((tmp_path / "archive" / TRADES.name).rglob("*.parquet"))) == len(
        files_by_manifest(store, TRADES)
    )
    with duckdb.connect() as db:
        found = db.execute(
            "SELECT count(*), sum(sequence), sum(price * size), min(event_time), max(event_time), "
            f"count(DISTINCT hour) FROM read_parquet('{pattern}', hive_partitioning = true)"
        ).fetchone()
        assert found is not None
        assert found[:2] == (4_000, sum(item.sequence or 0 for item in sent))
        assert found[2] == pytest.approx(sum(item.price * item.size for item in sent))
        assert [round(time.timestamp() * 1e6) for time in found[3:5]] == [
            min(item.event_time for item in sent),
            max(item.event_time for item in sent),
        ]
        pruned = db.execute(
            f"SELECT count(*) FROM read_parquet('{pattern}', hive_partitioning = true) "
            "WHERE date = DATE '2023-11-14' AND hour = 23"
        ).fetchone()
        inside = (BASE_US // HOUR_US + 1) * HOUR_US
        assert pruned == (sum(inside <= item.event_time < inside + HOUR_US for item in sent),)
        # Key, headers and offsets are there as well.
        assert db.execute(
            f"SELECT DISTINCT kafka_key, kafka_headers[1].name, kafka_headers[1].value FROM '{pattern}'"
        ).fetchall() == [(b"binance:BTC/USDT", "h", b"1")]
    frame = polars.scan_parquet(pattern, hive_partitioning=True)
    total = frame.select(
        polars.len(),
        polars.col("sequence").sum(),
        (polars.col("price") * polars.col("size")).sum().alias("v"),
    ).collect()
    assert total.row(0)[:2] == (4_000, sum(item.sequence or 0 for item in sent))
    assert total.row(0)[2] == pytest.approx(sum(item.price * item.size for item in sent))


async def test_what_is_gathered_is_written_at_the_end_and_read_on_after_it(
    kafka: str, tmp_path: Path
) -> None:
    settings = archive_settings(kafka, tmp_path / "archive", flush_s=600, topics=[CANDLES.name])
    store = open_store(settings)
    fresh_topics(settings.kafka)
    log = Log(kafka)
    old = Candle("v", "A/B", "1m", 0, 60_000_000, 1, 2, 0.5, 1.5, 9, 9, 4, 3, None, None, 0, True)
    new = msgspec.structs.replace(old, vwap=1.25, revision=1)
    log.put(CANDLES, 0, [old, b"\x00\x00\x00\x00\x63nothing", new])
    await ended_until(lambda: archived(store, CANDLES).get(0) == 3, settings)
    assert_whole(store, CANDLES, {0: [old, None, new]})
    letters = log.read(CANDLES.dead_letter_name)
    assert {message.value() for message in letters} == {b"\x00\x00\x00\x00\x63nothing"}
    log.put(CANDLES, 0, [rows.encode(old)])
    await ended_until(lambda: archived(store, CANDLES).get(0) == 4, settings)
    assert_whole(store, CANDLES, {0: [old, None, new, old]})


async def ended_until(condition: Callable[[], bool], settings: Settings) -> None:
    """Run the sink, which gathers for ten minutes, and end it: what it has fetched by then is archived."""
    for pause_s in (1, 2, 4, 8, 16):
        async with running(settings, ONLY):
            await asyncio.sleep(pause_s)
        if condition():
            return
    raise AssertionError("nothing was archived at the end")


async def test_a_topic_made_again_stops_the_archive_until_a_person_accepts_it(
    kafka: str, tmp_path: Path
) -> None:
    settings = archive_settings(kafka, tmp_path / "archive", topics=[TRADES.name])
    store = open_store(settings)
    fresh_topics(settings.kafka)
    log = Log(kafka)
    async with running(settings, ONLY) as task:
        log.put(TRADES, 0, [trade(1), trade(2)])
        await until(lambda: archived(store, TRADES) == {0: 2, 1: 0}, task=task)
    fresh_topics(settings.kafka)
    with pytest.raises(TopicReplacedError, match="kandle sink accept"):
        async with running(settings, ONLY) as task:
            await until(lambda: task.done(), task=task)
    assert await accepted(settings) == [(TRADES.name, True, {0: 2, 1: 0})]
    log.put(TRADES, 0, [trade(3)])
    async with running(settings, ONLY) as task:
        await until(lambda: len(list(rows_archived(store))) == 3, task=task)
        log.put(TRADES, 0, [trade(number) for number in range(4, 9)])
        await until(lambda: len(list(rows_archived(store))) == 8, task=task)
    ids = sorted(record.trade_id for _, _, record in rows_archived(store) if isinstance(record, Trade))
    assert ids == [str(number) for number in range(1, 9)]
    assert problems(store, TRADES) == []

    # Records that are gone before they were archived are given up in the same way, and that stands there.
    log.put(TRADES, 0, [trade(number) for number in range(9, 12)])
    await asyncio.to_thread(delete_before, kafka, TRADES.name, 0, 8)
    with pytest.raises(PositionLostError):
        async with running(settings, ONLY) as task:
            await until(lambda: task.done(), task=task)
    assert await accepted(settings) == [(TRADES.name, False, {0: 6})]
    async with running(settings, ONLY) as task:
        await until(lambda: len(list(rows_archived(store))) == 9, task=task)
    assert problems(store, TRADES) == ["offsets 6 to 8 were given up by a person"]


async def accepted(settings: Settings) -> list[tuple[str, bool, dict[int, int]]]:
    """Accept what does not fit; it is told as (topic, made again, stored positions)."""
    told: list[tuple[str, bool, dict[int, int]]] = []

    def confirm(misfits: Sequence[Misfit]) -> bool:
        told.extend(
            (misfit.topic, misfit.replaced, {p.partition: p.stored for p in misfit.positions})
            for misfit in misfits
        )
        return True

    assert await asyncio.to_thread(accept, settings, ONLY, [], confirm)
    return told


def delete_before(servers: str, topic: str, partition: int, offset: int) -> None:
    client = AdminClient({"bootstrap.servers": servers})
    for future in client.delete_records([TopicPartition(topic, partition, offset)]).values():
        future.result(10)


def test_a_field_that_is_new_is_a_column_that_older_files_lack(tmp_path: Path) -> None:
    definition = {
        "type": "record",
        "name": "R",
        "fields": [{"name": "a", "type": "long"}, {"name": "b", "type": ["null", "string"], "default": None}],
    }
    schema = arrow_schema(definition)
    plain = {
        "kafka_partition": 0,
        "kafka_offset": 0,
        "kafka_time": 0,
        "kafka_headers": [],
        "kafka_schema_id": 1,
    }
    new = pa.Table.from_pylist([{"a": 1, "b": "x", **plain}, {"a": 2, **plain}], schema)
    (tmp_path / "1.parquet").write_bytes(parquet_bytes(new.drop_columns("b")))
    (tmp_path / "2.parquet").write_bytes(parquet_bytes(new))
    with duckdb.connect() as db:
        every = f"read_parquet('{tmp_path}/*.parquet', union_by_name = true)"
        found = db.execute(f"SELECT a, b FROM {every} ORDER BY filename, a").fetchall()
    assert found == [(1, None), (2, None), (1, "x"), (2, None)]
    frame = polars.scan_parquet(
        [tmp_path / "2.parquet", tmp_path / "1.parquet"], missing_columns="insert"
    ).select("a", "b")
    assert frame.collect().rows() == [(1, "x"), (2, None), (1, None), (2, None)]
