"""`kandle sink accept`: go on where records are gone, once a person has seen which."""

from collections.abc import Iterator, Sequence

import click

from infra.settings import load
from kandle.rendering import iso_time
from kandle.sink_acceptance import accept as accept_misfits
from kandle.venue_calls import table
from sinks.misfits import Misfit, Misplaced


@click.command()
@click.option("--sink", "sinks", multiple=True, metavar="NAME", help="This sink; default: those of sink.run.")
@click.option("--topic", "topics", multiple=True, metavar="TOPIC", help="This topic; default: all they read.")
@click.option("--yes", is_flag=True, help="Accept without being asked.")
@click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var.")
def accept(sinks: Sequence[str], topics: Sequence[str], yes: bool, data_dir: str | None) -> None:
    """Go on where the log does not bear out what a sink has stored.

    A sink stops, rather than skip records, when a topic was deleted and made again, or when the log does not
    hold the offset that it has stored up to. This shows what would be given up, asks, and lets the sink go on
    at the first record that the log holds. Rows that are stored stay, and what comes again is not stored
    again. Stop the sinks first. What was accepted stands in system.audit.v1.

    \b
    Examples:
      kandle sink accept
      kandle sink accept --sink timescale --topic market.trades.v1 --yes
    """  # noqa: D301 - click asks for this control character

    def confirm(misfits: Sequence[Misfit]) -> bool:
        if not misfits:
            click.echo("every stored offset is in its log: there is nothing to accept")
            return False
        rows = [row for misfit in misfits for row in _rows(misfit)]
        header = ("topic", "partition", "sink", "stored up to", "the log holds", "given up", "stored (UTC)")
        click.echo(table(header, rows))
        for misfit in misfits:
            if misfit.replaced:
                click.echo(
                    f"{misfit.topic} was deleted and made again: Kafka's id was {misfit.stored_id} and is "
                    f"{misfit.kafka_id}. All sinks of the database go on with the new one."
                )
        return yes or click.confirm("Give this up, and go on at the first record that the log holds?")

    settings = load(**({"data_dir": data_dir} if data_dir else {}))
    if accept_misfits(settings, sinks, topics, confirm):
        click.echo("accepted: the sinks may be started")


def _rows(misfit: Misfit) -> Iterator[tuple[object, ...]]:
    for position in misfit.positions:
        held = "no such partition" if position.first is None else f"{position.first} to {position.end}"
        yield (
            misfit.topic,
            str(position.partition),
            position.sink,
            str(position.stored),
            held,
            _given_up(misfit, position),
            iso_time(round(position.since.timestamp() * 1_000_000))[:19].replace("T", " "),
        )


def _given_up(misfit: Misfit, position: Misplaced) -> str:
    if misfit.replaced:
        return f"the old log from {position.stored} on"
    if position.given_up:
        return f"{position.given_up} records, {position.stored} to {position.first}"
    return f"the old log from {position.stored} on; reads again from {position.first}"
