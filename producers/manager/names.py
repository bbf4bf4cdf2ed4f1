"""Names of venues, as users write them and as ccxt calls them."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from schemas.errors import ConfigurationError

NEAR: Final = 3
"""Names that are offered in place of one that does not exist."""


@dataclass(frozen=True, slots=True)
class VenueName:
    """A venue's market and the class of ccxt that speaks to it.

    Attributes:
        venue: Our name, lower case.
        market: Kind of market, as in `producers.exchange`; empty where ccxt's class speaks for all of them.
        ccxt_id: Name of the class in ccxt.
        market_types: What the list of markets is asked for; empty: as ccxt does by itself.
        contract_volumes: Whether volumes of candles come in contracts instead of base units.
    """

    venue: str
    market: str
    ccxt_id: str
    market_types: tuple[str, ...] = ()
    contract_volumes: bool = False

    @property
    def label(self) -> str:
        """For metrics and messages: `binance-spot`, `kraken`."""
        return f"{self.venue}-{self.market}" if self.market else self.venue


OWN: Final[dict[str, VenueName]] = {
    "binance": VenueName("binance", "spot", "binance", ("spot",)),
    "binanceusdm": VenueName("binance", "usdm", "binanceusdm", ("linear",)),
    "binanceus": VenueName("binanceus", "spot", "binanceus", ("spot",)),
    "gateio": VenueName("gateio", "spot", "gate", ("spot",)),
    "gateiofutures": VenueName("gateio", "futures", "gate", ("swap",), contract_volumes=True),
    "mexc": VenueName("mexc", "spot", "mexc", ("spot",)),
    "mexcfutures": VenueName("mexc", "futures", "mexc", ("swap",), contract_volumes=True),
}
"""The venues that have a feed of ours, by the plain name of each market."""

ALIASES: Final = {
    "binancespot": "binance",
    "binancefutures": "binanceusdm",
    "binanceusspot": "binanceus",
    "gate": "gateio",
    "gatespot": "gateio",
    "gateiospot": "gateio",
    "gatefutures": "gateiofutures",
    "mexcspot": "mexc",
}

FUTURES: Final = {"binance": "binanceusdm", "gateio": "gateiofutures", "mexc": "mexcfutures"}
"""Where a venue's perpetuals are, by the plain name of its spot market."""


def plain(name: str) -> str:
    """A name without case, spaces and signs: `Gate.io` is `gateio`."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def venue_name(name: str) -> VenueName:
    """The venue that a name means, in any case: `Binance`, `gate.io futures`, `kraken`.

    Raises:
        ConfigurationError: There is none; the message names those that are written like it.
    """
    wanted = plain(name)
    wanted = ALIASES.get(wanted, wanted)
    if wanted in OWN:
        return OWN[wanted]
    others = ccxt_ids()
    if wanted in others:
        return VenueName(wanted, "", wanted)
    near = nearest(wanted, {*OWN, *ALIASES, *others})
    hint = f"; near it: {', '.join(near)}" if near else ""
    raise ConfigurationError(f"there is no venue {name!r}{hint}; `kandle venues` lists all of them")


def for_symbol(name: VenueName, symbol: str) -> VenueName:
    """The market of the same venue that trades a symbol, by its form: perpetuals have a colon."""
    spot = plain(name.venue)
    return OWN[FUTURES[spot]] if ":" in symbol and name is OWN.get(spot) and spot in FUTURES else name


def ccxt_ids() -> frozenset[str]:
    """The names of all classes of ccxt; imports it."""
    import ccxt.async_support as ccxt

    return frozenset(ccxt.exchanges)


def nearest(wanted: str, known: Iterable[str]) -> list[str]:
    """The known names that are written most like one that is not known, the nearest first."""
    return difflib.get_close_matches(wanted, sorted(known), n=NEAR)
