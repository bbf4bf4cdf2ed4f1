"""What MEXC's futures tell, by stream or by REST, as records: the shapes of both are the same."""

from collections.abc import Sequence
from typing import Any

import msgspec

from producers import validation
from producers.exchange import BadRecord
from producers.exchanges.mexc import futures_messages as messages
from producers.exchanges.mexc.records import (
    BY_STREAM,
    FrameIds,
    Interval,
    Levels,
    candle,
    oldest_first,
    side_of,
)
from schemas.records import (
    DerivativeTicker,
    ExchangeCandle,
    Instrument,
    InstrumentStatus,
    Micros,
    Ticker,
    Trade,
)


def guess(venue_symbol: str) -> Instrument | None:
    """The instrument of a symbol by its name; None for a name without a quote currency."""
    base, _, quote = venue_symbol.partition("_")
    if not base or not quote or "_" in quote:
        return None
    settle = base if quote == "USD" else quote
    return contract(venue_symbol, base, quote, settle)


def contract(
    venue_symbol: str,
    base: str,
    quote: str,
    settle: str,
    status: InstrumentStatus = "trading",
    tick_size: float | None = None,
    lot_size: float | None = None,
    multiplier: float = 1.0,
    event_time: Micros = 0,
) -> Instrument:
    """A perpetual contract; see `Instrument` for what is told of it."""
    return Instrument(
        venue="mexc",
        symbol=f"{base}/{quote}:{settle}",
        venue_symbol=venue_symbol,
        base=base,
        quote=quote,
        kind="perpetual",
        status=status,
        tick_size=tick_size,
        lot_size=lot_size,
        min_notional=None,
        multiplier=multiplier,
        event_time=event_time,
    )


def is_inverse(instrument: Instrument) -> bool:
    """Whether the contract settles in its base currency: then it is worth so much in quote currency."""
    return instrument.symbol.endswith(f":{instrument.base}")


def base_size(contracts: float, price: float, instrument: Instrument) -> float:
    """Base units of contracts at a price."""
    size = validation.base_size(contracts, instrument.multiplier)
    return size / price if is_inverse(instrument) else size


def trades(
    deals: list[messages.Deal] | messages.Deal,
    instrument: Instrument,
    receive_time: Micros,
    ids: FrameIds,
    backfilled: bool = False,
) -> list[Trade]:
    """Trades by ascending time, sizes in base units and as they came.

    Raises:
        BadRecord: A value breaks a rule.
    """
    rows = deals if isinstance(deals, list) else [deals]
    made = []
    for row in oldest_first(rows, [row.t for row in rows]):
        price_text, size_text = validation.number_text(row.p), validation.number_text(row.v)
        price, contracts = validation.positive_price(price_text), validation.size(size_text)
        side = side_of(row.T)
        event_time = validation.micros(row.t)
        # The answers of REST name no trade, so a name in one is not used: the same trade would get two ids.
        own_id = "" if backfilled else str(row.i)
        made.append(
            Trade(
                venue="mexc",
                symbol=instrument.symbol,
                trade_id=ids.next(row.t, side, price, contracts, own_id),
                sequence=None,
                price=price,
                size=base_size(contracts, price, instrument),
                side=side,
                event_time=event_time,
                receive_time=receive_time,
                raw_size=contracts,
                backfilled=backfilled,
                inexact=validation.is_inexact(price_text, price)
                or validation.is_inexact(size_text, contracts),
            )
        )
    return made


def levels(rows: Sequence[tuple[float, ...]], instrument: Instrument) -> Levels:
    """Prices and sizes of levels of price, contracts and number of orders.

    Raises:
        BadRecord: A value breaks a rule.
    """
    prices, sizes = [], []
    for row in rows:
        if len(row) < 2:
            raise BadRecord("shape", "a level of the book has no size")
        price = validation.price_number(row[0])
        prices.append(price)
        sizes.append(base_size(validation.size_number(row[1]), price, instrument))
    return prices, sizes


def priced(row: Sequence[msgspec.Raw], instrument: Instrument) -> tuple[float, float, bool]:
    """Price and size of a level whose numbers are kept as written, and whether floats say less than they do.

    Raises:
        BadRecord: A value breaks a rule.
    """
    if len(row) < 2:
        raise BadRecord("shape", "a level of the book has no size")
    price_text, size_text = validation.number_text(row[0]), validation.number_text(row[1])
    price, contracts = validation.positive_price(price_text), validation.size(size_text)
    is_inexact = validation.is_inexact(price_text, price) or validation.is_inexact(size_text, contracts)
    return price, base_size(contracts, price, instrument), is_inexact


def ticker(told: messages.Ticker, instrument: Instrument, receive_time: Micros) -> Ticker:
    """The 24 hour figures in a ticker.

    Raises:
        BadRecord: A value breaks a rule.
    """
    turnover = None if told.amount24 is None else validation.size_number(told.amount24)
    contracts = None if told.volume24 is None else validation.size_number(told.volume24)
    nominal = None if contracts is None else validation.base_size(contracts, instrument.multiplier)
    rate = told.rise_fall_rate
    return Ticker(
        venue="mexc",
        symbol=instrument.symbol,
        last=validation.price_number(told.last_price),
        bid=_price_or_none(told.bid1),
        ask=_price_or_none(told.ask1),
        open=None,
        high=_price_or_none(told.high24_price),
        low=_price_or_none(told.lower24_price),
        base_volume=turnover if is_inverse(instrument) else nominal,
        quote_volume=nominal if is_inverse(instrument) else turnover,
        change=None if told.rise_fall_value is None else signed(told.rise_fall_value),
        change_percent=None if rate is None else round(100.0 * signed(rate), 8),
        event_time=validation.micros(told.timestamp),
        receive_time=receive_time,
    )


def derivative_ticker(
    told: messages.Ticker, instrument: Instrument, receive_time: Micros
) -> DerivativeTicker:
    """Mark price, index, funding and open interest in a ticker.

    Raises:
        BadRecord: A value breaks a rule.
    """
    mark_price = _price_or_none(told.fair_price)
    open_interest = None
    if told.hold_vol is not None and (mark_price or not is_inverse(instrument)):
        contracts = validation.size_number(told.hold_vol)
        open_interest = base_size(contracts, mark_price or 1.0, instrument)
    return derivative(
        instrument,
        told.timestamp,
        receive_time,
        mark_price=mark_price,
        index_price=_price_or_none(told.index_price),
        funding_rate=None if told.funding_rate is None else signed(told.funding_rate),
        open_interest=open_interest,
    )


def derivative(
    instrument: Instrument, time: int | str | None, receive_time: Micros, **told: Any
) -> DerivativeTicker:
    """A record of what a message tells, and of nothing else.

    Args:
        instrument: What it is about.
        time: When the venue said so, ms.
        receive_time: When it came, µs.
        told: Fields of the record.
    """
    silent = dict.fromkeys(
        ("mark_price", "index_price", "funding_rate", "next_funding_time", "open_interest")
    )
    return DerivativeTicker(
        venue="mexc",
        symbol=instrument.symbol,
        **(silent | told),
        event_time=time_of(time),
        receive_time=receive_time,
    )


def candles(
    kline: messages.Kline, instrument: Instrument, event_time: Micros | None, receive_time: Micros
) -> list[ExchangeCandle]:
    """The candle in a push, of what was traded; none for an interval that is not known.

    Raises:
        BadRecord: A value breaks a rule.
    """
    interval = BY_STREAM.get(kline.interval)
    if interval is None:
        return []
    traded = (kline.ro, kline.rh, kline.rl, kline.rc)
    shown = (kline.o, kline.h, kline.l, kline.c)
    prices = [second if first is None else first for first, second in zip(traded, shown, strict=True)]
    volumes = (kline.q, kline.a)
    return [candle_of(instrument, interval, kline.t, prices, volumes, event_time, receive_time)]


def candle_of(
    instrument: Instrument,
    interval: Interval,
    opens_s: int,
    prices: Sequence[float],
    volumes: tuple[float, float],
    event_time: Micros | None,
    receive_time: Micros,
) -> ExchangeCandle:
    """A candle.

    Args:
        instrument: What it is about.
        interval: Its interval.
        opens_s: Its start, s.
        prices: Open, high, low and close.
        volumes: Contracts, and turnover in the currency of settlement.
        event_time: Time of the message, µs.
        receive_time: When it came, µs.

    Raises:
        BadRecord: A value breaks a rule.
    """
    opens = validation.instant(opens_s)
    contracts, turnover = map(validation.size_number, volumes)
    nominal = validation.base_size(contracts, instrument.multiplier)
    return candle(
        instrument.symbol,
        interval.name,
        (opens, opens + interval.seconds * 1_000_000),
        [validation.price_number(price) for price in prices],
        (turnover, nominal) if is_inverse(instrument) else (nominal, turnover),
        event_time,
        receive_time,
    )


def time_of(time: int | str | None) -> Micros | None:
    """A time of the venue in µs; None where there is none."""
    return validation.instant(time) if time else None


def signed(value: float) -> float:
    """A number of either sign, as `validation.signed` judges texts."""
    if not abs(value) < validation.PRICE_LIMIT:
        raise BadRecord("number", f"expected a number below {validation.PRICE_LIMIT:g}, got {value}")
    return value


def _price_or_none(value: float | None) -> float | None:
    return validation.price_number(value) if value else None
