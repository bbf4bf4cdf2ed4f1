"""What tests of the archive sink share: settings, what was archived so far, what readers make of it."""

from __future__ import annotations

import contextlib
import io
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyarrow import parquet  # type: ignore[import-untyped]
from pydantic import SecretStr

from infra.settings import ArchiveSettings, KafkaSettings, Settings
from schemas.records import Record
from schemas.topics import TRADES, Topic
from sinks.archive.catalogue import holding, manifests, partitions
from sinks.archive.fields import RECORDS
from sinks.archive.manifest import log_folder
from sinks.archive.store import Store
from sinks.archive.verification import verify_topic
from tests.archive_records import records_of
from tests.sink_harness import PARTITIONS

ONLY = ("archive",)


def archive_settings(servers: str, archive: Path | ArchiveSettings, **given: Any) -> Settings:
    if isinstance(archive, Path):
        archive = ArchiveSettings(url=archive.as_uri(), **{"flush_s": 0.2, **given})
    return Settings(
        kafka=KafkaSettings(
            bootstrap_servers=servers,
            partitions=PARTITIONS,
            session_timeout_ms=6000,
            heartbeat_interval_ms=1000,
        ),
        archive=archive,
    )


def archived(store: Store, topic: Topic) -> dict[int, int]:
    """The next offset of each partition, by the manifests."""
    if not store.folders(log_folder(topic.name)):
        return {}
    return {id_.partition: holding(store, id_).head.next_offset for id_ in partitions(store, [topic.name])}


def files_by_manifest(store: Store, topic: Topic) -> list[str]:
    """Paths of the data files that count."""
    return sorted(
        id_.final(file)
        for id_ in partitions(store, [topic.name])
        for manifest in manifests(store, id_)
        for file in manifest.files
    )


def rows_archived(store: Store, topic: Topic = TRADES) -> Iterator[tuple[int, int, Record]]:
    """(partition, offset, record) of all rows that count."""
    for path in files_by_manifest(store, topic):
        table = parquet.read_table(io.BytesIO(store.get(path) or b""))
        record = RECORDS[path.split("/record=")[1].split("/")[0]]
        yield from zip(
            table.column("kafka_partition").to_pylist(),
            table.column("kafka_offset").to_pylist(),
            records_of(table, record),
            strict=True,
        )


def assert_whole(store: Store, topic: Topic, sent: Mapping[int, Sequence[Record | None]]) -> None:
    """All that was sent is there once, at its offset; None stands for what was refused."""
    expected = [
        (partition, offset, record)
        for partition, records in sent.items()
        for offset, record in enumerate(records)
        if record is not None
    ]
    found = sorted(rows_archived(store, topic), key=lambda row: row[:2])
    assert [row[:2] for row in found] == [row[:2] for row in sorted(expected, key=lambda row: row[:2])]
    assert found == sorted(expected, key=lambda row: row[:2])
    assert problems(store, topic) == []


def problems(store: Store, topic: Topic) -> list[str]:
    """What verification finds, staged files that were left included."""
    return [
        said
        for finding in verify_topic(store, partitions(store, [topic.name]), deep=True)
        for said in (*finding.problems, *finding.notes)
    ]


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """The endpoint of a server that speaks S3, with the bucket kandle."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        request = urllib.request.Request(f"http://{host}:{port}/kandle", method="PUT")
        urllib.request.urlopen(request, timeout=10).close()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def s3_settings(endpoint: str, prefix: str, **given: Any) -> ArchiveSettings:
    return ArchiveSettings(
        url=f"s3://kandle/{prefix}",
        endpoint=endpoint,
        region="us-east-1",
        access_key_id=SecretStr("k"),
        secret_access_key=SecretStr("s"),
        **given,
    )
