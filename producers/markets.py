"""Which markets there are, and how one is found by the names that people give it."""

import importlib
import pkgutil
from typing import Final

import producers.exchanges
from producers.exchange import Exchange

LINEAR: Final = frozenset(
    {
        *("usdm", "usdtm", "um", "usdt", "linear", "future", "futures", "futuresusdt"),
        *("swap", "perp", "perpetual", "contract", "derivatives"),
    }
)
"""What a market of contracts settled in dollars is called, by one or another."""


def exchange_class(venue: str, market: str = "spot") -> type[Exchange]:
    """The class of a venue's market, by its names in any case, or by an alias of both in `venue`.

    Raises:
        ConfigurationError: There is none, and ccxt does not know it either; the message lists what exists.
    """
    known = exchanges()
    found = known.get((_plain(venue), _plain(market)))
    if found is not None:
        return found
    wanted = {_plain(venue) + _plain(market)} | ({_plain(venue)} if market == "spot" else set())
    for (name, kind), cls in known.items():
        if wanted & {_plain(alias) for alias in (name + kind, *cls.aliases)}:
            return cls
    for (name, kind), cls in known.items():
        rest = _plain(venue).removeprefix(name)
        if (
            kind != "spot"
            and _plain(venue).startswith(name)
            and rest in {"", *LINEAR}
            and _plain(market) in LINEAR
        ):
            return cls
    # All others are ccxt's, which takes half a second to be imported.
    from producers.ccxt_feed.exchange import other_exchange

    return other_exchange(_plain(venue), _plain(market), known)


def exchanges() -> dict[tuple[str, str], type[Exchange]]:
    """All venues there are, by venue and market: the modules of `producers/exchanges/`."""
    for module in pkgutil.iter_modules(producers.exchanges.__path__):
        importlib.import_module(f"producers.exchanges.{module.name}")
    return dict(Exchange.registry)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
