"""All event types (`ce_type`), those in use and those reserved for later, in one list.

A type that is not listed here is refused where events are made, so that a topic never carries a name
that no consumer knows.
"""

from dataclasses import dataclass
from typing import Final

from schemas.errors import ValidationError


@dataclass(frozen=True, slots=True)
class EventType:
    """A name that events may carry.

    Attributes:
        name: The `ce_type`.
        used: False while the name is only reserved.
        meaning: What has happened.
    """

    name: str
    used: bool
    meaning: str


_TYPES: Final = (
    # market data and what follows from it
    EventType("market.trade", True, "a venue published a trade"),
    EventType("market.quote", True, "a venue's best bid or ask changed"),
    EventType("market.book", True, "an order book changed"),
    EventType("market.ticker", True, "a venue published 24 hour figures"),
    EventType("market.exchange_candle", True, "a venue published a candle of its own"),
    EventType("market.derivative", True, "a venue published mark price, funding or open interest"),
    EventType("market.liquidation", True, "a venue closed a position by force"),
    EventType("market.mark", True, "a source has delivered everything up to a time"),
    EventType("market.gap", True, "trades of a symbol are missing, or no longer"),
    EventType("market.candle", True, "a candle was closed or revised"),
    EventType("market.indicator", True, "an indicator has a value at a closed candle"),
    EventType("strategy.signal", True, "a rule has fired"),
    EventType("reference.instrument", True, "what a venue lists has changed"),
    EventType("notification.sent", True, "a message was delivered to a channel"),
    # providers and their connections
    EventType("provider.connected", True, "a connection to a venue is up"),
    EventType("provider.disconnected", True, "a connection to a venue has ended"),
    EventType("provider.error", True, "a venue sent something that we refuse, or refused us"),
    EventType("data.received", True, "totals of what a provider delivered"),
    EventType("data.transformed", True, "totals of what became records"),
    EventType("rate_limit.hit", True, "a venue told us to slow down"),
    EventType("rate_limit.status", True, "what is left of a provider's budget"),
    EventType("circuit_breaker.open", True, "calls to a provider are suspended"),
    EventType("health_check.failed", True, "a service failed its health check"),
    EventType("health_check.alert", True, "a critical service failed three health checks in a row"),
    EventType("health_check.recovered", True, "a service is healthy again"),
    EventType("cache.invalidated", True, "cached values were dropped"),
    EventType("gap", True, "a feed missed records"),
    EventType("candle.mismatch", True, "a candle of ours differs from the venue's own"),
    EventType("symbol.requested", True, "a symbol is to be fed, or no longer"),
    EventType("resync", True, "an order book was built anew"),
    EventType("stage.restarted", True, "a process had died, and its supervisor has started it again"),
    EventType("command.executed", True, "somebody changed something by a command"),
    # trading
    EventType("trade.executed", False, "an order of a user was executed"),
    EventType("price.updated", False, "a price changed"),
    EventType("market.data.updated", False, "market data changed"),
    EventType("balance.changed", False, "a balance of a user changed"),
    EventType("strategy.triggered", False, "a strategy acted"),
    EventType("strategy.stopped", False, "a strategy was stopped"),
    EventType("risk.limit.exceeded", False, "a risk limit was exceeded"),
    EventType("payment.succeeded", False, "a payment came in"),
    EventType("payment.failed", False, "a payment did not come in"),
    # chains and wallets
    EventType("integration.wallet.connected", False, "a wallet was connected"),
    EventType("integration.wallet.disconnected", False, "a wallet was disconnected"),
    EventType("integration.balance.updated", False, "a balance on a chain changed"),
    EventType("integration.transaction.detected", False, "a transaction was seen on a chain"),
    EventType("integration.ratelimit.reached", False, "an integration reached its rate limit"),
    EventType("integration.circuit.opened", False, "an integration's circuit breaker opened"),
    EventType("integration.cache.invalidated", False, "an integration's cache was dropped"),
    # orders of a shop
    EventType("order.created", False, "an order was created"),
    EventType("order.paid", False, "an order was paid"),
    EventType("order.shipped", False, "an order was shipped"),
    EventType("order.cancelled", False, "an order was cancelled"),
    EventType("inventory.shortage", False, "stock did not suffice for an order"),
)

EVENT_TYPES: Final[dict[str, EventType]] = {event.name: event for event in _TYPES}


def checked(name: str) -> str:
    """The name, if it is in the list and in use.

    Raises:
        ValidationError: The name is unknown, or only reserved.
    """
    event = EVENT_TYPES.get(name)
    if event is None or not event.used:
        why = "unknown" if event is None else "reserved, not in use"
        raise ValidationError(f"event type {name!r} is {why}; add it to schemas/event_types.py")
    return name
