"""`kandle verify`: topics, tables and recomputed candles against each other."""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from infra.settings import load
from kandle.servers import reach_servers
from kandle.times import parse_time


class Moment(click.ParamType):
    """A time, as microseconds since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read ISO 8601, or an epoch number of any unit."""
        if isinstance(value, int):
            return value
        try:
            return parse_time(value)
        except ValueError as error:
            self.fail(f"{error}; as 2026-01-31T12:00:00Z", param, ctx)


class Names(click.ParamType):
    """Names, separated by commas."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Sequence[str]:
        """The names that are not empty."""
        if not isinstance(value, str):
            return list(value)
        return [name.strip() for name in value.split(",") if name.strip()]


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
    from kandle.verification.run import Verification, chosen_tables
    from kandle.verification.stored import Range, connected

    if since is not None and until is not None and since >= until:
        raise click.UsageError("--from must be before --to")
    chosen = chosen_tables(tables)
    settings = load(**({"data_dir": data_dir} if data_dir else {}))
    range_ = Range(since, until, frozenset(name.upper() for name in symbols))
    with reach_servers(settings) as reached, connected(reached.database, "verify") as db:
        checks = asyncio.run(Verification(reached, range_, show).run(db, chosen))
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
    clean = all(check.comparison.clean for check in checks)
    if as_json:
        click.echo(json.dumps({"clean": clean, "checks": [check.as_dict() for check in checks]}))
    else:
        for check in checks:
            for line in check.as_lines():
                click.echo(line)
        compared = any(check.comparison.expected or check.comparison.found for check in checks)
        equal = "all is equal" if compared else "nothing was there to be compared"
        click.echo(equal if clean else "not all is equal")
    if not clean:
        sys.exit(1)


def show(what: str, read: int, whole: int) -> None:
    """Progress, for people."""
    if sys.stderr.isatty():
        share = 100 * read / whole if whole else 100
        click.echo(f"\r\033[Kreading {what}: {share:.0f} %", nl=False, err=True)
