"""`kandle topics`: the topic table, and what is in the topics."""

import json
from typing import Any

import click

from infra.kafka.admin import Admin
from infra.settings import load
from kandle.servers import reach_kafka
from schemas.registry import ENTRIES
from schemas.topics import TOPICS, Topic


@click.command()
@click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a topic, schemas included.")
@click.option("--offline", is_flag=True, help="The table alone, without asking a broker.")
def topics(data_dir: str | None, as_json: bool, offline: bool) -> None:
    """List the topics: what stands in them, how they are keyed and kept, how many records they hold.

    Topics are made by the stages that use them; this only looks.

    Example: kandle topics --offline
    """
    settings = load(**({"data_dir": data_dir} if data_dir else {}))
    rows = [_row(topic, settings.kafka.partitions) for topic in TOPICS]
    if not offline:
        with reach_kafka(settings) as reached:
            admin = Admin(reached.kafka)
            there = admin.partition_counts()
            for row in rows:
                count = there.get(row["name"])
                row["end_offsets"] = None if count is None else admin.end_offsets(row["name"], count)
    for row in rows:
        if as_json:
            row["schemas"] = {
                str(entry.schema_id): entry.definition
                for topic in TOPICS
                if topic.name == row["name"]
                for entry in ENTRIES
                if entry.record in topic.records
            }
            click.echo(json.dumps(row))
        else:
            click.echo(_text(row))


def _row(topic: Topic, partitions: int) -> dict[str, Any]:
    return {
        "name": topic.name,
        "records": [record.__name__ for record in topic.records],
        "key": topic.key,
        "partitions": partitions if topic.keyed else 1,
        "cleanup": topic.cleanup,
        "retention_ms": topic.retention_ms,
        "dead_letters": topic.dead_letter_name if topic.dead_letters else None,
    }


def _text(row: dict[str, Any]) -> str:
    kept_ms = row["retention_ms"]
    kept = (
        "newest by key"
        if not kept_ms
        else "kept for ever"
        if kept_ms < 0
        else f"kept {kept_ms / 86_400_000:g} d"
    )
    count = row["partitions"]
    partitions = f"{count:>3} {'partition' if count == 1 else 'partitions'}"
    held = ""
    if "end_offsets" in row:
        ends = row["end_offsets"]
        held = "        not made yet" if ends is None else f"{sum(ends):>12,} records"
    kinds = ", ".join(row["records"])
    return f"{row['name']:<26} {partitions:<14}  {kept:<13} {held}  {kinds}"
