"""`kandle events`: what happened to the pipeline, from the topic."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final

import click
from confluent_kafka import Message

from infra.settings import load
from kandle.moments import Since
from kandle.rendering import as_json, as_line
from kandle.servers import reach_kafka
from kandle.topic_reader import TopicReader
from schemas import rows
from schemas.errors import DataError
from schemas.records import SystemEvent
from schemas.topics import SYSTEM_EVENTS

MOST: Final = 10_000
"""Events that are looked at, the newest ones."""
COLOURS: Final = {"info": None, "warning": "yellow", "error": "red"}


@click.command()
@click.option(
    "--limit", type=click.IntRange(1, MOST), default=MOST, show_default=True, help="Events, at most."
)
@click.option("--type", "types", multiple=True, metavar="GLOB", help="Type, as 'health_check.*'.")
@click.option(
    "--severity", type=click.Choice(list(COLOURS)), default="info", help="At least so severe; default info."
)
@click.option("--since", type=Since(), help="Since then: a time, or an age as 2h.")
@click.option("--follow", is_flag=True, help="And those that come, until Ctrl-C.")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object an event.")
@click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var.")
def events(
    limit: int,
    types: Sequence[str],
    severity: str,
    since: int | None,
    follow: bool,
    json_lines: bool,
    data_dir: str | None,
) -> None:
    """Print what happened to the pipeline, the newest last.

    The last 10,000 events are looked at, of system.events.v1 itself: no database is needed. Where no pipeline
    runs on the data directory, the embedded broker is started for the reading.

    \b
    Examples:
      kandle events --limit 20
      kandle events --type 'health_check.*' --since 1h --follow
    """  # noqa: D301 - click asks for this control character
    settings = load(**({"data_dir": data_dir} if data_dir else {}))
    severities = list(COLOURS)[list(COLOURS).index(severity) :]

    def is_wanted(event: SystemEvent) -> bool:
        return (
            event.severity in severities
            and (since is None or event.event_time >= since)
            and (not types or any(fnmatchcase(event.type, pattern) for pattern in types))
        )

    with (
        reach_kafka(settings) as reached,
        TopicReader(reached.kafka, SYSTEM_EVENTS.name, marks=False) as reader,
    ):
        for event in list(_wanted(reader.last(MOST), is_wanted))[-limit:]:
            click.echo(_render(event, json_lines))
        if follow:
            for event in _wanted(reader.coming(), is_wanted):
                click.echo(_render(event, json_lines))


def _wanted(messages: Iterable[Message], is_wanted: Callable[[SystemEvent], bool]) -> Iterator[SystemEvent]:
    for message in messages:
        try:
            record = rows.decode(message.value() or b"")
        except DataError as error:
            where = f"{message.topic()}/{message.partition()}@{message.offset()}"
            click.echo(f"kandle: {where} cannot be decoded: {error}", err=True)
            continue
        if isinstance(record, SystemEvent) and is_wanted(record):
            yield record


def _render(event: SystemEvent, json_lines: bool) -> str:
    if json_lines:
        return as_json(event)
    return click.style(as_line(event), fg=COLOURS[event.severity])
