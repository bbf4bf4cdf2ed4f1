"""`kandle ohlcv`: past candles of a venue."""

import csv
import sys
from typing import TYPE_CHECKING

import click
import msgspec

from infra.settings import Settings
from kandle.venue_calls import SymbolName, call_venues, moment, table

if TYPE_CHECKING:
    from producers.manager.records import Candles, PastCandle
    from producers.manager.venue_manager import VenueManager

HEADER = ("open time", "open", "high", "low", "close", "volume", "closed")


@click.command()
@click.argument("venue")
@click.argument("symbol", type=SymbolName())
@click.argument("interval")
@click.option("--limit", type=click.IntRange(1, 1000), default=500, help="The newest so many; default 500.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a candle.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV with a header.")
def ohlcv(venue: str, symbol: str, interval: str, limit: int, as_json: bool, as_csv: bool) -> None:
    """Print the newest candles of a SYMBOL at a VENUE, oldest first; INTERVAL is 1m, 1h, 1d ...

    Each is checked: the highest price is the highest, the lowest the lowest, no volume below 0, times ascend.
    What breaks a rule is left out and counted on standard error. The last candle may not be closed yet.
    Times in JSON and CSV are whole microseconds since the epoch, UTC. Exits with 1 if there is no candle.

    \b
    Examples:
      kandle ohlcv binance btc/usdt 1m
      kandle ohlcv gateio BTC/USDT:USDT 1h --limit 100 --csv > candles.csv
    """  # noqa: D301 - click asks for this control character
    if as_json and as_csv:
        raise click.UsageError("choose one of --json and --csv")

    async def ask(manager: "VenueManager", _: Settings) -> "Candles":
        return await manager.candles(venue, symbol, interval, limit)

    found = call_venues(f"asking {venue} for candles of {symbol}", ask)
    _print(found.candles, as_json, as_csv)
    if found.rejected:
        reasons = ", ".join(f"{count} for {reason}" for reason, count in found.rejected.items())
        click.echo(f"kandle: candles that break a rule are left out: {reasons}", err=True)
    if not found.candles:
        click.echo(f"kandle: {venue} has no candles of {symbol} {interval}", err=True)
        sys.exit(1)


def _print(candles: "list[PastCandle]", as_json: bool, as_csv: bool) -> None:
    if as_json:
        for candle in candles:
            click.echo(msgspec.json.encode(candle))
    elif as_csv and candles:
        rows = [msgspec.structs.asdict(candle) for candle in candles]
        writer = csv.DictWriter(sys.stdout, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    elif candles:
        click.echo(
            table(
                HEADER,
                [
                    (
                        moment(candle.open_time),
                        candle.open,
                        candle.high,
                        candle.low,
                        candle.close,
                        candle.volume,
                        "yes" if candle.closed else "no",
                    )
                    for candle in candles
                ],
            )
        )
