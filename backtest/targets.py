"""Target positions: what is missing to them, and the order at the market that it takes."""

from __future__ import annotations

from decimal import Decimal
from math import inf
from typing import Final

from backtest.account import decimal_of
from backtest.broker import Broker
from backtest.orders import CLOSING, ZERO, Conditions, Order
from schemas.errors import ConfigurationError
from schemas.records import Micros

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


def order_to(
    broker: Broker, market: str, size: Decimal | None, part: Decimal | None, now: Micros
) -> Order | None:
    """Order what is missing to a target; see `missing_to`.

    Returns:
        The order; None if nothing is missing, or less than the market takes. What only makes a position
        smaller may be as small as it is.
    """
    missing = missing_to(broker, market, size, part)
    if not missing:
        return None
    reduces = abs(missing + broker.account.size(market)) == abs(broker.account.size(market)) - abs(missing)
    minimum = broker.rules(market).minimum
    price = decimal_of(broker.last.get(market, inf))
    if not reduces and minimum is not None and abs(missing) * price < minimum:
        return None
    how = CLOSING if reduces else FITTING
    return broker.place(market, "buy" if missing > ZERO else "sell", now, abs(missing), None, how)
