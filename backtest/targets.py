"""Target positions: what is missing to them, and the order at the market that it takes."""

from __future__ import annotations

from decimal import Decimal
from math import inf
from typing import Final

from backtest.account import decimal_of
from backtest.broker import Broker
from backtest.orders import CLOSING, ZERO, Conditions, Order, Side
from schemas.errors import ConfigurationError
from schemas.records import Micros

FITTING: Final = Conditions(fit=True)
"""Of the orders that lead to a target: what the account cannot carry is cut off."""


def order_to(
    broker: Broker, market: str, size: Decimal | None, part: Decimal | None, now: Micros
) -> Order | None:
    """Order what is missing to a target, at the market, in whole lots.

    What is on its way to be filled at once counts as filled. What only makes a position smaller may be as
    small as it is; of anything else, less than the market takes is not ordered.

    Args:
        broker: Of the run.
        market: `venue:symbol`.
        size: Units wanted, below 0 for short; or ...
        part: ... a part of the equity at the last known prices.
        now: Event time, µs.

    Returns:
        The order; None if nothing is missing.

    Raises:
        ConfigurationError: A part is wanted before there is a price.
    """
    price = decimal_of(broker.last.get(market, inf))
    if size is None:
        if not price.is_finite():
            raise ConfigurationError(f"no price of {market} is known yet: a part of the equity has no size")
        size = broker.equity() * (part or ZERO) / price
    rules, held, coming = broker.rules(market), broker.account.size(market), _on_its_way(broker, market)
    missing = size - held - coming
    units = rules.size(abs(missing))
    reduces = not coming and missing * held < ZERO and units <= abs(held)
    if not units or (not reduces and rules.minimum is not None and units * price < rules.minimum):
        return None
    side: Side = "buy" if missing > ZERO else "sell"
    return broker.place(market, side, now, units, None, CLOSING if reduces else FITTING)


def _on_its_way(broker: Broker, market: str) -> Decimal:
    """Units that orders are about to buy, or below 0 to sell.

    Those are orders at the market, orders without a limit whose trigger was reached, and orders that do not
    wait. One of a part counts once its size is known.
    """
    return sum(
        (
            order.sign * order.left
            for order in broker.open
            if order.market == market
            and not order.waits
            and (order.limit is None or order.time_in_force != "gtc")
        ),
        ZERO,
    )
