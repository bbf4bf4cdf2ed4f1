"""Options of a backtest that say under what terms a strategy trades."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import click

from backtest.bars import Bars
from backtest.costs import Costs
from backtest.terms import Terms
from kandle.amounts import AMOUNT, PART
from schemas.errors import ConfigurationError

OPTIONS: Final[Sequence[click.Option]] = (
    click.Option(["--capital"], type=AMOUNT, default="10000", show_default=True, help="Cash to begin with."),
    click.Option(
        ["--fee"],
        type=PART,
        default="0",
        show_default=True,
        help="Part of each fill's value: 0.001 is 0.1 %.",
    ),
    click.Option(["--maker-fee"], type=PART, help="The same, of limit orders; without it, as --fee."),
    click.Option(
        ["--slippage"],
        type=PART,
        default="0",
        show_default=True,
        help="Part of the price by which it is worse.",
    ),
    click.Option(
        ["--lot"], type=AMOUNT, default="1", show_default=True, help="Smallest step of a size, units."
    ),
    click.Option(
        ["--leverage"],
        type=AMOUNT,
        default="1",
        show_default=True,
        help="Value of positions over what they bind.",
    ),
)


def terms_of(given: Mapping[str, Any]) -> Terms:
    """The terms that a command line gives.

    Args:
        given: Values of all options of the command, by name; those of `OPTIONS` are read.
    """
    fee, maker_fee = given["fee"], given["maker_fee"]
    costs = Costs(fee, fee if maker_fee is None else maker_fee, given["slippage"])
    return Terms(given["capital"], costs, given["lot"], given["leverage"])


def check_affordable(bars: Sequence[Bars], terms: Terms) -> None:
    """Refuse terms under which nothing could ever be bought.

    Raises:
        ConfigurationError: The smallest lot of each market costs more than there is.
    """
    if not bars:
        return
    cheapest = min(Decimal(repr(float(min(each.lows)))) for each in bars) * terms.lot
    if cheapest > terms.capital * terms.leverage:
        raise ConfigurationError(
            f"a lot of {terms.lot} costs at least {cheapest}, and there are {terms.capital}: "
            "trade smaller lots, as with --lot 0.001, or give more --capital"
        )
