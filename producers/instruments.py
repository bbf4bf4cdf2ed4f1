"""What a venue lists: asked at start, so that a wrong name is told at once, and again every hour."""

import asyncio
import difflib
import fnmatch
from collections.abc import Iterable, Sequence
from typing import Final

from infra.backoff import FullJitter
from infra.logging import get_logger
from producers.exchange import BadRecord, Exchange
from producers.interruption import pause, unless_stopped
from producers.rest_desk import RestDesk
from schemas.errors import ConfigurationError, UnavailableError
from schemas.records import Instrument, Micros

NEAR_MATCHES: Final = 5

logger = get_logger(__name__)


async def fetch_instruments(market: type[Exchange], desk: RestDesk, now: Micros) -> list[Instrument]:
    """Ask a venue for what it lists.

    Args:
        market: The venue's market.
        desk: Makes the call; it is running.
        now: The time, µs since the epoch.

    Raises:
        UnavailableError: No answer, an error, or an answer that cannot be read.
    """
    call = market.instruments_call()
    body = await desk.fetch(call)
    try:
        return market.read_instruments(body, now)
    except BadRecord as error:
        raise UnavailableError(
            f"{market.venue} answers {call.path} with something else than its symbols: {error}"
        ) from None


async def await_instruments(
    market: type[Exchange],
    desk: RestDesk,
    now: Micros,
    stop: asyncio.Event,
    backoff: FullJitter | None = None,
) -> list[Instrument] | None:
    """Ask until there is an answer, without end; None if `stop` is set before."""
    backoff = backoff or FullJitter()
    while not stop.is_set():
        try:
            return await unless_stopped(stop, fetch_instruments(market, desk, now))
        except UnavailableError as error:
            delay_s = backoff.next_delay_s()
            logger.info(
                "the venue's symbols are not known yet",
                why=str(error),
                attempt=backoff.attempts,
                retry_in_s=round(delay_s, 1),
            )
        await pause(stop, delay_s)
    return None


def is_pattern(name: str) -> bool:
    """Whether a name stands for all symbols of a form, as `*/USDT` does."""
    return "*" in name


def matches(symbol: str, pattern: str) -> bool:
    """Whether a unified symbol has the form of a pattern, in any case."""
    return fnmatch.fnmatchcase(symbol.upper(), pattern.upper())


class Listing:
    """What a venue lists at one time, by every name that a user may write.

    Args:
        instruments: As listed.
        venue: Name of the venue, for messages.
    """

    def __init__(self, instruments: Sequence[Instrument], venue: str) -> None:
        self._venue = venue
        self.by_symbol = {instrument.symbol: instrument for instrument in instruments}
        self._by_name = {instrument.venue_symbol.upper(): instrument for instrument in instruments}
        self._by_name |= {instrument.symbol.upper(): instrument for instrument in instruments}

    def find(self, name: str) -> list[Instrument]:
        """The instruments of a name in any case, unified or the venue's own, or of a pattern as `*/USDT`.

        A pattern finds what trades now; none, if nothing does.

        Raises:
            ConfigurationError: It is no pattern and is not listed; the message names near matches.
        """
        wanted = name.upper()
        if is_pattern(wanted):
            return [
                instrument
                for symbol, instrument in self.by_symbol.items()
                if instrument.status == "trading" and matches(symbol, wanted)
            ]
        found = self._by_name.get(wanted)
        if found is not None:
            return [found]
        near = difflib.get_close_matches(wanted, self._by_name, NEAR_MATCHES, cutoff=0.5)
        meant = list(dict.fromkeys(self._by_name[name].symbol for name in near))
        hint = f"did you mean {', '.join(meant)}?" if meant else "symbols are written like BTC/USDT"
        raise ConfigurationError(f"{self._venue} lists no {name}; {hint}")

    def choose(self, wanted: Iterable[str]) -> dict[str, Instrument]:
        """The instruments of all names and patterns, by unified symbol.

        Raises:
            ConfigurationError: One is not listed.
        """
        return {found.symbol: found for name in wanted for found in self.find(name)}
