"""`kandle optimize`: search for parameters of a strategy over the past."""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from backtest.search.constraint import Constraint, allowed_by
from backtest.search.ranking import METRICS
from backtest.search.search import NothingFoundError, Search
from backtest.search.sharing import in_columns, share
from backtest.search.space import Parameters, axis_of, drawn, grid
from backtest.search.trials import Job, Outcome, Trial
from backtest.search.walk_forward import folds_of
from backtest.search.windows import step_of, window_of
from backtest.search.workers import Workers, cores
from backtest.strategy import Strategy
from infra.settings import load
from kandle.backtests import data
from kandle.backtests import terms as term_options
from kandle.jobs.detaching import OPTION, DetachableCommand, detach
from kandle.patience import patience
from kandle.searches.progress import SearchProgress
from kandle.searches.report import OptimizeReport
from kandle.settings_file import parameters_set, set_option
from kandle.strategy_source import failure_of, kind_of
from processors.plugins import load_plugins
from schemas.errors import ConfigurationError

INTERRUPTED: Final = 130
"""Exit code of a search that was ended from the keyboard."""


@click.command(
    cls=DetachableCommand,
    params=[
        click.Argument(["strategy"]),
        *data.OPTIONS,
        click.Option(
            ["--grid"],
            multiple=True,
            metavar="NAME=FROM:TO:STEP",
            help="Values of a parameter, both ends included; or NAME=A,B,C. May be repeated.",
        ),
        click.Option(
            ["--random", "count"],
            type=click.IntRange(min=1),
            metavar="N",
            help="Draw N sets instead of trying them all; ranges then need no step.",
        ),
        click.Option(
            ["--param", "parameters"],
            multiple=True,
            metavar="NAME=VALUE",
            help="A fixed parameter; with --random also a range, as fast=5:50.",
        ),
        click.Option(
            ["--constraint", "constraints"],
            multiple=True,
            metavar="CONDITION",
            help='What sets must hold, as "fast < slow"; others are not tried.',
        ),
        click.Option(
            ["--metric"],
            type=click.Choice(list(METRICS)),
            default="sharpe",
            show_default=True,
            help="Figure by which the best is chosen.",
        ),
        click.Option(
            ["--walk-forward"],
            metavar="IN:OUT",
            help="Choose on stretches of IN, judge on OUT behind them, as 90d:30d; or a number of folds.",
        ),
        *term_options.OPTIONS,
        set_option(term_options.OPTIONS),
        click.Option(
            ["--workers"], type=click.IntRange(min=1), help="Processes; without it, one for each core."
        ),
        click.Option(["--seed"], type=int, default=0, show_default=True, help="Of what --random draws."),
        click.Option(
            ["--top"], type=click.IntRange(min=1), default=10, show_default=True, help="Sets that are shown."
        ),
        click.Option(["--json", "json_wanted"], is_flag=True, help="One JSON object."),
        OPTION,
    ],
)
@click.pass_context
def optimize(context: click.Context, /, strategy: str, as_job: bool, **given: Any) -> None:
    """Run a STRATEGY with many sets of parameters over the same data, on all cores, and rank them.

    Each run is one of `kandle backtest` with the same options: same figures, same hash. The best of many is
    partly luck: the number of trials is told beside the best Sharpe ratio, with the deflated one. Ctrl-C ends
    the search, and what is done so far is told. See docs/optimizing.md.

    Exits with 2 if the strategy, a range or the data are wrong, with 1 if all sets fail, with 130 after
    Ctrl-C.

    \b
    Examples:
      kandle optimize sma_cross --candles day.csv --grid fast=5:50:5 --grid slow=20:200:10
      kandle optimize sma_cross --candles day.csv --random 200 --param fast=2:50 --param slow=10:200 \\
          --constraint "fast * 2 <= slow" --metric calmar --seed 7 --json
      kandle optimize mine.py --candles btc_1m.csv --grid depth=0.01,0.02 --walk-forward 90d:30d
    """  # noqa: D301 - click asks for this control character
    load_plugins(load().processors.plugins)
    if as_job:
        detach(context, data.data_dir_of(given), "optimize", data.provider_of(given))
        return
    kind = kind_of(strategy)
    sets, refused = _sets(kind, given, parameters_set(context, given["parameters"]))
    terms = replace(term_options.terms_of(given), interval=given["interval"])
    history = in_columns(data.history_of(given, kind(**sets[0]), terms))
    term_options.check_affordable(history, terms)
    text = given["walk_forward"]
    folds = None if text is None else folds_of(text, window_of(history), step_of(history))
    search = Search(sets, given["metric"], folds)
    with tempfile.TemporaryDirectory(prefix="kandle-optimize-") as folder:
        with patience("sharing the data"):
            shared = share(history, Path(folder) / "columns")
        opened = partial(_opened, strategy, load().processors.plugins)
        count = min(given["workers"] or cores(), len(search.trials))
        progress = SearchProgress("runs", len(search.trials))
        try:
            with Workers[Trial, Outcome](count, Job(opened, _told, shared, terms)) as workers:
                search.play(workers, progress.show)
        finally:
            progress.clear()
    _check(search)
    seed = None if given["count"] is None else given["seed"]
    report = OptimizeReport(kind, history, terms, search, refused, seed)
    if given["json_wanted"]:
        click.echo(msgspec.json.encode(report.as_json(given["top"])))
    else:
        click.echo(report.as_text(given["top"]))
    if search.interrupted:
        sys.exit(INTERRUPTED)


def _sets(
    kind: type[Strategy], given: Mapping[str, Any], parameters: Sequence[str]
) -> tuple[list[Parameters], Sequence[str]]:
    """The sets that the strategy takes, and why it refuses the others.

    Raises:
        ConfigurationError: There are none, or what is given is none of its parameters.
    """
    axes = [axis_of(text) for text in (*given["grid"], *parameters)]
    defaults = kind.defaults()
    unknown = sorted({axis.name for axis in axes} - defaults.keys())
    if unknown:
        raise ConfigurationError(
            f"strategy {kind.name} takes {', '.join(defaults) or 'no parameters'}; got {', '.join(unknown)}"
        )
    allowed = allowed_by([Constraint(text) for text in given["constraints"]], defaults)
    count: int | None = given["count"]
    if count is None:
        if not given["grid"]:
            raise click.UsageError("say what is tried: --grid NAME=FROM:TO:STEP, or --random N and ranges")
        found = grid(axes, allowed)
    else:
        found = drawn(axes, count, allowed, given["seed"])
        if len(found) < count:
            click.echo(f"kandle: there are hardly more than {len(found)} sets to be drawn", err=True)
    if not found:
        raise ConfigurationError("no set of parameters holds the constraints")
    taken, refused = [], []
    for each in found:
        try:
            kind(**each)
        except ConfigurationError as error:
            refused.append(str(error))
        else:
            taken.append(each)
    if not taken:
        raise ConfigurationError(f"the strategy refuses every set: {refused[0]}")
    return taken, refused


def _check(search: Search) -> None:
    """End where there is nothing to tell.

    Raises:
        NothingFoundError: All that was run has failed.
    """
    failed = [each.error for each in search.found if each.error]
    if failed and len(failed) == len(search.found):
        raise NothingFoundError(f"all {len(failed)} runs have failed, the first one as: {failed[0]}")


def _opened(strategy: str, plugins: Sequence[str]) -> type[Strategy]:
    """The class of the strategy, in a process that has loaded nothing yet."""
    load_plugins(plugins)
    return kind_of(strategy)


def _told(strategy: Strategy, error: Exception) -> str:
    return str(failure_of(strategy, error))
