"""`kandle tail`: decoded records of a topic."""

import itertools
import json
from collections.abc import Iterable

import click
from confluent_kafka import Message

from infra.settings import load
from kandle.rendering import as_json, as_line
from kandle.servers import reach_kafka
from kandle.topic_reader import TopicReader
from schemas import rows
from schemas.errors import DataError
from schemas.topics import name_here


@click.command()
@click.argument("topic")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object a record.")
@click.option("-n", "count", type=click.IntRange(min=1), help="Print so many records, then stop.")
@click.option("--from", "start", type=click.Choice(["beginning", "end"]), help="Where to start.")
@click.option("--all", "marks", is_flag=True, help="Time marks as well.")
@click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var.")
def tail(
    topic: str, json_lines: bool, count: int | None, start: str | None, marks: bool, data_dir: str | None
) -> None:
    """Print the records of a TOPIC, decoded, as they come.

    With -n alone: the newest ones that are there, then more until the number is reached. Where no pipeline
    runs on the data directory, the embedded broker is started for the reading, which ends with the topic.

    Example: kandle tail market.trades.v1 --json -n 10
    """
    settings = load(**({"data_dir": data_dir} if data_dir else {}))
    with (
        reach_kafka(settings) as reached,
        TopicReader(reached.kafka, name_here(topic), marks=marks) as reader,
    ):
        messages: Iterable[Message]
        if start == "beginning":
            messages = reader.present(reader.low)
        elif start is None and (count is not None or reached.started):
            messages = reader.last(count) if count is not None else reader.present(reader.low)
        else:
            messages = []
        if not reached.started:
            messages = itertools.chain(messages, reader.coming())
        for message in itertools.islice(messages, count):
            click.echo(_render(message, json_lines))


def _render(message: Message, json_lines: bool) -> str:
    key = message.key()
    where = {
        "partition": message.partition(),
        "offset": message.offset(),
        "key": key.decode(errors="replace") if key else None,
    }
    try:
        record = rows.decode(message.value())
    except DataError as error:
        if json_lines:
            return json.dumps({**where, "type": "undecodable", "error": str(error)})
        return f"{message.topic()}/{message.partition()}@{message.offset()} cannot be decoded: {error}"
    return as_json(record, **where) if json_lines else as_line(record)
