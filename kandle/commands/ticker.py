"""`kandle ticker`: the figures of 24 hours, from the first venue that answers or from all."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import msgspec

from infra.settings import Settings
from kandle.venue_calls import SymbolName, call_venues, moment, table
from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from producers.manager.venue_manager import Answers, VenueManager

HEADER = (
    "symbol",
    "venue",
    "price",
    "bid",
    "ask",
    "volume",
    "change24h",
    "changePercent24h",
    "high24h",
    "low24h",
    "timestamp",
)


@click.command()
@click.argument("symbols", nargs=-1, required=True, type=SymbolName())
@click.option("--venue", help="A venue, or all: each of KANDLE_VENUE_PRIORITY and of the settings at once.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a ticker.")
@click.option("--fresh", is_flag=True, help="Do not use what was answered within the last 60 s.")
def ticker(symbols: Sequence[str], venue: str | None, as_json: bool, fresh: bool) -> None:
    """Print the price and the figures of 24 hours of SYMBOLS.

    Without --venue the venues of KANDLE_VENUE_PRIORITY are asked in turn, until each symbol has a ticker. A
    venue that fails is named on standard error and left out. Exits with 1 if a symbol has no ticker at all.

    Prices are in quote currency, the volume in base units, times in JSON whole microseconds since the epoch.
    What a venue does not tell is null, or - in text.

    \b
    Examples:
      kandle ticker btc/usdt
      kandle ticker BTC/USDT ETH/USDT --venue all --json
      kandle ticker BTC/USDT:USDT --venue gateio
    """  # noqa: D301 - click asks for this control character
    wanted = list(dict.fromkeys(symbols))

    async def ask(manager: "VenueManager", settings: Settings) -> "Answers":
        if fresh:
            await manager.forget()
        names = list(settings.venue_priority)
        if venue is None:
            return await manager.first(wanted, names)
        everywhere = venue.strip().lower() == "all"
        return await manager.all(wanted, [*names, *settings.venues] if everywhere else [venue])

    answers = call_venues(f"asking for {', '.join(wanted)}", ask)
    _print(answers, as_json)
    for words in dict.fromkeys(str(failure.error) for failure in answers.failures):
        click.echo(f"kandle: {words}", err=True)
    had = {found.symbol.upper() for found in answers.tickers}
    missing = [symbol for symbol in wanted if symbol not in had]
    if missing:
        click.echo(f"kandle: no ticker of {', '.join(missing)} could be had", err=True)
        wrong = all(isinstance(failure.error, ConfigurationError) for failure in answers.failures)
        sys.exit(ConfigurationError.exit_code if wrong else 1)


def _print(answers: "Answers", as_json: bool) -> None:
    if as_json:
        for found in answers.tickers:
            click.echo(msgspec.json.encode(found))
        return
    rows = [
        (
            found.symbol,
            f"{found.venue} {found.market}".rstrip(),
            found.price,
            found.bid,
            found.ask,
            found.volume,
            found.change_24h,
            found.change_percent_24h,
            found.high_24h,
            found.low_24h,
            moment(found.timestamp),
        )
        for found in answers.tickers
    ]
    if rows:
        click.echo(table(HEADER, rows))
