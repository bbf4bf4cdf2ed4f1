"""Options of a backtest that say what is made of its result."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
import msgspec

from backtest.engine import Run
from backtest.statistics import statistics_of
from backtest.strategy import Strategy
from kandle.backtest_report import as_json, as_text, trade_table

OPTIONS: Final[Sequence[click.Option]] = (
    click.Option(["--trades", "with_trades"], is_flag=True, help="List the trades, too."),
    click.Option(["--json", "json_wanted"], is_flag=True, help="One JSON object."),
)


def tell(strategy: Strategy, found: Run, fingerprint: str, given: Mapping[str, Any]) -> None:
    """Print what came of a run, and write what else is wanted of it.

    Args:
        strategy: Which was run.
        found: What came of it.
        fingerprint: Hash of the run.
        given: Values of all options of the command, by name; those of `OPTIONS` are read.
    """
    figures = statistics_of(found)
    if given["json_wanted"]:
        click.echo(msgspec.json.encode(as_json(strategy, found, figures, fingerprint, given["with_trades"])))
        return
    click.echo(as_text(strategy, found, figures, fingerprint))
    if given["with_trades"]:
        click.echo(f"\n{trade_table(found.trades)}")
