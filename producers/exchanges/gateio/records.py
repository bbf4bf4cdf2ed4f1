"""Records that Gate.io's spot and futures markets make alike; sizes become base units here."""

from collections.abc import Sequence
from typing import Final

import msgspec

from producers import validation
from producers.exchange import BadRecord
from producers.exchanges.gateio import wire
from schemas.records import BookUpdate, ExchangeCandle, Instrument, Micros, Quote

LONGEST_ID: Final = len(str(validation.LARGEST_SEQUENCE))

Levels = Sequence[wire.Level | wire.PricedLevel]


def quote(
    venue: str, ticker: wire.BookTicker, instrument: Instrument, event_time: Micros, receive_time: Micros
) -> Quote:
    """Best bid and ask; an empty side has an empty price, and a symbol without a book the id 0.

    Raises:
        BadRecord: A value is none of a quote.
    """
    bid_text, ask_text = validation.text_of(ticker.B), validation.text_of(ticker.A)
    bid, bid_size = price_of(ticker.b), validation.size(bid_text)
    ask, ask_size = price_of(ticker.a), validation.size(ask_text)
    return Quote(
        venue=venue,
        symbol=instrument.symbol,
        bid=bid,
        bid_size=validation.base_size(bid_size, instrument.multiplier) if bid else 0.0,
        ask=ask,
        ask_size=validation.base_size(ask_size, instrument.multiplier) if ask else 0.0,
        sequence=validation.sequence(ticker.u) or None,
        event_time=event_time,
        receive_time=receive_time,
        inexact=(
            (bid is not None and validation.is_inexact(ticker.b, bid))
            or (ask is not None and validation.is_inexact(ticker.a, ask))
            or validation.is_inexact(bid_text, bid_size)
            or validation.is_inexact(ask_text, ask_size)
        ),
    )


def candle(
    venue: str,
    row: wire.Candle,
    instrument: Instrument,
    interval: tuple[str, int],
    volumes: tuple[float | None, float | None],
    event_time: Micros | None,
    receive_time: Micros,
) -> ExchangeCandle:
    """A candle, open or closed.

    Args:
        venue: Name of the venue.
        row: As the venue says it.
        instrument: What it is of.
        interval: Name and length, s.
        volumes: In base units and in quote currency, None where the venue does not say.
        event_time: When the venue said it, µs.
        receive_time: When it came, µs.

    Raises:
        BadRecord: A value is none of a candle, or they do not fit each other.
    """
    open_, high, low, close = (
        validation.positive_price(validation.text_of(price)) for price in (row.o, row.h, row.l, row.c)
    )
    validation.ohlc(open_, high, low, close, volumes[0])
    open_time = validation.instant(row.t)
    return ExchangeCandle(
        venue=venue,
        symbol=instrument.symbol,
        interval=interval[0],
        open_time=open_time,
        close_time=open_time + interval[1] * 1_000_000,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volumes[0],
        quote_volume=volumes[1],
        taker_buy_volume=None,
        trade_count=None,
        first_sequence=None,
        last_sequence=None,
        closed=row.w,
        event_time=event_time,
        receive_time=receive_time,
    )


def price_of(text: str) -> float | None:
    """A price; None where the venue writes nothing, or 0, for what there is not.

    Raises:
        BadRecord: The text is something else; `reason` is `price`.
    """
    return validation.price_or_empty(text) if text else None


def size_of(text: str | None) -> float | None:
    """An amount; None where the venue writes nothing.

    Raises:
        BadRecord: The text is something else; `reason` is `size`.
    """
    return validation.size(text) if text else None


def signed_of(text: str) -> float | None:
    """A number of either sign; None where the venue writes nothing.

    Raises:
        BadRecord: The text is something else; `reason` is `number`.
    """
    return validation.signed(text) if text else None


def whole(number: int | str) -> int:
    """An id, as the streams write it or as the text of REST.

    Raises:
        BadRecord: It is none; `reason` is `id`.
    """
    if isinstance(number, int):
        return validation.sequence(number)
    if not (number.isascii() and number.isdigit() and len(number) <= LONGEST_ID):
        raise BadRecord("id", f"expected an id, got {number[:40]!r}")
    return validation.sequence(int(number))


def symbol_of(name: str) -> str:
    """The symbol of a book by its name: `BTC_USDT`, or `ob.BTC_USDT.400` on `obu`."""
    return name.split(".")[1] if name.startswith("ob.") else name


def book_update(
    venue: str,
    change: wire.BookChange,
    instrument: Instrument,
    event_time: Micros,
    receive_time: Micros,
) -> BookUpdate:
    """A change to a book, or the whole of it where the venue says `full`.

    Raises:
        BadRecord: A level or an update id is none.
    """
    if change.full:
        book = wire.Book(asks=change.a, bids=change.b, id=change.u)
        whole = book_snapshot(venue, book, instrument, event_time, receive_time)
        return msgspec.structs.replace(whole, first_sequence=whole.last_sequence)
    if change.U is None or change.u < change.U:
        raise BadRecord("id", f"expected a range of update ids, got {change.U} to {change.u}")
    bid_prices, bid_sizes = _columns(change.b, instrument)
    ask_prices, ask_sizes = _columns(change.a, instrument)
    return BookUpdate(
        venue=venue,
        symbol=instrument.symbol,
        kind="delta",
        first_sequence=validation.sequence(change.U),
        last_sequence=validation.sequence(change.u),
        previous_sequence=None,
        bid_prices=bid_prices,
        bid_sizes=bid_sizes,
        ask_prices=ask_prices,
        ask_sizes=ask_sizes,
        checksum=None,
        event_time=event_time,
        receive_time=receive_time,
    )


def book_snapshot(
    venue: str,
    book: wire.Book,
    instrument: Instrument,
    event_time: Micros | None,
    receive_time: Micros,
) -> BookUpdate:
    """A whole book, best levels first; its id is missing in the oldest ones, and 0 while there is no book.

    Raises:
        BadRecord: A level or the update id is none.
    """
    bids = sorted(zip(*_columns(book.bids, instrument), strict=True), reverse=True)
    asks = sorted(zip(*_columns(book.asks, instrument), strict=True))
    return BookUpdate(
        venue=venue,
        symbol=instrument.symbol,
        kind="snapshot",
        first_sequence=None,
        last_sequence=validation.sequence(book.id or book.lastUpdateId) or None,
        previous_sequence=None,
        bid_prices=[price for price, size in bids if size],
        bid_sizes=[size for _, size in bids if size],
        ask_prices=[price for price, size in asks if size],
        ask_sizes=[size for _, size in asks if size],
        checksum=None,
        event_time=event_time,
        receive_time=receive_time,
    )


def _columns(levels: Levels, instrument: Instrument) -> tuple[list[float], list[float]]:
    """Prices, and sizes in base units."""
    pairs = [
        (validation.text_of(level.p), validation.text_of(level.s))
        if isinstance(level, wire.PricedLevel)
        else (validation.text_of(level[0]), validation.text_of(level[1]))
        for level in levels
    ]
    prices, sizes = validation.levels(pairs)
    if instrument.multiplier != 1.0:
        sizes = [validation.base_size(size, instrument.multiplier) for size in sizes]
    return prices, sizes
