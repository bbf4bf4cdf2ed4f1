"""What becomes of a replay's namespace: it is compared with the live run, and removed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager

import click

from backtest.replay.isolation import Removed, named, remove
from infra.settings import Settings
from kandle.audit import Change, audit
from kandle.replays.comparison import ReplayComparison
from kandle.servers import reach_kafka, reach_servers
from kandle.verification.report import show, tell
from kandle.verification.stored import Range
from schemas.namespace import current
from sinks.sessions import connected


def drop(settings: Settings, prefix: str, *, as_json: bool) -> None:
    """Remove all of a namespace, and say what was there.

    Raises:
        KandleError: As `remove`.
    """
    namespace = named(prefix)
    with _reached(settings) as reached:
        removed = remove(reached, namespace, lambda text: click.echo(f"{text} ...", err=True))
        found = _as_dict(removed)
        if removed.topics or removed.groups or removed.schema:
            audit(reached.kafka, Change("replay drop", namespace.prefix, before=found))
    if as_json:
        click.echo(json.dumps({"prefix": namespace.prefix, **found}))
        return
    for what, names in (("topic", removed.topics), ("group", removed.groups), ("left", removed.left)):
        for name in names:
            click.echo(f"{what} {name}" + (": none of ours, it stays" if what == "left" else " removed"))
    if removed.schema is not None:
        click.echo(f"schema {removed.schema} removed")
    if removed.folder is not None:
        click.echo(f"folder {removed.folder} removed")
    if not (removed.topics or removed.groups or removed.schema or removed.folder):
        click.echo(f"there is nothing of {namespace}")


def compare(settings: Settings, prefix: str, range_: Range, *, as_json: bool) -> bool:
    """Compare a namespace with the live run, and say what differs; whether all is equal.

    Raises:
        KandleError: As `ReplayComparison.run`.
    """
    namespace = named(prefix)
    with (
        reach_servers(settings) as reached,
        connected(reached.database, "replay") as live,
        connected(reached.database, "replay", namespace) as replay,
    ):
        comparison = ReplayComparison(reached, current(), namespace, range_, show)
        return tell(asyncio.run(comparison.run(live, replay)), as_json=as_json)


@contextmanager
def _reached(settings: Settings) -> Iterator[Settings]:
    """The servers that there are: a replay that only published needed no database."""
    if settings.database.url or (settings.data_dir / "postgres").is_dir():
        with reach_servers(settings) as reached:
            yield reached
        return
    click.echo("no database is configured: of a schema, if there is one, nothing is removed", err=True)
    with reach_kafka(settings) as found:
        yield settings.model_copy(update={"kafka": found.kafka})


def _as_dict(removed: Removed) -> dict[str, object]:
    folder = None if removed.folder is None else str(removed.folder)
    return {
        "topics": removed.topics,
        "groups": removed.groups,
        "schema": removed.schema,
        "folder": folder,
        "left": removed.left,
    }
