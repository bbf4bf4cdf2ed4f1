"""`kandle archive`: what the archive of topics holds, and whether it holds what it should."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Final, TypeVar

import click

from infra.settings import Settings, load
from kandle.rendering import iso_time
from kandle.servers import reach_kafka
from kandle.venue_calls import moment, table

F = TypeVar("F", bound=Callable[..., Any])
UNITS: Final = ("B", "kB", "MB", "GB", "TB")


@click.group()
def archive() -> None:
    """Look at the archive: topics as Parquet files, on disk, in S3 or in Google Cloud Storage.

    Where it is, is the setting archive.url; it is filled by `kandle sink --only archive`.
    """


def _options(command: F) -> F:
    for option in (
        click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory."),
        click.option("--json", "as_json", is_flag=True, help="One JSON object a line."),
        click.option("--topic", "topics", multiple=True, metavar="TOPIC", help="This one; default: all."),
    ):
        command = option(command)
    return command


@archive.command("list")
@_options
@click.option("--files", is_flag=True, help="Every file that counts, instead of the sums.")
def list_(topics: Sequence[str], as_json: bool, data_dir: str | None, files: bool) -> None:
    """Show what is archived: offsets, times, rows, files and bytes of each partition.

    \b
    Examples:
      kandle archive list
      kandle archive list --topic market.trades.v1 --files
    """  # noqa: D301 - click asks for this control character
    from sinks.archive.catalogue import holdings, partitions
    from sinks.archive.store import open_store

    store = open_store(_settings(data_dir))
    ids = partitions(store, topics)
    if files:
        for line in _file_lines(store, ids, as_json):
            click.echo(line)
        return
    found = holdings(store, ids)
    if as_json:
        for held in found:
            click.echo(json.dumps(_held(held)))
        return
    if not found:
        click.echo(f"the archive at {store.url} holds nothing yet")
        return
    rows = []
    for held in found:
        first, last = held.times or (None, None)
        offsets = f"{held.first_offset} to {held.head.next_offset}"
        where = (held.id.topic, str(held.id.partition), offsets, moment(first), moment(last))
        rows.append((*where, f"{held.rows:,}", f"{held.files:,}", _size(held.bytes)))
    click.echo(
        table(("topic", "partition", "offsets", "from (UTC)", "to (UTC)", "rows", "files", "size"), rows)
    )
    total = sum(held.bytes for held in found)
    click.echo(f"{sum(held.rows for held in found):,} rows, {_size(total)}, at {store.url}")


def _file_lines(store: Any, ids: Sequence[Any], as_json: bool) -> Iterator[str]:
    import msgspec

    from sinks.archive.catalogue import manifests

    for id_ in ids:
        for manifest in manifests(store, id_):
            for file in manifest.files:
                address = store.address(id_.final(file))
                if not as_json:
                    yield address
                    continue
                told = msgspec.structs.asdict(file) | {
                    "url": address,
                    "topic": id_.topic,
                    "partition": id_.partition,
                    "min_time": iso_time(file.min_time),
                    "max_time": iso_time(file.max_time),
                }
                yield json.dumps(told)


def _held(held: Any) -> dict[str, object]:
    return {
        "topic": held.id.topic,
        "kafka_id": held.id.kafka_id,
        "partition": held.id.partition,
        "first_offset": held.first_offset,
        "next_offset": held.head.next_offset,
        "written": held.head.written.isoformat(),
        "records": {
            name: {
                "rows": total.rows,
                "files": total.files,
                "bytes": total.bytes,
                "min_time": iso_time(total.min_time),
                "max_time": iso_time(total.max_time),
            }
            for name, total in held.totals.items()
        },
    }


@archive.command()
@_options
@click.option(
    "--deep", is_flag=True, help="Read all files: checksums, rows, and their values beside the log."
)
@click.option("--offline", is_flag=True, help="The archive alone, without asking Kafka.")
@click.pass_context
def verify(
    context: click.Context,
    topics: Sequence[str],
    as_json: bool,
    data_dir: str | None,
    deep: bool,
    offline: bool,
) -> None:
    """See that nothing is missing, changed, twice or besides in the archive.

    The manifests must follow each other without hole or overlap, every file that they name must be there in
    its size, and none besides. Positions must fit what Kafka holds; with --deep the files are read, and all
    that Kafka still holds is compared value by value. The sink may run meanwhile. Returns 0 if all is well,
    1 if not.

    \b
    Examples:
      kandle archive verify
      kandle archive verify --topic market.trades.v1 --deep --json
    """  # noqa: D301 - click asks for this control character
    from kandle.archive_verification import verify_archive

    settings = _settings(data_dir)
    clean, partitions = True, 0
    with ExitStack() as stack:
        kafka = None if offline else stack.enter_context(reach_kafka(settings)).kafka
        for found in verify_archive(settings, kafka, topics, deep=deep):
            clean &= found.clean
            partitions += 1
            if as_json:
                click.echo(json.dumps(found.as_dict()))
            else:
                for line in found.as_lines():
                    click.echo(line)
    if not as_json:
        well = "all is well" if partitions else "the archive holds nothing yet: nothing was verified"
        click.echo(well if clean else "not all is well")
    context.exit(0 if clean else 1)


def _settings(data_dir: str | None) -> Settings:
    return load(**({"data_dir": data_dir} if data_dir else {}))


def _size(count: float) -> str:
    for unit in UNITS:
        if count < 1000 or unit == UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError
