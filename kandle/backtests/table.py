"""What a backtest has come to, as text for people: 80 columns are enough."""

from collections.abc import Sequence
from itertools import zip_longest
from textwrap import wrap
from typing import Final

from backtest.account import ClosedTrade
from backtest.engine import Run
from backtest.report.terms import terms_of_note
from backtest.report.values import moment, money, shown, span
from backtest.statistics import FIGURES, MARKET_FIGURES, Statistics, figures_of, market_figures_of
from backtest.statistics import statistics_by_market as by_market
from backtest.strategy import Strategy

MINUTE_US: Final = 60_000_000
WIDTH: Final = 38
"""Of one of the two columns; two blanks lie between them."""
SIDES: Final = (("result", "buy and hold", "days and months"), ("drawdown", "trading", "trades"))
"""Groups of figures that stand on the left and on the right."""
_OF_A_MARKET: Final = ("profit", "trades", "win_rate", "profit_factor", "fees", "exposure", "buy_and_hold")


def as_text(strategy: Strategy, run: Run, found: Statistics, fingerprint: str) -> str:
    """What was run, its figures in two columns, its markets if there are several, its hash."""
    parameters = ", ".join(f"{name}={value}" for name, value in strategy.parameters.items())
    markets = ", ".join(each.market for each in run.bars)
    terms = ", ".join(f"{name} {value}" for name, value in terms_of_note(run.terms).items())
    lines = [
        *wrap(f"{strategy.name}  {parameters}", 80),
        *wrap(f"{markets}: {found.candles:,} candles of {span(run.bars[0].length / 1_000_000)}", 80),
        f"{moment(found.start)} to {moment(found.end)} UTC",
        *wrap(terms, 80),
    ]
    left, right = ([line for group in side for line in _group(group, found)] for side in SIDES)
    lines += [f"{one:<{WIDTH}}    {other}".rstrip() for one, other in zip_longest(left, right, fillvalue="")]
    if len(run.bars) > 1:
        lines += ["", *_markets(run)]
    return "\n".join([*lines, "", f"hash {fingerprint}"])


def trade_table(trades: Sequence[ClosedTrade]) -> str:
    """The trades for people; the market is told where there are several."""
    several = len({trade.market for trade in trades}) > 1
    to_the_minute = all(trade.entry_time % MINUTE_US == 0 for trade in trades)
    header = ["entry", "held", "size", "price in", "price out", "profit", "%"]
    rows = [
        [
            moment(trade.entry_time)[: 16 if to_the_minute else None],
            span((trade.exit_time - trade.entry_time) / 1_000_000),
            f"{float(trade.size):.8g}",
            f"{float(trade.entry_price):.8g}",
            f"{float(trade.exit_price):.8g}",
            money(float(trade.profit)),
            f"{100 * trade.profit_part:,.2f}",
        ]
        for trade in trades
    ]
    if several:
        header.append("market")
        for row, trade in zip(rows, trades, strict=True):
            row.append(trade.market)
    return _aligned([header, *rows], left=(0, 7))


def _group(name: str, found: Statistics) -> list[str]:
    values = figures_of(found)
    lines = ["", name.upper()]
    for each in FIGURES:
        if each.group == name:
            text = shown(each.unit, values[each.name])
            lines.append(f"{each.label}{text:>{WIDTH - len(each.label)}}")
    return lines


def _markets(run: Run) -> list[str]:
    figures = [each for each in MARKET_FIGURES if each.name in _OF_A_MARKET]
    rows = [["market", *(each.label for each in figures)]]
    for market in by_market(run):
        values = market_figures_of(market)
        rows.append([market.market, *(shown(each.unit, values[each.name]) for each in figures)])
    return _aligned(rows, left=(0,)).splitlines()


def _aligned(rows: Sequence[Sequence[str]], left: Sequence[int]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            text.ljust(width) if number in left else text.rjust(width)
            for number, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
