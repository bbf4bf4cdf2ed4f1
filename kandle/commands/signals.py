"""`kandle signals`: where rules fire in a file of candles, and which rules there are."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import click
import msgspec

from infra.settings import load
from kandle.candle_file import FileCandle, read_candles
from kandle.catalogue import computed_from_file, defaults_of, meaning_of, spec_of
from kandle.patience import patience
from kandle.times import format_time
from kandle.venue_calls import table
from processors.plugins import load_plugins
from processors.series.machine import Machine
from processors.signal import SignalRule
from schemas.records import Candle


@click.command()
@computed_from_file("rule", "As rsi_level or 'rsi_level(14,20,80)'")
def signals(
    file: Path | None, specs: Sequence[str], parameters: Sequence[str], listing: bool, as_json: bool
) -> None:
    """Find where rules fire in a file of candles, by the code that runs in the stream.

    The file is read as by `kandle indicators`. All its candles count as complete, none as revised. One line
    is printed for each decision: the candle's time, the rule with its parameters, direction, strength from 0
    to 1, and the values it saw.

    Exits with 0 also if no rule fires, with 1 if the candles are too few for a rule to look at, with 2 if the
    file or a rule is wrong.

    \b
    Examples:
      kandle signals --candles day.csv --rule macd_cross --json
      kandle signals --candles day.csv --rule rsi_level --param oversold=20 --param overbought=80
      kandle ohlcv binance BTC/USDT 1h --csv | kandle signals --candles - --rule bollinger_squeeze
      kandle signals --list
    """  # noqa: D301 - click asks for this control character
    load_plugins(load().processors.plugins)
    if listing:
        _list(as_json)
        return
    if file is None or not specs:
        raise click.UsageError("say which: --candles FILE --rule NAME, or --list")
    if parameters and len(specs) > 1:
        raise click.UsageError("with several rules write parameters as 'rsi_level(14,20,80)'")
    rules = [SignalRule.create(spec_of(spec, parameters)) for spec in specs]
    with patience(f"reading {file}"), click.open_file(str(file), "rb") as opened:
        candles = read_candles(opened, str(file))
    machine = Machine([], rules)
    rows = list(_decisions(machine, candles))
    if not machine.is_warm:
        raise click.ClickException(f"{len(candles)} candles are too few for {', '.join(specs)}")
    if as_json:
        for row in rows:
            click.echo(msgspec.json.encode(row))
    elif rows:
        click.echo(table(tuple(rows[0]), [(*list(row.values())[:-1], _text(row["values"])) for row in rows]))


class _Closed:
    """A candle of a file as a closed, complete one; what the file does not hold is still not there."""

    __slots__ = ("_candle", "close_time", "open_time")

    complete: ClassVar[bool] = True

    def __init__(self, candle: FileCandle) -> None:
        self._candle = candle
        self.open_time = self.close_time = candle.open_time

    def __getattr__(self, name: str) -> float:
        return cast("float", getattr(self._candle, name))


def _decisions(machine: Machine, candles: Sequence[FileCandle]) -> Iterator[dict[str, Any]]:
    for candle in candles:
        for rule, decision, _ in machine.update(cast("Candle", _Closed(candle)))[1]:
            yield {
                "time": format_time(candle.open_time),
                "rule": rule,
                "direction": decision.direction,
                "strength": decision.strength,
                "values": decision.values,
            }


def _text(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.8g}" for name, value in values.items())


def _list(as_json: bool) -> None:
    known = [kind() for _, kind in sorted(SignalRule.known().items())]
    if not as_json:
        rows = [(each.name, defaults_of(each), meaning_of(each)) for each in known]
        click.echo(table(("rule", "parameters", "meaning"), rows))
        return
    for each in known:
        needs = [indicator.label for indicator in each.needs()]
        shown = {"rule": each.name, "parameters": dict(each.parameters), "needs": needs}
        click.echo(msgspec.json.encode({**shown, "meaning": meaning_of(each)}))
