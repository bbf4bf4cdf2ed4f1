"""Says what is missing of a history before a strategy runs over it."""

from collections.abc import Iterator
from typing import Final

import click

from backtest.sources.asked import Asked, Found
from backtest.sources.holes import Span, edges, missing_days, missing_trades
from kandle.venue_calls import moment

MOST: Final = 5
"""Spans without rows that are told one by one."""


def tell_holes(found: Found, asked: Asked | None) -> None:
    """Tell on standard error.

    Args:
        found: What a source has.
        asked: What it was asked for; None: all it has.
    """
    for line in lines(found, asked):
        click.echo(f"kandle: {line}", err=True)


def lines(found: Found, asked: Asked | None) -> Iterator[str]:
    """What is missing, in words."""
    several = len(found.history.markets) > 1
    for bars in found.history.bars:
        holes = bars.holes()
        if holes is not None:
            of = f" of {bars.market}" if several else ""
            yield (
                f"{holes.candles} candles{of} are missing at {holes.places} places, most of them between "
                f"{moment(holes.after)} and {moment(holes.before)}; orders wait for the next candle"
            )
    for market, (count, trades) in missing_trades(found.gaps).items():
        known = "" if trades is None else f", {trades} trades"
        first = moment(found.gaps[0].from_time)
        yield f"{market} has {count} gaps in its trades{known}; the first of all begins at {first}"
    if asked is not None:
        spans = [*edges(found, asked), *missing_days(found)]
        yield from map(_told, spans[:MOST])
        if len(spans) > MOST:
            yield f"and {len(spans) - MOST} more spans without rows"


def _told(span: Span) -> str:
    return f"{span.market} has no {span.what} from {moment(span.since)} to {moment(span.until)}"
