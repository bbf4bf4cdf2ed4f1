"""Options of a backtest that say what is made of its result."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from backtest.engine import Run
from backtest.report.page import page_of
from backtest.report.parquet import write_parquet
from backtest.statistics import statistics_of
from backtest.strategy import Strategy
from kandle.backtests.report import as_json
from kandle.backtests.table import as_text, trade_table
from kandle.patience import patience
from schemas.errors import ConfigurationError

OPTIONS: Final[Sequence[click.Option]] = (
    click.Option(["--trades", "with_trades"], is_flag=True, help="List the trades, too."),
    click.Option(["--json", "json_wanted"], is_flag=True, help="One JSON object."),
    click.Option(
        ["--parquet", "parquet_folder"],
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder for trades, orders, fills, funding and equity as Parquet files.",
    ),
    click.Option(
        ["--report", "report_file"],
        type=click.Path(path_type=Path, dir_okay=False),
        help="File for a page of HTML with charts, which needs nothing else.",
    ),
)


def tell(strategy: Strategy, found: Run, fingerprint: str, given: Mapping[str, Any]) -> None:
    """Write the files that are wanted of a run, then print what came of it.

    Args:
        strategy: Which was run.
        found: What came of it.
        fingerprint: Hash of the run.
        given: Values of all options of the command, by name; those of `OPTIONS` are read.

    Raises:
        ConfigurationError: A file cannot be written, or the extra that writes it is not installed.
    """
    figures = statistics_of(found)
    folder: Path | None = given["parquet_folder"]
    if folder is not None:
        about = {"strategy": strategy.name, "parameters": dict(strategy.parameters), "hash": fingerprint}
        with patience(f"writing {folder}"):
            write_parquet(found, folder, about)
        click.echo(f"kandle: wrote trades, orders, fills, payments and equity to {folder}", err=True)
    page: Path | None = given["report_file"]
    if page is not None:
        with patience(f"writing {page}"):
            _write(page, page_of(strategy, found, figures, fingerprint))
        click.echo(f"kandle: wrote {page}", err=True)
    if given["json_wanted"]:
        click.echo(msgspec.json.encode(as_json(strategy, found, figures, fingerprint, given["with_trades"])))
        return
    click.echo(as_text(strategy, found, figures, fingerprint))
    if given["with_trades"]:
        click.echo(f"\n{trade_table(found.trades)}")


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error}") from error
