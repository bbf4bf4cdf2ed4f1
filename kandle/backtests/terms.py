"""Options of a backtest that say under what terms a strategy trades."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, get_args

import click

from backtest.costs import Costs
from backtest.fees import FeeSchedule, read_fees
from backtest.history import History
from backtest.rules import Rules, rules_of
from backtest.terms import Fills, Queue, Terms
from kandle.amounts import AMOUNT, PART
from schemas.errors import ConfigurationError
from schemas.records import Micros

MOST_LATENCY_MS: Final = 86_400_000
"""A day: more is a slip of the unit."""


class FeeFile(click.ParamType):
    """A file with fees by venue and volume; what is wrong in it is said as of any other option."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> FeeSchedule:
        """Read a schedule. May block."""
        if isinstance(value, FeeSchedule):
            return value
        try:
            return read_fees(Path(str(value)).read_text("utf-8"), str(value))
        except (OSError, UnicodeDecodeError) as error:
            self.fail(f"{value} cannot be read: {error}", param, ctx)


def _option(name: str, kind: click.ParamType, told: str, default: str | None = None) -> click.Option:
    shown = default is not None
    return click.Option([name], type=kind, default=default, show_default=shown, help=told)


OPTIONS: Final[Sequence[click.Option]] = (
    _option("--capital", AMOUNT, "Cash to begin with.", "10000"),
    _option("--fee", PART, "Part of each fill's value: 0.001 is 0.1 %.", "0"),
    _option("--maker-fee", PART, "The same, of limits that have waited; without it, as --fee."),
    _option(
        "--fees",
        FeeFile(),
        "TOML with taker and maker fees by venue and volume of 30 days; docs/backtesting.md shows one.",
    ),
    _option("--slippage", PART, "Part of the price by which what has no limit is filled worse.", "0"),
    _option("--slippage-ticks", AMOUNT, "The same, in ticks of the market's instrument."),
    _option("--impact", PART, "The same, at a size of all the candle's volume; falls with the root of it."),
    _option("--lot", AMOUNT, "Smallest step of a size, units, where no instrument names one.", "1"),
    _option("--leverage", AMOUNT, "Value of positions over what they bind.", "1"),
    _option("--maintenance", PART, "Part of the positions' value at which they are liquidated.", "0"),
    _option("--liquidation-fee", PART, "Part of the value of what is liquidated, besides --fee.", "0"),
    _option("--borrowing", PART, "Interest of short positions for a year, part of their value.", "0"),
    _option(
        "--fills",
        click.Choice(get_args(Fills)),
        "What orders are filled by; without it, the finest that there is.",
    ),
    _option("--latency-ms", click.FloatRange(min=0), "Until an order reaches the market.", "0"),
    _option(
        "--queue",
        click.Choice(get_args(Queue)),
        "Where a limit stands in a book, among those of its price.",
        "back",
    ),
)


def terms_of(given: Mapping[str, Any]) -> Terms:
    """The terms that a command line gives.

    Args:
        given: Values of all options of the command, by name; those of `OPTIONS` are read.

    Raises:
        ConfigurationError: They contradict each other.
    """
    fee, maker_fee = given["fee"], given["maker_fee"]
    costs = Costs(
        fee=fee,
        maker_fee=fee if maker_fee is None else maker_fee,
        slippage=given["slippage"],
        slippage_ticks=given["slippage_ticks"] or Decimal(0),
        impact=given["impact"] or Decimal(0),
        liquidation_fee=given["liquidation_fee"],
        schedule=given["fees"],
    )
    return Terms(
        capital=given["capital"],
        costs=costs,
        lot=given["lot"],
        leverage=given["leverage"],
        maintenance=given["maintenance"],
        borrowing=given["borrowing"],
        fills=given["fills"],
        latency=_micros(given["latency_ms"]),
        queue=given["queue"],
    )


def _micros(milliseconds: float) -> Micros:
    if not milliseconds <= MOST_LATENCY_MS:
        raise ConfigurationError(f"--latency-ms is a number up to {MOST_LATENCY_MS:,}, got {milliseconds}")
    return round(milliseconds * 1_000)


def check_affordable(history: History, terms: Terms) -> None:
    """Refuse terms under which nothing could ever be bought.

    Raises:
        ConfigurationError: The smallest lot of each market costs more than there is.
    """
    if not history.bars:
        return
    lots = {name: rules_of(each, terms.lot) for name, each in history.instruments.items()}
    cheapest, lot = min(
        (Decimal(repr(float(min(each.lows)))) * rules.lot, rules.lot)
        for each in history.bars
        for rules in (lots.get(each.market, Rules(terms.lot)),)
    )
    if cheapest > terms.capital * terms.leverage:
        raise ConfigurationError(
            f"a lot of {lot} costs at least {cheapest}, and there are {terms.capital}: "
            "trade smaller lots, as with --lot 0.001, or give more --capital"
        )
