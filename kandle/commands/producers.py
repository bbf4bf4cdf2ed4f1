"""`kandle producers`: who has fed the topics, and the end of those that will not come back."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from infra.settings import load
from kandle.audit import Change, audit
from kandle.rendering import iso_time
from kandle.servers import reach_kafka
from producers.retirement import ALIVE_S, find_source, known_sources, last_marks, retire

F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def producers() -> None:
    """List the sources of market data, or end those that are gone.

    A source is one shard of a venue. Candles of its venue close once every source has passed their end: one
    that was lost holds them open.
    """


def _data(command: F) -> F:
    return click.option(
        "--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; ./var."
    )(command)


@producers.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@_data
def list_sources(as_json: bool, data_dir: str | None) -> None:
    """Each source with its newest mark, and how long ago it has written.

    Example: kandle producers list
    """
    with reach_kafka(load(**({"data_dir": data_dir} if data_dir else {}))) as reached:
        sources = known_sources(reached.kafka)
    for each in sources:
        if as_json:
            found = {"venue": each.venue, "source": each.name, "time": each.time, "symbols": each.symbols}
            click.echo(json.dumps({**found, "silent_s": round(each.silent_s, 1)}))
        else:
            state = "writes" if each.silent_s < ALIVE_S else f"silent for {each.silent_s:,.0f} s"
            symbols = ", ".join(each.symbols[:5]) + (" ..." if len(each.symbols) > 5 else "")
            click.echo(f"{each.name:<24} {each.venue:<12} {iso_time(each.time)}  {state}  {symbols}")
    if not sources and not as_json:
        click.echo("no producer has fed anything yet")


@producers.command("retire")
@click.argument("source")
@_data
def retire_source(source: str, data_dir: str | None) -> None:
    """End a source that will not come back: candles wait for it no longer.

    It is what a producer says itself when it is stopped in order. Its trades stay, candles that lack some of
    them are marked as incomplete; if it comes back, it goes on.

    Example: kandle producers retire binance-spot-2
    """
    with reach_kafka(load(**({"data_dir": data_dir} if data_dir else {}))) as reached:
        found = find_source(reached.kafka, source)
        marks = last_marks(reached.kafka, found)
        asyncio.run(retire(reached.kafka, found, marks))
        before = {"venue": found.venue, "time": found.time, "symbols": found.symbols}
        audit(
            reached.kafka,
            Change("producers retire", source, before, {"topics": [topic.name for topic, _ in marks]}),
        )
    told = ", ".join(topic.name for topic, _ in marks) or "no topic, since none holds a mark of it any more"
    click.echo(f"{source} of {found.venue} has ended at {iso_time(found.time)}, said in {told}")
