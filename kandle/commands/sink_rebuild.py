"""`kandle sink rebuild`: a range of a table made anew from its topic."""

import asyncio
import json
import sys

import click

from infra.settings import load
from kandle.audit import Change, audit
from kandle.moments import Moment
from kandle.servers import reach_servers
from kandle.times import format_time


@click.command()
@click.argument("name", metavar="TABLE")
@click.option("--from", "since", type=Moment(), required=True, help="Rows of this time and later.")
@click.option("--to", "until", type=Moment(), required=True, help="Rows before this time.")
@click.option(
    "--force", is_flag=True, help="Refill what the topic still holds, and leave earlier rows alone."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var.")
def rebuild(name: str, since: int, until: int, force: bool, as_json: bool, data_dir: str | None) -> None:
    """Make the rows of a range of a TABLE anew from its topic.

    In one transaction: readers see the old rows until it ends, and the new ones then. A sink may run; it
    waits for the length of the transaction. Rows of the range of which the topic knows nothing go, so nothing
    is done where the topic does not hold the whole range any more. What was done stands in system.audit.v1.

    \b
    Examples:
      kandle sink rebuild trades --from 2026-03-01T10:00Z --to 2026-03-01T11:00Z
      kandle verify --tables trades --from 2026-03-01T10:00Z --to 2026-03-01T11:00Z
    """  # noqa: D301 - click asks for this control character
    from kandle.verification.rebuilding import Rebuild
    from kandle.verification.report import show
    from kandle.verification.run import chosen_tables
    from sinks.sessions import connected

    if since >= until:
        raise click.UsageError("--from must be before --to")
    (table,) = chosen_tables([name])
    settings = load(**({"data_dir": data_dir} if data_dir else {}))
    with reach_servers(settings) as reached, connected(reached.database, "rebuild") as db:
        done = asyncio.run(Rebuild(reached, table, since, until, force, show).run(db))
        range_ = {"from": format_time(since), "to": format_time(until)}
        change = Change(
            "sink rebuild",
            f"kandle.{table.name}",
            before={**range_, "rows": done.removed},
            after={**range_, "rows": done.written},
        )
        audit(reached.kafka, change)
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
    if as_json:
        said = {"table": table.view, **range_, "removed": done.removed, "written": done.written}
        click.echo(json.dumps({**said, "notes": done.notes}))
        return
    click.echo(
        f"{table.view}: {done.removed:,} rows removed, {done.written:,} written from {table.topic.name}"
    )
    for note in done.notes:
        click.echo(note)
