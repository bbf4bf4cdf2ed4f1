"""`kandle backtest`: run a strategy over the past."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Any, Final

import click
import msgspec

from backtest.engine import Run, run
from backtest.fingerprint import fingerprint
from backtest.history import History
from backtest.orders import OrderState
from backtest.strategy import Strategy
from backtest.terms import Terms
from infra.settings import load
from kandle.backtests import data, outputs
from kandle.backtests import terms as term_options
from kandle.backtests.progress import progress_of
from kandle.catalogue import defaults_of, meaning_of
from kandle.jobs.detaching import OPTION, DetachableCommand, detach
from kandle.patience import patience
from kandle.settings_file import parameters_set, set_option
from kandle.strategy_source import failure_of, strategy_of
from kandle.venue_calls import table
from processors.plugins import load_plugins
from schemas.errors import KandleError

MOST_REASONS: Final = 5
"""Kinds of refusals that are told."""


@click.command(
    cls=DetachableCommand,
    params=[
        click.Argument(["strategy"], required=False),
        *data.OPTIONS,
        click.Option(
            ["--param", "parameters"], multiple=True, help="Of the strategy, as fast=10; may be repeated."
        ),
        *term_options.OPTIONS,
        set_option(term_options.OPTIONS),
        *outputs.OPTIONS,
        OPTION,
        click.Option(["--list", "listing"], is_flag=True, help="Print the strategies that there are."),
    ],
)
@click.pass_context
def backtest(
    context: click.Context,
    /,
    strategy: str | None,
    parameters: Sequence[str],
    listing: bool,
    as_job: bool,
    **given: Any,
) -> None:
    """Run a STRATEGY over the past of markets: a name of --list, or a file of yours.

    --candles reads one file as `kandle indicators` does; the interval of the candles is the most frequent
    step of their times. --source reads several files, captures, topics, the archive, the database, or what
    `kandle history download` has kept; of it what the strategy hears of and what its orders are filled by.
    What is missing is said before the run. How orders are filled is said in docs/backtesting.md, and in the
    JSON.

    Exits with 2 if the data, the strategy or an amount is wrong, with 1 if the strategy raises.

    \b
    Examples:
      kandle backtest sma_cross --candles day.csv --param fast=10 --param slow=30 --fee 0.0004
      kandle backtest sma_cross --candles btc_1m.csv.gz --lot 0.00001 --json
      kandle backtest my_strategy.py --candles day.csv --trades
      kandle backtest sma_cross --candles day.csv --set mine.toml
      kandle backtest sma_cross --source binance.capture.gz --interval 1s --lot 0.001
      kandle backtest sma_cross --source history --symbols binance:BTC/USDT --interval 1h --from 2024-01-01
      kandle backtest my_strategy.py --source archive --symbols binance:BTC/USDT --read trades
      kandle backtest sma_cross --source topics --symbols binance:BTC/USDT --job
      kandle backtest --list
    """  # noqa: D301 - click asks for this control character
    load_plugins(load().processors.plugins)
    if listing:
        _list(given["json_wanted"])
        return
    if strategy is None:
        raise click.UsageError("say which: STRATEGY --candles FILE, or --list")
    chosen = strategy_of(strategy, parameters_set(context, parameters))
    if as_job:
        detach(context, data.data_dir_of(given), "backtest", data.provider_of(given))
        return
    terms = replace(term_options.terms_of(given), interval=given["interval"])
    history = data.history_of(given, chosen, terms)
    term_options.check_affordable(history, terms)
    with patience(f"running {chosen.name} over {_told(history)}"), progress_of(chosen, history):
        found = _run(chosen, history, terms)
    _tell_refusals(found)
    outputs.tell(chosen, found, fingerprint(chosen, history, terms), given)


def _run(strategy: Strategy, history: History, terms: Terms) -> Run:
    try:
        with redirect_stdout(sys.stderr):  # what a strategy prints is not the answer of the command
            return run(strategy, history, terms)
    except KandleError:
        raise
    except Exception as error:
        raise failure_of(strategy, error) from error


def _told(history: History) -> str:
    counts = {kind: sum(map(len, getattr(history, kind))) for kind in ("bars", "trades", "quotes", "books")}
    counts["candles"] = counts.pop("bars")
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)


def _tell_refusals(found: Run) -> None:
    reasons: dict[str, int] = {}
    for order in found.orders:
        if order.state is OrderState.REFUSED:
            reasons[order.reason] = reasons.get(order.reason, 0) + 1
    for reason, count in list(reasons.items())[:MOST_REASONS]:
        hint = "; --lot makes lots smaller" if "less than a lot" in reason else ""
        click.echo(f"kandle: refused orders: {count}, as {reason}{hint}", err=True)
    forced = sum(order.kind == "liquidation" for order in found.orders)
    if forced:
        click.echo(
            f"kandle: positions liquidated: {forced}, as the equity had fallen to the maintenance margin",
            err=True,
        )


def _list(json_wanted: bool) -> None:
    known = [kind() for _, kind in sorted(Strategy.known().items())]
    if json_wanted:
        for each in known:
            shown = {"strategy": each.name, "parameters": dict(each.parameters), "meaning": meaning_of(each)}
            click.echo(msgspec.json.encode(shown))
        return
    rows = [(each.name, defaults_of(each), meaning_of(each)) for each in known]
    click.echo(table(("strategy", "parameters", "meaning"), rows))
