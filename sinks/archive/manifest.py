"""What says which files count: the manifests of a partition, and where everything lies.

<topic>/record=trade/date=2026-01-31/hour=13/00002-<first offset>-<last offset>-<writer>.parquet
<topic>/_log/<Kafka's id of the topic>/00002/000000000017.json                   manifest 17 of partition 2
<topic>/_staging/<Kafka's id of the topic>/00002/<name of the file>.staged       written, does not count yet
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from schemas.errors import ConflictError
from schemas.records import Micros

VERSION: Final = 1
STAGED: Final = ".staged"
"""Ends names of files that do not count: so that no glob for Parquet finds them."""
Kind = Literal["start", "records", "fence", "loss"]


class BrokenArchiveError(ConflictError):
    """The archive is not what its manifests say, or they are damaged: somebody has changed it by hand."""

    code = "BROKEN_ARCHIVE"


class DataFile(msgspec.Struct, frozen=True):
    """One Parquet file.

    Attributes:
        path: Below the topic's folder.
        record: Which records it holds, as in the path.
        rows, bytes: Their number, and its size.
        sha256: Of its bytes, in hexadecimal.
        first_offset, last_offset: Of its first and its last row.
        min_time, max_time: Of what decides date and hour, µs since the epoch.
    """

    path: str
    record: str
    rows: int
    bytes: int
    sha256: str
    first_offset: int
    last_offset: int
    min_time: Micros
    max_time: Micros

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


class Totals(msgspec.Struct, frozen=True):
    """What there is of one record in a partition, up to and with a manifest."""

    files: int
    rows: int
    bytes: int
    min_time: Micros
    max_time: Micros

    def plus(self, file: DataFile) -> Totals:
        """With one more file."""
        return Totals(
            self.files + 1,
            self.rows + file.rows,
            self.bytes + file.bytes,
            min(self.min_time, file.min_time),
            max(self.max_time, file.max_time),
        )


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a partition: what stands in the log from `first_offset` on, before `next_offset`.

    Attributes:
        topic, kafka_id, partition: Whose.
        number: 0 for the first one; each is the successor of the one before, without holes.
        kind: `start` of the partition, `records`, a `fence` against a writer that may have been replaced,
            a `loss` of records that somebody has accepted.
        first_offset, next_offset: Of the step; equal where no record goes with it.
        writer: Name of the process that made it, new with each start.
        written: When, for people.
        files: What it adds.
        refused: Offsets that went to the dead letters instead, as (first, last).
        totals: By record, this manifest included.
        version: Of this format.
    """

    topic: str
    kafka_id: str
    partition: int
    number: int
    kind: Kind
    first_offset: int
    next_offset: int
    writer: str
    written: dt.datetime
    files: list[DataFile] = []
    refused: list[tuple[int, int]] = []
    totals: dict[str, Totals] = {}
    version: int = VERSION

    def encode(self) -> bytes:
        """As JSON, for people and other programs."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1)


def decode(data: bytes, path: str) -> Manifest:
    """The manifest in a file.

    Raises:
        BrokenArchiveError: It is none, or one of a later version.
    """
    try:
        found = msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise BrokenArchiveError(f"{path} is no manifest: {error}") from error
    if found.version > VERSION:
        raise BrokenArchiveError(
            f"{path} is of version {found.version}, this Kandle reads {VERSION}; update it"
        )
    return found


def totals_with(totals: dict[str, Totals], files: Iterable[DataFile]) -> dict[str, Totals]:
    """Totals with more files."""
    found = dict(totals)
    for file in files:
        nothing = Totals(0, 0, 0, file.min_time, file.max_time)
        found[file.record] = found.get(file.record, nothing).plus(file)
    return found


@dataclass(frozen=True, slots=True, order=True)
class PartitionId:
    """A partition of a topic, as long as the topic is not deleted and made again.

    Attributes:
        topic, partition: Which.
        kafka_id: As `as_name` makes it.
    """

    topic: str
    kafka_id: str
    partition: int

    @property
    def log(self) -> str:
        """Folder of its manifests."""
        return f"{log_folder(self.topic)}/{self.kafka_id}/{self.partition:05d}"

    @property
    def staging(self) -> str:
        """Folder of files that do not count yet."""
        return f"{self.topic}/_staging/{self.kafka_id}/{self.partition:05d}"

    def manifest(self, number: int) -> str:
        """Path of a manifest."""
        return f"{self.log}/{number:012d}.json"

    def staged(self, file: DataFile) -> str:
        """Path of a file until it counts."""
        return f"{self.staging}/{file.name}{STAGED}"

    def final(self, file: DataFile) -> str:
        """Path of a file once it counts."""
        return f"{self.topic}/{file.path}"

    def __str__(self) -> str:
        return f"{self.topic}, partition {self.partition}"


def as_name(kafka_id: str) -> str:
    """Kafka's id of a topic as Kafka's own tools write it; librdkafka has it with slashes."""
    return kafka_id.replace("/", "_").replace("+", "-")


def log_folder(topic: str) -> str:
    """Folder of a topic's manifests; in it, a folder for each of Kafka's ids that it has had."""
    return f"{topic}/_log"
