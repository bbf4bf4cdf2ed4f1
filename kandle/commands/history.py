"""`kandle history`: the past of venues by REST, kept for backtests."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from backtest.downloads.parquet import need_pyarrow
from backtest.downloads.series import Kind, Series, all_series, folder_of
from backtest.downloads.turn import turn
from infra.settings import Settings, load
from kandle.jobs.detaching import submit
from kandle.jobs.progress import note_rows, progress
from kandle.moments import Moment
from kandle.times import format_time
from kandle.venue_calls import SymbolName, call_venues, moment, table
from processors.intervals import INTERVALS

if TYPE_CHECKING:
    from backtest.downloads.download import Downloaded
    from producers.manager.venue_manager import VenueManager


@click.group()
def history() -> None:
    """Download the past of venues, for `kandle backtest --source history`."""


@history.command()
@click.argument("venue")
@click.argument("symbols", nargs=-1, required=True, type=SymbolName())
@click.option(
    "--interval", type=click.Choice(list(INTERVALS)), default="1m", show_default=True, help="Of the candles."
)
@click.option("--from", "since", type=Moment(), required=True, help="From this time on, as 2024-01-01.")
@click.option("--to", "until", type=Moment(), help="Up to this time; default: now.")
@click.option("--kind", type=click.Choice(["candles", "trades"]), default="candles", show_default=True)
@click.option("--job", "as_job", is_flag=True, help="Run on without this terminal, a job a symbol.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a symbol.")
@click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var.")
def download(
    venue: str,
    symbols: Sequence[str],
    interval: str,
    since: int,
    until: int | None,
    kind: Kind,
    as_job: bool,
    as_json: bool,
    data_dir: str | None,
) -> None:
    """Download candles or trades of SYMBOLs from a VENUE into the data directory.

    Only what is not there yet is asked for, at the venue's pace (venues.NAME.calls_per_minute). An
    interrupted download goes on where it was, and a venue that is away or says "too often" is waited for. A
    market is kept from its listing on. Trades are told by Binance, as it adds them up.

    Exits with 1 if the venue refuses or stays away; what came is kept.

    \b
    Examples:
      kandle history download binance BTC/USDT --interval 1m --from 2024-01-01 --to 2024-07-01
      kandle history download binance BTC/USDT ETH/USDT --interval 1h --from 2020-01-01 --job
      kandle history download binance BTC/USDT:USDT --kind trades --from 2024-08-09 --to 2024-08-10
    """  # noqa: D301 - click asks for this control character
    need_pyarrow()
    settings = load(**({"data_dir": data_dir} if data_dir else {}))
    names = list(dict.fromkeys(symbols))
    if as_job:
        _queue(settings, venue, names, interval, since, until, kind, as_json)
        return
    end = time.time_ns() // 1_000 if until is None else until
    if since >= end:
        raise click.UsageError("--from is to lie before --to, and before now")
    shown = []
    for symbol in names:
        series, done = _download(settings, venue, symbol, interval, since, end, kind)
        note_rows(done.rows)
        if done.rejected:
            reasons = ", ".join(f"{count} for {reason}" for reason, count in done.rejected.items())
            click.echo(f"kandle: rows that break a rule are left out: {reasons}", err=True)
        if as_json:
            told = {**_told(series), "new_rows": done.rows, "calls": done.calls}
            click.echo(msgspec.json.encode(told))
        shown.append((series.market, f"{done.rows:,}", *_row(series)[3:]))
    if not as_json:
        click.echo(table(("market", "new", "rows", "from (UTC)", "to (UTC)", "spans", "MB"), shown))


@history.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a series.")
@click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var.")
def list_(as_json: bool, data_dir: str | None) -> None:
    """Show what was downloaded: rows, and the time that they are whole for.

    \b
    Examples:
      kandle history list
      kandle history list --json
    """  # noqa: D301 - click asks for this control character
    settings = load(**({"data_dir": data_dir} if data_dir else {}))
    found = list(all_series(folder_of(settings.data_dir)))
    if as_json:
        for series in found:
            click.echo(msgspec.json.encode(_told(series)))
        return
    if not found:
        click.echo("nothing was downloaded yet: kandle history download VENUE SYMBOL --from TIME")
        return
    header = ("market", "kind", "interval", "rows", "from (UTC)", "to (UTC)", "spans", "MB")
    click.echo(table(header, [_row(series) for series in found]))


def _download(
    settings: Settings, venue: str, symbol: str, interval: str, since: int, until: int, kind: Kind
) -> "tuple[Series, Downloaded]":
    from producers.manager.names import for_symbol, venue_name

    name = for_symbol(venue_name(venue), symbol)
    own, root = interval if kind == "candles" else "", folder_of(settings.data_dir)

    async def run(manager: "VenueManager", _: Settings) -> "tuple[Series, Downloaded]":
        from backtest.downloads.download import Download

        series = Series(root, f"{name.venue}:{symbol}", kind, own)
        with series.locked(), progress(f"{series.market} {own or kind}") as told:
            return series, await Download(manager.venue(name), series, symbol, told).run(since, until)

    def wait() -> None:
        click.echo(f"kandle: another process downloads from {name.venue}: waiting for it ...", err=True)

    with turn(root, name.venue, wait):
        return call_venues(f"asking {venue} for the history of {symbol}", run)


def _queue(
    settings: Settings,
    venue: str,
    symbols: Sequence[str],
    interval: str,
    since: int,
    until: int | None,
    kind: Kind,
    as_json: bool,
) -> None:
    for symbol in symbols:
        request = ["history", "download", venue, symbol, "--interval", interval, "--kind", kind, "--json"]
        request += ["--from", format_time(since)]
        request += [] if until is None else ["--to", format_time(until)]
        job = submit(settings.data_dir, "download", venue.lower(), request, resumable=True)
        told = f"job {job.id} is queued: {symbol}; kandle jobs show {job.id} tells how far it is"
        click.echo(msgspec.json.encode(job) if as_json else told)


def _told(series: Series) -> dict[str, Any]:
    manifest = series.manifest()
    return {
        "market": manifest.market,
        "kind": manifest.kind,
        "interval": manifest.interval or None,
        "rows": manifest.rows,
        "bytes": series.bytes(),
        "spans": [(format_time(start), format_time(stop)) for start, stop in manifest.spans],
    }


def _row(series: Series) -> tuple[str, ...]:
    manifest = series.manifest()
    spans = manifest.spans or [(0, 0)]
    names = (manifest.market, manifest.kind, manifest.interval or "-", f"{manifest.rows:,}")
    times = (moment(spans[0][0]), moment(spans[-1][1]))
    return (*names, *times, str(len(manifest.spans)), f"{series.bytes() / 1e6:.1f}")
