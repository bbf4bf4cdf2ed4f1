"""`kandle verify`: topics, tables and recomputed candles against each other."""

import asyncio
import sys
from collections.abc import Sequence

import click

from infra.settings import load
from kandle.moments import Moment, Names
from kandle.servers import reach_servers


@click.command()
@click.option("--from", "since", type=Moment(), help="Rows of this time and later; default: from the first.")
@click.option("--to", "until", type=Moment(), help="Rows before this time; default: to the last.")
@click.option("--symbols", type=Names(), default="", help="Of these symbols: BTC/USDT,ETH/USDT; default all.")
@click.option("--tables", type=Names(), default="", help="trades,candles,signals ...; default all.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var.")
def verify(
    since: int | None,
    until: int | None,
    symbols: Sequence[str],
    tables: Sequence[str],
    as_json: bool,
    data_dir: str | None,
) -> None:
    """Compare tables with topics, and candles with trades; says what is lost, duplicate, differing or unseen.

    Times are those of the rows (time in the views). Candles are recomputed with the settings in force: they
    have to be those of the workers. Nothing is changed, and sinks and workers may run meanwhile; what they
    have not come to yet is not lost. Returns 0 if all is equal, 1 if something differs.

    \b
    Examples:
      kandle verify
      kandle verify --from 2026-03-01T00:00Z --to 2026-03-02T00:00Z --tables trades,candles --json
    """  # noqa: D301 - click asks for this control character
    from kandle.verification.report import show, tell
    from kandle.verification.run import Verification, chosen_tables
    from kandle.verification.stored import Range
    from sinks.sessions import connected

    if since is not None and until is not None and since >= until:
        raise click.UsageError("--from must be before --to")
    chosen = chosen_tables(tables)
    settings = load(**({"data_dir": data_dir} if data_dir else {}))
    range_ = Range(since, until, frozenset(name.upper() for name in symbols))
    with reach_servers(settings) as reached, connected(reached.database, "verify") as db:
        checks = asyncio.run(Verification(reached, range_, show).run(db, chosen))
    if not tell(checks, as_json=as_json):
        sys.exit(1)
