"""Many venues at once: tickers of all of them, or of the first that answers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from infra.logging import get_logger
from infra.resilience.cache import Cache, warm
from infra.resilience.call_guard import CallPolicy
from infra.resilience.local_store import LocalStore
from infra.settings import VenueSettings
from producers.manager.names import VenueName, for_symbol, plain, venue_name
from producers.manager.records import Candles, Check, Failure, VenueTicker
from producers.manager.rest_venue import CANDLES, RestVenue
from schemas.errors import KandleError, UnavailableError

WARMING_S: Final = 5.0
"""So long the first calls wait for lists of markets, which come few at once, s."""

logger = get_logger(__name__)


class CheckFailedError(UnavailableError):
    """A venue was not added, since its check has failed.

    Args:
        check: What was found.
        error: Why it failed.
    """

    code = "CHECK_FAILED"

    def __init__(self, check: Check, error: KandleError) -> None:
        super().__init__(str(error), cause=error.code)
        self.check = check
        self.retriable = error.retriable


class Answers(msgspec.Struct):
    """Tickers that could be had, and why the others could not."""

    tickers: list[VenueTicker] = []
    failures: list[Failure] = []


class VenueManager:
    """Holds the venues that are asked, a client each; close it, or use it as a context.

    Args:
        settings: By the plain name of the venue or of its market (`gateio`, `gateiofutures`).
        store: Second layer of the cache; None for memory alone.
        policy: How often and how patiently a call is made.
    """

    def __init__(
        self,
        settings: Mapping[str, VenueSettings],
        store: LocalStore | None = None,
        policy: CallPolicy | None = None,
    ) -> None:
        self._settings = settings
        self._cache = Cache(store)
        self._policy = policy
        self._venues: dict[str, RestVenue] = {}

    async def __aenter__(self) -> "VenueManager":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        venues, self._venues = list(self._venues.values()), {}
        await asyncio.gather(*(venue.close() for venue in venues))

    async def add(self, name: str) -> Check:
        """Make a venue's client, check it, then hold it.

        Raises:
            ConfigurationError: There is no such venue, or its settings do not fit it.
            CheckFailedError: The check has failed; the venue is not held.
        """
        chosen = venue_name(name)
        venue = self._create(chosen)
        async with contextlib.AsyncExitStack() as unless_held:
            unless_held.push_async_callback(venue.close)
            check = await venue.check()
            if check.error is not None:
                raise CheckFailedError(check, check.error)
            unless_held.pop_all()
        before = self._venues.pop(chosen.label, None)
        self._venues[chosen.label] = venue
        if before is not None:
            await before.close()
        return check

    def venue(self, name: VenueName) -> RestVenue:
        """The client of a venue's market; one that was not added is made, and shows at its first call.

        Raises:
            ConfigurationError: Its settings do not fit it.
        """
        if name.label not in self._venues:
            self._venues[name.label] = self._create(name)
        return self._venues[name.label]

    async def first(self, symbols: Sequence[str], names: Sequence[str]) -> Answers:
        """For each symbol the ticker of the first venue that has one; venues are asked in turn.

        Args:
            symbols: Unified symbols, in any case.
            names: Venues, the one to be asked first in front.

        Raises:
            ConfigurationError: There is no such venue.
        """
        asked = [venue_name(name) for name in names]
        answers = Answers()
        for name in asked:
            had = {ticker.symbol.upper() for ticker in answers.tickers}
            missing = [symbol for symbol in symbols if symbol.upper() not in had]
            if not missing:
                break
            more = await self._ask(name, missing)
            answers.tickers += more.tickers
            answers.failures += more.failures
        order = {symbol.upper(): position for position, symbol in enumerate(symbols)}
        answers.tickers.sort(key=lambda ticker: order.get(ticker.symbol.upper(), len(order)))
        return answers

    async def all(self, symbols: Sequence[str], names: Sequence[str]) -> Answers:
        """For each symbol the tickers of all venues, asked at the same time; who fails is named and left out.

        Args:
            symbols: Unified symbols, in any case.
            names: Venues; of two markets of one venue the first counts, since a symbol finds its market.

        Raises:
            ConfigurationError: There is no such venue.
        """
        by_venue: dict[str, VenueName] = {}
        for name in names:
            chosen = venue_name(name)
            by_venue.setdefault(chosen.venue, chosen)
        asked = list(by_venue.values())
        async with self._warming(asked, symbols):
            found = await asyncio.gather(*(self._ask(name, symbols) for name in asked))
        answers = Answers()
        for more in found:
            answers.tickers += more.tickers
            answers.failures += more.failures
        return answers

    async def candles(self, name: str, symbol: str, interval: str, limit: int = CANDLES) -> Candles:
        """The newest candles of a symbol, from the venue's market that trades it; see `RestVenue.candles`.

        Raises:
            ConfigurationError: There is no such venue, or its settings do not fit it.
            KandleError: They could not be had.
        """
        return await self.venue(for_symbol(venue_name(name), symbol)).candles(symbol, interval, limit)

    async def forget(self) -> None:
        """Drop cached tickers, so that the next ones come from the venues."""
        await self._cache.invalidate("ticker", "new ones were asked for")

    def _create(self, name: VenueName) -> RestVenue:
        keys = (plain(name.venue + name.market), name.ccxt_id, name.venue)
        settings = next((self._settings[key] for key in keys if key in self._settings), VenueSettings())
        return RestVenue(name, settings, self._cache, self._policy)

    @contextlib.asynccontextmanager
    async def _warming(self, names: Iterable[VenueName], symbols: Sequence[str]) -> AsyncIterator[None]:
        """Have the lists of markets fetched, few at once: each is megabytes, and all would come together."""
        wanted = dict.fromkeys(for_symbol(name, symbol) for name in names for symbol in symbols)
        task = asyncio.create_task(warm(partial(self._markets, name) for name in wanted))
        try:
            await asyncio.wait({task}, timeout=WARMING_S)
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _markets(self, name: VenueName) -> object:
        return await self.venue(name).markets()

    async def _ask(self, name: VenueName, symbols: Sequence[str]) -> Answers:
        """One venue for many symbols, each at the market that trades it; raises nothing."""
        groups: dict[VenueName, list[str]] = {}
        for symbol in symbols:
            groups.setdefault(for_symbol(name, symbol), []).append(symbol)
        answers = Answers()
        found = await asyncio.gather(*(self._group(market, group) for market, group in groups.items()))
        for more in found:
            answers.tickers += more.tickers
            answers.failures += more.failures
        return answers

    async def _group(self, name: VenueName, symbols: Sequence[str]) -> Answers:
        try:
            found = await self.venue(name).tickers(symbols)
        except KandleError as error:
            logger.info("a venue has no tickers", venue=name.label, why=str(error))
            return Answers(failures=[Failure(name.label, "", error)])
        answers = Answers()
        for symbol in symbols:
            ticker = found[symbol]
            if isinstance(ticker, KandleError):
                answers.failures.append(Failure(name.label, symbol, ticker))
            else:
                answers.tickers.append(ticker)
        return answers
