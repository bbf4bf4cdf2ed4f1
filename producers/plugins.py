"""Venues of the user: imported, they register themselves.

A module is named in the setting `producer.plugins`, or by an installed distribution as an entry point of the
group `kandle.exchanges`:

    [project.entry-points."kandle.exchanges"]
    mine = "my_package.my_venue"
"""

from collections.abc import Sequence
from typing import Final

from infra.plugins import imported, named_modules, points_of
from producers.exchange import Exchange
from producers.markets import exchanges
from schemas.errors import ConfigurationError

GROUP: Final = "kandle.exchanges"


def load_venues(modules: Sequence[str] = ()) -> None:
    """Import the user's venues, after those that come with Kandle. May block.

    Args:
        modules: Names, as in `import name`; also from the working directory.

    Raises:
        ConfigurationError: One cannot be imported, or takes the name of a market that exists.
    """
    known = exchanges()
    for _, told in named_modules("producer.plugins", modules):
        _check(known, told)
    for point, told in points_of(GROUP, "venue"):
        imported(point.module, told)
        _check(known, told)


def _check(known: dict[tuple[str, str], type[Exchange]], told: str) -> None:
    for (venue, market), kind in known.items():
        taker = Exchange.registry[venue, market]
        if taker is not kind:
            Exchange.registry[venue, market] = kind
            raise ConfigurationError(f"{told}: the market {venue} {market} exists already")
