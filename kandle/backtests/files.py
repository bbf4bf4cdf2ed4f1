"""Files as the source of a backtest: CSV, JSON lines or Parquet, of candles or of trades; captures."""

import csv
import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import Final, Literal

import click
import numpy as np

from backtest.bars import Bars, usual_step
from backtest.history import History, Trades
from backtest.sources.asked import Asked, Found, Kind, gather
from backtest.sources.capture import markets_in, read_captures
from kandle.candle_file import CandleFileError, FileCandle, has_candles, read_candles
from kandle.parquet_file import MAGIC, columns_in, parquet_candles, parquet_trades
from kandle.text_files import text_of
from kandle.trade_file.errors import TradeFileError
from kandle.trade_file.reading import read_trades
from kandle.trade_file.table import TradeTable
from kandle.venue_calls import moment
from schemas.errors import ConfigurationError, ValidationError
from schemas.identity import split_key

Content = Literal["capture", "candles", "trades"]
_TAKER: Final = np.array([0, 1, -1], np.int8)
"""Sides of files, which count 1 and 2, as those of a run."""


def read_files(paths: Sequence[Path], asked: Asked) -> Found:
    """What some files hold, each of one market unless it names its own.

    Args:
        paths: The files; captures on their own.
        asked: Its markets name those of the files, in their order; of captures, they choose. Without,
            captures give all they hold, other files are named after themselves, as file:day.

    Raises:
        ConfigurationError: Captures are mixed with other files, or markets are more or fewer than files.
        KandleError: A file cannot be read.
    """
    contents = [content_of(path) for path in paths]
    if "capture" in contents:
        if set(contents) != {"capture"}:
            raise ConfigurationError("captures cannot be mixed with files of candles or trades")
        markets = asked.markets or tuple(markets_in(paths))
        kinds: set[Kind] = set(asked.kinds)
        if any(":" in split_key(market)[1] for market in markets):
            kinds.add("funding")
        return gather(lambda each: read_captures(paths, each), asked.only(markets, frozenset(kinds)))
    if asked.markets and len(asked.markets) != len(paths):
        raise ConfigurationError(
            f"--symbols names the market of each file in turn: there are {len(paths)} files and "
            f"{len(asked.markets)} symbols"
        )
    names = asked.markets or tuple(f"file:{path.name.partition('.')[0]}" for path in paths)
    bars: list[Bars] = []
    trades: list[Trades] = []
    for path, content, name in zip(paths, contents, names, strict=True):
        if content == "candles":
            bars.append(_bars(path, name, asked))
        else:
            trades += _trades(path, name, asked)
    given = [*(each.market for each in bars), *(each.market for each in trades)]
    if len(set(given)) < len(given):
        raise ConfigurationError(
            f"two files are of one market: {', '.join(sorted(given))}; name them by --symbols"
        )
    return Found(History(bars, trades))


def content_of(path: Path) -> Content:
    """What a file holds, by its first line.

    Raises:
        CandleFileError: It cannot be read.
    """
    try:
        with path.open("rb") as opened:
            packed = opened.peek(4)[:4]
            if packed == MAGIC:
                return "candles" if has_candles(columns_in(path)) else "trades"
            with text_of(opened) as text:
                first = next((line for line in text if line.strip()), "")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CandleFileError(f"{path} cannot be read: {error}") from None
    if first.startswith("#"):
        return "capture"
    if first.lstrip().startswith("{"):
        try:
            header = list(json.loads(first))
        except ValueError:
            header = []
    else:
        header = next(csv.reader([first], delimiter=max(",;\t|", key=first.count)), [])
    return "candles" if has_candles(header) else "trades"


def bars_of_candles(candles: Sequence[FileCandle], file: str, market: str, asked: Asked) -> Bars:
    """Candles of a file as a run reads them; their length is the most frequent step of their times.

    Args:
        candles: All of the file.
        file: What to call it in messages.
        market: `venue:symbol`.
        asked: Those that open and close in its time are taken.

    Raises:
        CandleFileError: There are fewer than two, or one is none.
    """
    if len(candles) < 2:
        raise CandleFileError(f"{file}: expected two candles or more, got {len(candles)}")
    times = [candle.open_time for candle in candles]
    length = usual_step(times)
    first = bisect_left(times, asked.since) if asked.since else 0
    candles = candles[first : bisect_right(times, asked.until - length)]
    if not candles:
        raise CandleFileError(
            f"{file} has no candle between --from and --to; it begins at {moment(times[0])} and ends at "
            f"{moment(times[-1] + length)}"
        )
    bars = Bars(
        market,
        [candle.open_time for candle in candles],
        length,
        [candle.open for candle in candles],
        [candle.high for candle in candles],
        [candle.low for candle in candles],
        [candle.close for candle in candles],
        [_volume(candle) for candle in candles],
    )
    try:
        bars.check()
    except ValidationError as error:
        raise CandleFileError(f"{file}: {error}") from error
    return bars


def _bars(path: Path, market: str, asked: Asked) -> Bars:
    if _is_parquet(path):
        candles = parquet_candles(path)
    else:
        with path.open("rb") as opened:
            candles = read_candles(opened, str(path))
    return bars_of_candles(candles, str(path), market, asked)


def _volume(candle: FileCandle) -> float:
    try:
        return candle.volume
    except CandleFileError:
        return nan


def _trades(path: Path, name: str, asked: Asked) -> list[Trades]:
    def refuse(line: int, reason: str) -> None:
        raise TradeFileError(f"{path}, line {line}: {reason}")

    if _is_parquet(path):
        table = TradeTable.of([parquet_trades(path)])
    else:
        with path.open("rb") as opened:
            table = TradeTable.of(read_trades(opened, str(path), refuse))
    if table is None:
        raise TradeFileError(f"{path} holds no trade")
    if table.repeats or table.conflicts:
        click.echo(
            f"kandle: {path}: trades that repeat an id are left out: {table.repeats} with the same values, "
            f"{len(table.conflicts)} with others",
            err=True,
        )
    found = []
    for number, (venue, symbol) in enumerate(table.markets):
        chosen = (table.symbols == number) & (table.times >= asked.since) & (table.times < asked.until)
        market = f"{venue or 'file'}:{symbol}" if symbol and not asked.markets else name
        columns = (table.times[chosen], table.prices[chosen], table.sizes[chosen])
        found.append(Trades(market, *columns, _TAKER[table.sides[chosen]]))
    if asked.markets and len(found) > 1:
        raise ConfigurationError(
            f"{path} holds {len(found)} markets of its own, and --symbols names one: leave --symbols out"
        )
    return [each for each in found if len(each)]


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as opened:
        return opened.read(len(MAGIC)) == MAGIC
