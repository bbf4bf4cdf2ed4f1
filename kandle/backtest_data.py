"""Options of a backtest that say what it runs over."""

from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any, Final

import click

from backtest.bars import Bars, usual_step
from backtest.history import History
from kandle.candle_file import CandleFileError, FileCandle, read_candles
from kandle.patience import patience
from kandle.venue_calls import moment

OPTIONS: Final[Sequence[click.Option]] = (
    click.Option(
        ["--candles", "file"],
        type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
        help="CSV with a header or JSON lines, may be gzipped; - reads standard input.",
    ),
)


def history_of(given: Mapping[str, Any]) -> History:
    """What a run reads.

    Args:
        given: Values of all options of the command, by name; those of `OPTIONS` are read.

    Raises:
        UsageError: They do not say what.
        KandleError: It cannot be read.
    """
    file: Path | None = given["file"]
    if file is None:
        raise click.UsageError("say which: STRATEGY --candles FILE, or --list")
    with patience(f"reading {file}"), click.open_file(str(file), "rb") as opened:
        return History([_bars(read_candles(opened, str(file)), str(file), file.stem)])


def tell_holes(history: History) -> None:
    """Say on standard error what is missing."""
    for bars in history.bars:
        holes = bars.holes()
        if holes is not None:
            click.echo(
                f"kandle: {holes.candles} candles are missing at {holes.places} places, most of them between "
                f"{moment(holes.after)} and {moment(holes.before)}; orders wait for the next candle",
                err=True,
            )


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
