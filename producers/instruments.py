"""Which symbols a venue lists: asked once at start, so that a wrong name is told at once."""

import asyncio
import difflib
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

import httpx2

from infra.backoff import FullJitter
from infra.logging import get_logger
from producers.connection import LOOPBACK
from producers.exchange import BadRecord, Exchange
from producers.interruption import pause, unless_stopped
from schemas.errors import ConfigurationError, UnavailableError

CONNECT_TIMEOUT_S: Final = 10.0
READ_TIMEOUT_S: Final = 60.0
NEAR_MATCHES: Final = 5

logger = get_logger(__name__)


async def fetch_instruments(exchange: type[Exchange], base_url: str) -> dict[str, str]:
    """Ask a venue for its symbols: unified symbol -> venue symbol.

    Raises:
        UnavailableError: No answer, an error, or an answer that cannot be read.
    """
    url = base_url.rstrip("/") + exchange.instruments_path
    timeout = httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    try:
        # A simulator on this machine is never asked for through a proxy of the environment.
        trusts_environment = urlsplit(url).hostname not in LOOPBACK
        async with httpx2.AsyncClient(timeout=timeout, trust_env=trusts_environment) as client:
            answer = await client.get(url)
    except (httpx2.HTTPError, OSError) as error:
        raise UnavailableError(f"{url} cannot be reached: {str(error) or type(error).__name__}") from None
    if not answer.is_success:
        raise UnavailableError(
            f"{url} answers {answer.status_code} {answer.reason_phrase}: {answer.text[:200]}"
        )
    try:
        return exchange.instruments(answer.content)
    except BadRecord as error:
        raise UnavailableError(f"{url} answers with something else than its symbols: {error}") from None


async def await_instruments(
    exchange: type[Exchange], base_url: str, stop: asyncio.Event, backoff: FullJitter | None = None
) -> dict[str, str] | None:
    """Ask until there is an answer, without end; None if `stop` is set before."""
    backoff = backoff or FullJitter()
    while not stop.is_set():
        try:
            return await unless_stopped(stop, fetch_instruments(exchange, base_url))
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


def choose_symbols(wanted: Iterable[str], listed: Mapping[str, str], venue: str) -> dict[str, str]:
    """The venue symbols of unified symbols, which may be written in any case or as the venue does.

    Raises:
        ConfigurationError: One is not listed, or none is wanted; the message names near matches.
    """
    by_name = {unified.upper(): unified for unified in listed}
    by_name.update({venue_symbol.upper(): unified for unified, venue_symbol in listed.items()})
    chosen: dict[str, str] = {}
    for name in wanted:
        unified = by_name.get(name.upper())
        if unified is None:
            near = difflib.get_close_matches(name.upper(), by_name, NEAR_MATCHES, cutoff=0.5)
            matches = list(dict.fromkeys(by_name[match] for match in near))
            hint = f"did you mean {', '.join(matches)}?" if matches else "symbols are written like BTC/USDT"
            raise ConfigurationError(f"{venue} lists no {name}; {hint}")
        chosen[unified] = listed[unified]
    if not chosen:
        raise ConfigurationError("no symbols are configured (KANDLE_PRODUCER__SYMBOLS=BTC/USDT,ETH/USDT)")
    return chosen
