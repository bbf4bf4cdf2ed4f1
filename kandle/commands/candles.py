"""`kandle candles`: candles of a file of trades."""

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from kandle.patience import patience
from kandle.trade_file.candles import candle_rows
from kandle.trade_file.errors import TradeFileError
from kandle.trade_file.reading import read_trades
from kandle.trade_file.table import TradeTable
from kandle.venue_calls import table

COLUMNS: Final = (
    *("time", "venue", "symbol", "interval", "open", "high", "low", "close", "volume", "vwap", "trade_count"),
    "complete",
)
PORTION: Final = 10_000
"""Candles that are written at once."""
MOST_NAMED: Final = 5
"""Bad lines that are named; more are counted."""


@click.command()
@click.option(
    "--trades",
    "file",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    help="CSV with a header or JSON lines, may be gzipped; - reads standard input.",
)
@click.option(
    "--interval",
    "intervals",
    multiple=True,
    help="1s, 1m, 3m, 5m, 15m, 30m, 1h, 4h, 1d or 1w; several by commas or repeated. Default 1m.",
)
@click.option(
    "--empty",
    type=click.Choice(["skip", "carry"]),
    default="skip",
    help="An interval without trades: no candle, or one with the last close and volume 0.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a candle.")
@click.option("--skip-bad", is_flag=True, help="Leave out lines that are no trade, and count them.")
def candles(file: Path, intervals: Sequence[str], empty: str, as_json: bool, skip_bad: bool) -> None:
    """Build candles from a file of trades, as the stream would.

    \b
    Fields, under these or other usual names (timestamp, qty, amount, T, p, q ...), in any case:
    time    ISO 8601, UTC unless it says otherwise; or seconds, milliseconds, microseconds or
            nanoseconds since the epoch, told apart by their size; fractions are allowed
    price   above 0
    size    base units; also qty, quantity, amount, volume
    side    buy or sell, the aggressor's; or is_buyer_maker; may be absent
    id      number or text; may be absent
    symbol  may be absent; each symbol gets its own candles
    venue   or exchange; may be absent; likewise

    Lines may be in any order. Open and close are the first and last trade by time, then by id where ids are
    numbers, else as the file has them. A line that repeats an id with the same values is dropped; one that
    gives a known id other values is refused, and said. The file is taken to hold all trades of the minutes
    that it begins and ends in: only candles that reach beyond are not complete.

    \b
    JSON: time (open time), close_time (exclusive), open, high, low, close, volume, quote_volume,
    vwap, trade_count, taker_buy_volume, first_trade_id, last_trade_id, interval, complete.

    Exits with 1 if there is no trade, with 2 if a line is none.

    \b
    Examples:
      kandle candles --trades trades.csv --interval 1m
      kandle candles --trades trades.jsonl.gz --interval 1m,1h,1d --json
    """  # noqa: D301 - click asks for this control character
    names = [name.strip() for text in intervals or ("1m",) for name in text.split(",") if name.strip()]
    bad = _BadLines(file, skip_bad)
    with patience(f"reading {file}"), click.open_file(str(file), "rb") as opened:
        trades = TradeTable.of(read_trades(opened, str(file), bad.take))
    if trades is not None:
        _print(candle_rows(trades, list(dict.fromkeys(names)), carry=empty == "carry"), as_json)
        bad.tell(trades)
    if trades is None:
        click.echo(f"kandle: {file} holds no trade", err=True)
        sys.exit(1)


class _BadLines:
    def __init__(self, file: Path, skipped: bool) -> None:
        self._file, self._skipped = file, skipped
        self._count = 0

    def take(self, line: int, reason: str) -> None:
        """Stop at a bad line, or count it."""
        if not self._skipped:
            raise TradeFileError(f"{self._file}, line {line}: {reason}; --skip-bad leaves such lines out")
        self._count += 1
        if self._count <= MOST_NAMED:
            click.echo(f"kandle: line {line} is left out: {reason}", err=True)

    def tell(self, trades: TradeTable) -> None:
        """Say what is not in the candles."""
        if self._count > MOST_NAMED:
            click.echo(f"kandle: {self._count} lines are left out in all", err=True)
        if trades.repeats:
            click.echo(f"kandle: {trades.repeats} trades repeat an id and are dropped", err=True)
        if trades.conflicts:
            named = ", ".join(map(str, trades.conflicts[:MOST_NAMED]))
            more = (
                ""
                if len(trades.conflicts) <= MOST_NAMED
                else f" and {len(trades.conflicts) - MOST_NAMED} more"
            )
            click.echo(
                f"kandle: refused, for their id stands before with other values: line {named}{more}", err=True
            )


def _print(rows: Iterator[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        out, encoder = sys.stdout.buffer, msgspec.json.Encoder()
        while block := list(islice(rows, PORTION)):
            out.write(encoder.encode_lines(block))
        out.flush()
        return
    shown = list(rows)
    header = [name for name in COLUMNS if any(name in row for row in shown)]
    click.echo(table(header, [[_shown(row[name]) for name in header] for row in shown]))


def _shown(value: object) -> object:
    return ("no", "yes")[value] if isinstance(value, bool) else value
