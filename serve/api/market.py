"""REST of market data: what the sinks have stored."""

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import Response

from serve.api import models
from serve.api.answers import NOT_MODIFIED, answer
from serve.api.moments import NAME, AnyInterval, AnySymbol, AnyVenue, Interval, Limit, Symbol, Venue, newest
from serve.problems import PROBLEMS
from serve.services import Services, Shared
from serve.sources import CANDLES, INDICATORS, QUOTES, SIGNALS, TRADES
from serve.store import Range, Source

INSTRUMENT_COLUMNS: Final = "kind, status, tick_size, lot_size, min_notional, multiplier"

router = APIRouter(prefix="/api/v1", tags=["market data"], responses={**PROBLEMS, **NOT_MODIFIED})


async def market_page(
    request: Request,
    services: Services,
    source: Source,
    wanted: Mapping[str, object],
    range_: Range,
) -> Response:
    """A page of one instrument's rows; 404 where nothing was ever stored of it."""
    rows, before = await services.store.page(source, wanted, range_)
    venue, symbol = str(wanted["venue"]), str(wanted["symbol"])
    if not rows and not await services.store.is_known(venue, symbol):
        raise HTTPException(404, f"nothing is stored of {venue} {symbol}; /api/v1/instruments lists what is")
    return answer(request, {"data": rows, "before": before})


@router.get("/instruments", response_model=models.InstrumentPage)
async def instruments(
    request: Request,
    services: Shared,
    venue: AnyVenue = None,
    symbol: AnySymbol = None,
    after: Annotated[
        str | None, Query(max_length=100, pattern=NAME, description="as the last answer")
    ] = None,
    limit: Limit = 1_000,
) -> Response:
    """Instruments of which something is stored, by venue and symbol."""
    limit = min(limit, services.store.largest)
    last = tuple((after or ":").partition(":")[::2])
    rows = await services.store.rows(
        # The columns are those of the module, never a client's.
        "SELECT i.venue, i.symbol, ARRAY(SELECT length FROM unnest(%s::text[]) AS length WHERE EXISTS ("  # noqa: S608
        "SELECT FROM kandle.market_candles c WHERE c.instrument_id = i.id AND c.interval = length"
        ")) AS intervals, "
        "coalesce(l.base, split_part(i.symbol, '/', 1)) AS base, "
        "coalesce(l.quote, split_part(split_part(i.symbol, '/', 2), ':', 1)) AS quote, "
        f"{INSTRUMENT_COLUMNS} FROM kandle.instruments i LEFT JOIN listings l USING (venue, symbol) "
        "WHERE (%s::text IS NULL OR i.venue = %s) AND (%s::text IS NULL OR i.symbol = %s) "
        "AND (i.venue, i.symbol) > (%s, %s) ORDER BY i.venue, i.symbol LIMIT %s",
        (list(services.settings.processors.intervals), venue, venue, symbol, symbol, *last, limit + 1),
    )
    more = f"{rows[limit - 1]['venue']}:{rows[limit - 1]['symbol']}" if len(rows) > limit else None
    return answer(request, {"data": rows[:limit], "after": more})


@router.get("/candles", response_model=models.Page[models.Candle])
async def candles(
    request: Request,
    services: Shared,
    venue: Venue,
    symbol: Symbol,
    interval: Interval,
    range_: Annotated[Range, newest(500)],
) -> Response:
    """Closed candles, each in its newest revision; the open one comes over /ws."""
    wanted = {"venue": venue, "symbol": symbol, "interval": interval}
    return await market_page(request, services, CANDLES, wanted, range_)


@router.get("/trades", response_model=models.Page[models.Trade])
async def trades(
    request: Request,
    services: Shared,
    venue: Venue,
    symbol: Symbol,
    range_: Annotated[Range, newest(100)],
) -> Response:
    """Public trades, each once."""
    wanted = {"venue": venue, "symbol": symbol}
    return await market_page(request, services, TRADES, wanted, range_)


@router.get("/quotes", response_model=models.Page[models.Quote])
async def quotes(
    request: Request,
    services: Shared,
    venue: Venue,
    symbol: Symbol,
    range_: Annotated[Range, newest(100)],
) -> Response:
    """Best bid and ask, one row a change."""
    wanted = {"venue": venue, "symbol": symbol}
    return await market_page(request, services, QUOTES, wanted, range_)


@router.get("/indicators", response_model=models.Page[models.Indicator])
async def indicators(
    request: Request,
    services: Shared,
    venue: Venue,
    symbol: Symbol,
    interval: Interval,
    range_: Annotated[Range, newest(2_000)],
    name: Annotated[str | None, Query(pattern=NAME, description="this indicator only, sma(20)")] = None,
) -> Response:
    """Values of indicators at closed candles; `limit` counts values, not candles."""
    wanted = {"venue": venue, "symbol": symbol, "interval": interval, "name": name}
    return await market_page(request, services, INDICATORS, wanted, range_)


@router.get("/signals", response_model=models.Page[models.Signal])
async def signals(
    request: Request,
    services: Shared,
    range_: Annotated[Range, newest(100)],
    venue: AnyVenue = None,
    symbol: AnySymbol = None,
    interval: AnyInterval = None,
    rule: Annotated[str | None, Query(pattern=NAME, description="this rule only")] = None,
) -> Response:
    """Signals of all markets, or of some."""
    wanted = {"venue": venue, "symbol": symbol, "interval": interval, "rule": rule}
    rows, older = await services.store.page(SIGNALS, wanted, range_)
    return answer(request, {"data": rows, "before": older})
