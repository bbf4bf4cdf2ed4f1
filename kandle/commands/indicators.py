"""`kandle indicators`: indicators of candles in a file, and which there are."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from infra.settings import load
from kandle.candle_file import FileCandle, read_candles
from kandle.catalogue import computed_from_file, defaults_of, meaning_of, spec_of
from kandle.patience import patience
from kandle.times import format_time
from kandle.venue_calls import table
from processors.indicator import Indicator
from processors.plugins import load_plugins

PORTION: Final = 10_000
"""Lines that are written at once."""


@click.command()
@computed_from_file("indicator", "As macd or 'macd(12,26,9)', in any case")
def indicators(
    file: Path | None, specs: Sequence[str], parameters: Sequence[str], listing: bool, as_json: bool
) -> None:
    """Compute indicators over a file of candles, by the code that runs in the stream.

    \b
    Columns, under these or other usual names (open_time, date, vol ...), in any case; others are
    ignored, and so are those missing that the indicator does not look at:
    time    ISO 8601, UTC unless it says otherwise; or seconds, milliseconds, microseconds or
            nanoseconds since the epoch, told apart by their size
    open, high, low, close, volume

    Candles are of one series, sorted by time, the oldest or the newest first. One line is printed for each
    candle, from the first at which the indicator is defined: time, and the outputs by name. A single output
    has the indicator's name; with several indicators all have their full names, as macd_12_26_9.signal.

    Exits with 1 if nothing is defined, with 2 if the file or the indicator is wrong.

    \b
    Examples:
      kandle indicators --candles day.csv --indicator macd --json
      kandle indicators --candles day.csv --indicator sma --param period=50
      kandle candles --trades trades.csv --json | kandle indicators --candles - --indicator rsi
      kandle indicators --list
    """  # noqa: D301 - click asks for this control character
    load_plugins(load().processors.plugins)
    if listing:
        _list(as_json)
        return
    if file is None or not specs:
        raise click.UsageError("say which: --candles FILE --indicator NAME, or --list")
    if parameters and len(specs) > 1:
        raise click.UsageError("with several indicators write parameters as 'sma(50)'")
    chosen = [Indicator.create(spec_of(spec, parameters)) for spec in specs]
    with patience(f"reading {file}"), click.open_file(str(file), "rb") as opened:
        candles = read_candles(opened, str(file))
    names = [_names(indicator, len(chosen) > 1) for indicator in chosen]
    rows = _rows(candles, chosen, names)
    first = next(rows, None)
    if first is None:
        click.echo(f"kandle: {len(candles)} candles are too few for {', '.join(specs)}", err=True)
        sys.exit(1)
    _print(first, rows, [full for outputs in names for full in outputs.values()], as_json)


def _names(indicator: Indicator, full: bool) -> Mapping[str, str]:
    """What the outputs are called in a line."""
    names = indicator.names()
    return names if full else {output: output for output in names}


def _rows(
    candles: Sequence[FileCandle], chosen: Sequence[Indicator], names: Sequence[Mapping[str, str]]
) -> Iterator[dict[str, Any]]:
    for candle in candles:
        row: dict[str, Any] = {}
        for indicator, full in zip(chosen, names, strict=True):
            for output, value in (indicator.update(candle) or {}).items():
                row[full[output]] = value
        if row:
            yield {"time": format_time(candle.open_time), **row}


def _print(first: dict[str, Any], rows: Iterator[dict[str, Any]], names: list[str], as_json: bool) -> None:
    if not as_json:
        header = ["time", *names]
        click.echo(table(header, [[row.get(name) for name in header] for row in (first, *rows)]))
        return
    out, encoder = sys.stdout.buffer, msgspec.json.Encoder()
    block = [first]
    while block:
        out.write(encoder.encode_lines(block))
        block = list(islice(rows, PORTION))
    out.flush()


def _list(as_json: bool) -> None:
    known = [kind() for _, kind in sorted(Indicator.known().items())]
    if as_json:
        for each in known:
            parameters, outputs = dict(each.parameters), list(each.names())
            shown = {"indicator": each.name, "parameters": parameters, "outputs": outputs}
            click.echo(msgspec.json.encode({**shown, "meaning": meaning_of(each)}))
        return
    rows = [(each.name, defaults_of(each), ", ".join(each.names()), meaning_of(each)) for each in known]
    click.echo(table(("indicator", "parameters", "outputs", "meaning"), rows))
