"""`kandle backtest`: run a strategy over candles of the past."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from math import nan
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from backtest.bars import Bars, usual_step
from backtest.costs import Costs
from backtest.engine import Run, Terms, run
from backtest.fingerprint import fingerprint
from backtest.orders import OrderState
from backtest.statistics import statistics_of
from backtest.strategy import Strategy
from infra.settings import load
from kandle.backtest_report import as_json, as_text, trade_table
from kandle.candle_file import CandleFileError, FileCandle, read_candles
from kandle.catalogue import defaults_of, meaning_of
from kandle.patience import patience
from kandle.strategy_source import failure_of, strategy_of
from kandle.venue_calls import moment, table
from processors.plugins import load_plugins
from schemas.errors import ConfigurationError, KandleError

MOST_REASONS: Final = 5
"""Kinds of refusals that are told."""


class Amount(click.ParamType):
    """An exact number above 0."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Read a decimal number."""
        try:
            found = Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r} is no number", param, ctx)
        if not found.is_finite() or not self.holds(found):
            self.fail(f"{value} is not {self.told}", param, ctx)
        return found

    told = "above 0"

    def holds(self, number: Decimal) -> bool:
        """Whether a number is such an amount."""
        return number > 0


class Part(Amount):
    """A part of a price or a value, not percent."""

    told = "a part: 0 or more and below 1, 0.001 is 0.1 %"

    def holds(self, number: Decimal) -> bool:
        """Whether a number is such a part."""
        return 0 <= number < 1


AMOUNT, PART = Amount(), Part()


@click.command()
@click.argument("strategy", required=False)
@click.option(
    "--candles",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    help="CSV with a header or JSON lines, may be gzipped; - reads standard input.",
)
@click.option("--param", "parameters", multiple=True, help="Of the strategy, as fast=10; may be repeated.")
@click.option("--capital", type=AMOUNT, default="10000", show_default=True, help="Cash to begin with.")
@click.option(
    "--fee", type=PART, default="0", show_default=True, help="Part of each fill's value: 0.001 is 0.1 %."
)
@click.option("--maker-fee", type=PART, help="The same, of limit orders; without it, as --fee.")
@click.option(
    "--slippage", type=PART, default="0", show_default=True, help="Part of the price by which it is worse."
)
@click.option("--lot", type=AMOUNT, default="1", show_default=True, help="Smallest step of a size, units.")
@click.option(
    "--leverage", type=AMOUNT, default="1", show_default=True, help="Value of positions over what they bind."
)
@click.option("--trades", "with_trades", is_flag=True, help="List the trades, too.")
@click.option("--list", "listing", is_flag=True, help="Print the strategies that there are.")
@click.option("--json", "json_wanted", is_flag=True, help="One JSON object.")
def backtest(
    strategy: str | None,
    file: Path | None,
    parameters: Sequence[str],
    capital: Decimal,
    fee: Decimal,
    maker_fee: Decimal | None,
    slippage: Decimal,
    lot: Decimal,
    leverage: Decimal,
    with_trades: bool,
    listing: bool,
    json_wanted: bool,
) -> None:
    """Run a STRATEGY over candles of the past: a name of --list, or a file of yours.

    The file of candles is as `kandle indicators` reads it; their interval is the most frequent step of their
    times. How orders are filled is said in docs/backtesting.md, and in the JSON.

    Exits with 2 if the file, the strategy or an amount is wrong, with 1 if the strategy raises.

    \b
    Examples:
      kandle backtest sma_cross --candles day.csv --param fast=10 --param slow=30 --fee 0.0004
      kandle backtest sma_cross --candles btc_1m.csv.gz --lot 0.00001 --json
      kandle backtest my_strategy.py --candles day.csv --trades
      kandle backtest --list
    """  # noqa: D301 - click asks for this control character
    load_plugins(load().processors.plugins)
    if listing:
        _list(json_wanted)
        return
    if file is None or strategy is None:
        raise click.UsageError("say which: STRATEGY --candles FILE, or --list")
    chosen = strategy_of(strategy, parameters)
    with patience(f"reading {file}"), click.open_file(str(file), "rb") as opened:
        bars = _bars(read_candles(opened, str(file)), str(file), file.stem)
    terms = Terms(capital, Costs(fee, fee if maker_fee is None else maker_fee, slippage), lot, leverage)
    _check_affordable(bars, terms)
    _tell_holes(bars)
    with patience(f"running {chosen.name} over {len(bars)} candles"):
        found = _run(chosen, bars, terms)
    _tell_refusals(found)
    figures, digest = statistics_of(found), fingerprint(chosen, [bars], terms)
    if json_wanted:
        click.echo(msgspec.json.encode(as_json(chosen, found, figures, digest, with_trades)))
        return
    click.echo(as_text(chosen, found, figures, digest))
    if with_trades:
        click.echo(f"\n{trade_table(found.trades)}")


def _bars(candles: Sequence[FileCandle], file: str, name: str) -> Bars:
    if len(candles) < 2:
        raise CandleFileError(f"{file}: expected two candles or more, got {len(candles)}")
    times = [candle.open_time for candle in candles]
    bars = Bars(
        f"file:{name}",
        times,
        usual_step(times),
        [candle.open for candle in candles],
        [candle.high for candle in candles],
        [candle.low for candle in candles],
        [candle.close for candle in candles],
        [_volume(candle) for candle in candles],
    )
    bars.check()
    return bars


def _volume(candle: FileCandle) -> float:
    try:
        return candle.volume
    except CandleFileError:
        return nan


def _check_affordable(bars: Bars, terms: Terms) -> None:
    """Refuse terms under which nothing could ever be bought."""
    cheapest = Decimal(repr(min(bars.lows))) * terms.lot
    if cheapest > terms.capital * terms.leverage:
        raise ConfigurationError(
            f"a lot of {terms.lot} costs at least {cheapest}, and there are {terms.capital}: "
            "trade smaller lots, as with --lot 0.001, or give more --capital"
        )


def _tell_holes(bars: Bars) -> None:
    holes = bars.holes()
    if holes is not None:
        click.echo(
            f"kandle: {holes.candles} candles are missing at {holes.places} places, most of them between "
            f"{moment(holes.after)} and {moment(holes.before)}; orders wait for the next candle",
            err=True,
        )


def _run(strategy: Strategy, bars: Bars, terms: Terms) -> Run:
    try:
        return run(strategy, [bars], terms)
    except KandleError:
        raise
    except Exception as error:
        raise failure_of(strategy, error) from error


def _tell_refusals(found: Run) -> None:
    reasons: dict[str, int] = {}
    for order in found.orders:
        if order.state is OrderState.REFUSED:
            reasons[order.reason] = reasons.get(order.reason, 0) + 1
    for reason, count in list(reasons.items())[:MOST_REASONS]:
        hint = "; --lot makes lots smaller" if "less than a lot" in reason else ""
        click.echo(f"kandle: refused orders: {count}, as {reason}{hint}", err=True)


def _list(json_wanted: bool) -> None:
    known = [kind() for _, kind in sorted(Strategy.known().items())]
    if json_wanted:
        for each in known:
            shown = {"strategy": each.name, "parameters": dict(each.parameters), "meaning": meaning_of(each)}
            click.echo(msgspec.json.encode(shown))
        return
    rows = [(each.name, defaults_of(each), meaning_of(each)) for each in known]
    click.echo(table(("strategy", "parameters", "meaning"), rows))
