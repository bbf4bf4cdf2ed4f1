"""Target positions: what is missing to them, in units to be ordered at the market."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from backtest.account import decimal_of
from backtest.broker import Broker
from backtest.orders import ZERO, Conditions
from schemas.errors import ConfigurationError

FITTING: Final = Conditions(fit=True)
"""Of the orders that lead to a target: what the account cannot carry is cut off."""


def missing_to(broker: Broker, market: str, size: Decimal | None, part: Decimal | None) -> Decimal:
    """Units to be bought, or below 0 to be sold, until a market is held as wanted; whole lots.

    Orders on their way to be filled at once count as filled: those at the market, those whose trigger was
    reached and that have no limit, and those that do not wait. One of a part counts once its size is known.

    Args:
        broker: Of the run.
        market: `venue:symbol`.
        size: Units wanted, below 0 for short; or ...
        part: ... a part of the equity at the last known prices.

    Raises:
        ConfigurationError: A part is wanted before there is a price.
    """
    if size is None:
        if market not in broker.last:
            raise ConfigurationError(f"no price of {market} is known yet: a part of the equity has no size")
        size = broker.equity() * (part or ZERO) / decimal_of(broker.last[market])
    missing = size - broker.account.size(market)
    for order in broker.open:
        if order.market == market and not order.waits and (not order.limit or order.time_in_force != "gtc"):
            missing -= order.sign * order.left
    return broker.rules(market).size(abs(missing)).copy_sign(missing)
