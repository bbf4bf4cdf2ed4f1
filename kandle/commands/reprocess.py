"""`kandle reprocess`: what was derived from trades made right after a bug was mended."""

import asyncio
import json
import sys

import click

from infra.settings import load
from kandle.audit import Change, audit
from kandle.rendering import iso_time
from kandle.servers import reach_kafka


@click.command()
@click.option(
    "--from", "since", required=True, metavar="TIME", help="Open times from here on: ISO 8601 or epoch."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object with the totals.")
@click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var.")
def reprocess(since: str, as_json: bool, data_dir: str | None) -> None:
    """Recompute candles, indicators and signals from the trades that the log still holds.

    What is missing is written, and what is wrong is followed by a revision that is right; nothing is deleted.
    Tables follow when sinks run, as they keep the newest revision. Signals that come to light are written as
    well, and notified where rules ask for it. No worker may run meanwhile, and no producer; and workers must
    have read all that there is, as only they write bars and the signals of alerts.

    Example: kandle reprocess --from 2026-03-01T00:00:00Z
    """
    from kandle.trade_file.values import times_of
    from processors.reprocessing.run import reprocess as run

    try:
        begin = int(times_of([since])[0])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--from") from None
    settings = load(**({"data_dir": data_dir} if data_dir else {}))
    with reach_kafka(settings) as reached:
        reachable = settings.model_copy(update={"kafka": reached.kafka})
        totals = asyncio.run(run(reachable, begin, _show)).as_dict()
        if totals["candles"] or totals["values"] or totals["signals"]:
            audit(reached.kafka, Change("reprocess", f"from {iso_time(begin)}", after=totals))
    if sys.stderr.isatty():
        click.echo(err=True)
    if as_json:
        click.echo(json.dumps(totals))
        return
    click.echo(
        f"{totals['trades']:,} records of trades read: {totals['candles']:,} candles, "
        f"{totals['values']:,} values and {totals['signals']:,} signals written "
        f"({totals['missing']:,} had not been there); {totals['equal']:,} were right"
    )
    if totals["kept"]:
        click.echo(
            f"{totals['kept']:,} complete ones stay: the log does not hold all of their trades any more"
        )
    if totals["unfounded"]:
        click.echo(f"{totals['unfounded']:,} in the topics have nothing to stand on; they stay, unrevised")


def _show(read: int, whole: int) -> None:
    if sys.stderr.isatty():
        share = 100 * read / whole if whole else 100
        click.echo(f"\r{read:,} of {whole:,} records of trades ({share:.0f} %)", nl=False, err=True)
