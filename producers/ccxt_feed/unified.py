"""Unified structures of ccxt as records of ours, judged at the edge: numbers are floats, texts or nothing."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from producers import validation
from producers.ccxt_feed.structures import (
    Market,
    Number,
    UnifiedBook,
    UnifiedCandle,
    UnifiedFunding,
    UnifiedLiquidation,
    UnifiedTicker,
    UnifiedTrade,
)
from producers.exchange import BadRecord
from schemas.records import (
    BookUpdate,
    DerivativeTicker,
    ExchangeCandle,
    Instrument,
    InstrumentKind,
    Liquidation,
    Micros,
    Quote,
    Side,
    Ticker,
    Trade,
)

KINDS: Final[dict[str, InstrumentKind]] = {"spot": "spot", "swap": "perpetual", "future": "future"}
SIDES: Final[dict[str | None, Side]] = {"buy": "buy", "sell": "sell", None: "unknown"}
UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def instrument_of(market: Market, venue: str, now: Micros) -> Instrument | None:
    """The instrument of a market; None for contracts whose size in base units is not known.

    A contract is worth base units (linear), or quote currency at its price (inverse, settled in its base).
    """
    kind = KINDS.get(market.type)
    if kind is None or (kind != "spot" and not (market.linear or market.inverse)):
        return None
    multiplier = 1.0 if kind == "spot" else _or_none(market.contract_size)
    if not multiplier or (market.inverse and market.settle != market.base):
        return None
    return Instrument(
        venue=venue,
        symbol=market.symbol,
        venue_symbol=market.id,
        base=market.base,
        quote=market.quote,
        kind=kind,
        status="halted" if market.active is False else "trading",
        tick_size=_or_none(market.tick_size),
        lot_size=_or_none(market.lot_size),
        min_notional=_or_none(market.min_notional),
        multiplier=multiplier,
        event_time=now,
    )


def trades(
    rows: Iterable[UnifiedTrade],
    instrument: Instrument,
    receive_time: Micros,
    *,
    backfilled: bool,
    named: bool,
) -> list[Trade]:
    """Trades by ascending time; those of one time by their ids where these are numbers, else as they came.

    Args:
        rows: As ccxt has them.
        instrument: Whose they are.
        receive_time: When they came, µs.
        backfilled: Whether they were asked for.
        named: Whether they are known by the venue's ids; else by what they say.

    Raises:
        BadRecord: A value breaks a rule, or an id is missing among named ones.
    """
    found: list[Trade] = []
    alike: Counter[str] = Counter()
    for row in rows:
        price = _price(row.price)
        amount = _size(row.amount)
        size = _base(amount, instrument, price)
        time = _time(row.timestamp)
        if row.side not in SIDES:
            raise BadRecord("side", f"expected buy or sell, got {row.side!r}")
        if named:
            if row.id is None or row.id == "":
                raise BadRecord("id", "a trade without an id among such that have one")
            trade_id = str(row.id)
        else:
            text = f"{time}-{row.side or 'unknown'}-{price!r}-{amount!r}"
            trade_id = f"{text}-{alike[text]}"
            alike[text] += 1
        found.append(
            Trade(
                venue=instrument.venue,
                symbol=instrument.symbol,
                trade_id=trade_id,
                sequence=None,
                price=price,
                size=size,
                side=SIDES[row.side],
                event_time=time,
                receive_time=receive_time,
                raw_size=_raw(row.amount, instrument),
                backfilled=backfilled,
                inexact=_is_inexact(row.price, price)
                or (size == row.amount and _is_inexact(row.amount, size)),
            )
        )
    if named and all(trade.trade_id.isdecimal() for trade in found):
        # ccxt sorts ids as texts.
        return sorted(found, key=lambda trade: (trade.event_time, int(trade.trade_id)))
    return sorted(found, key=lambda trade: trade.event_time)


def quote(row: UnifiedTicker, instrument: Instrument, receive_time: Micros) -> Quote | None:
    """Best bid and ask; None where the message is silent about both."""
    bid, ask = _price_or_none(row.bid), _price_or_none(row.ask)
    if bid is None and ask is None:
        return None
    return Quote(
        venue=instrument.venue,
        symbol=instrument.symbol,
        bid=bid,
        bid_size=_side_size(bid, row.bidVolume, instrument),
        ask=ask,
        ask_size=_side_size(ask, row.askVolume, instrument),
        sequence=None,
        event_time=_time_or_none(row.timestamp),
        receive_time=receive_time,
    )


def book(row: UnifiedBook, instrument: Instrument, receive_time: Micros) -> BookUpdate:
    """A whole book, as far down as ccxt keeps it; it stands for itself, so it has no first sequence."""
    bid_prices, bid_sizes = _levels(row.bids, instrument)
    ask_prices, ask_sizes = _levels(row.asks, instrument)
    nonce = None if row.nonce is None else validation.sequence_text(validation.text_of(row.nonce))
    return BookUpdate(
        venue=instrument.venue,
        symbol=instrument.symbol,
        kind="snapshot",
        # It replaces what was there whatever the numbers: see `producers.books`.
        first_sequence=nonce,
        last_sequence=nonce,
        previous_sequence=None,
        bid_prices=bid_prices,
        bid_sizes=bid_sizes,
        ask_prices=ask_prices,
        ask_sizes=ask_sizes,
        checksum=None,
        event_time=_time_or_none(row.timestamp),
        receive_time=receive_time,
    )


def ticker(row: UnifiedTicker, instrument: Instrument, receive_time: Micros) -> Ticker:
    """24 h figures; of the time of receipt where the venue names none."""
    last = row.last if row.last is not None else row.close
    return Ticker(
        venue=instrument.venue,
        symbol=instrument.symbol,
        last=_price(last),
        bid=_price_or_none(row.bid),
        ask=_price_or_none(row.ask),
        open=_price_or_none(row.open),
        high=_price_or_none(row.high),
        low=_price_or_none(row.low),
        base_volume=_or_none(row.baseVolume) if _is_plain(instrument) else None,
        quote_volume=_or_none(row.quoteVolume) if _is_plain(instrument) else None,
        change=_signed_or_none(row.change),
        change_percent=_signed_or_none(row.percentage),
        event_time=_time_or_none(row.timestamp) or receive_time,
        receive_time=receive_time,
    )


def candle(
    row: UnifiedCandle, instrument: Instrument, interval: str, receive_time: Micros
) -> ExchangeCandle | None:
    """The venue's candle; None for one without prices, as some venues write an empty one."""
    if len(row) < 5 or row[0] is None:
        raise BadRecord(
            "shape", f"a candle is time, open, high, low, close and volume; got {len(row)} values"
        )
    if all(value is None for value in row[1:5]):
        return None
    open_, high, low, close = (_price(value) for value in row[1:5])
    # Volumes of contracts come in contracts at some venues and in base units at others.
    volume = _or_none(row[5]) if len(row) > 5 and _is_plain(instrument) else None
    validation.ohlc(open_, high, low, close, volume)
    open_time = _time(row[0])
    return ExchangeCandle(
        venue=instrument.venue,
        symbol=instrument.symbol,
        interval=interval,
        open_time=open_time,
        close_time=open_time + interval_s(interval) * 1_000_000,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        quote_volume=None,
        taker_buy_volume=None,
        trade_count=None,
        first_sequence=None,
        last_sequence=None,
        closed=None,
        event_time=None,
        receive_time=receive_time,
    )


def derivative(row: UnifiedFunding, instrument: Instrument, receive_time: Micros) -> DerivativeTicker | None:
    """Mark price, index and funding; None where the message has none of them."""
    mark, index = _price_or_none(row.markPrice), _price_or_none(row.indexPrice)
    rate = _signed_or_none(row.fundingRate)
    if mark is None and index is None and rate is None:
        return None
    following = row.fundingTimestamp if row.fundingTimestamp is not None else row.nextFundingTimestamp
    return DerivativeTicker(
        venue=instrument.venue,
        symbol=instrument.symbol,
        mark_price=mark,
        index_price=index,
        funding_rate=rate,
        next_funding_time=_time_or_none(following),
        open_interest=None,
        event_time=_time_or_none(row.timestamp),
        receive_time=receive_time,
    )


def liquidation(row: UnifiedLiquidation, instrument: Instrument, receive_time: Micros) -> Liquidation:
    """A position that was closed by force."""
    price = _price(row.price)
    if row.side not in SIDES:
        raise BadRecord("side", f"expected buy or sell, got {row.side!r}")
    return Liquidation(
        venue=instrument.venue,
        symbol=instrument.symbol,
        side=SIDES[row.side],
        price=price,
        size=_base(_size(row.contracts), instrument, price),
        raw_size=_raw(row.contracts, instrument),
        event_time=_time(row.timestamp),
        receive_time=receive_time,
    )


def interval_s(interval: str) -> int:
    """Length of a candle, s.

    Raises:
        BadRecord: The name is not a number and one of s, m, h, d and w.
    """
    number, unit = interval[:-1], UNITS_S.get(interval[-1:])
    if unit is None or not (number.isascii() and number.isdigit()) or int(number) == 0:
        raise BadRecord("interval", f"an interval is written like 1m or 4h; got {interval!r}")
    return int(number) * unit


def _levels(
    rows: Sequence[Sequence[Number | None]], instrument: Instrument
) -> tuple[list[float], list[float]]:
    prices, sizes = [], []
    for row in rows:
        if len(row) < 2:
            raise BadRecord("shape", f"a level is a price and a size; got {len(row)} values")
        price = _price(row[0])
        prices.append(price)
        sizes.append(_base(_size(row[1]), instrument, price))
    return prices, sizes


def _is_inverse(instrument: Instrument) -> bool:
    return (
        instrument.kind != "spot" and instrument.symbol.partition(":")[2].partition("-")[0] == instrument.base
    )


def _is_plain(instrument: Instrument) -> bool:
    """Whether amounts are in base units, in whatever way a venue counts."""
    return instrument.multiplier == 1.0 and not _is_inverse(instrument)


def _base(amount: float, instrument: Instrument, price: float) -> float:
    if _is_plain(instrument):
        return amount
    worth = validation.base_size(amount, instrument.multiplier)
    return worth / price if _is_inverse(instrument) else worth


def _raw(amount: Number | None, instrument: Instrument) -> float | None:
    return None if _is_plain(instrument) else _size(amount)


def _side_size(price: float | None, amount: Number | None, instrument: Instrument) -> float:
    return 0.0 if price is None or amount is None else _base(_size(amount), instrument, price)


def _price(value: Number | None) -> float:
    if value is None:
        raise BadRecord("price", "a price is missing")
    return validation.positive_price(value) if isinstance(value, str) else validation.price_number(value)


def _price_or_none(value: Number | None) -> float | None:
    """A price; 0 and nothing mean that there is none."""
    if value is None or value == "" or (isinstance(value, str) and not value.strip("0.")) or value == 0:
        return None
    return _price(value)


def _size(value: Number | None) -> float:
    if value is None:
        raise BadRecord("size", "an amount is missing")
    return validation.size(value) if isinstance(value, str) else float(validation.size_number(value))


def _or_none(value: Number | None) -> float | None:
    return None if value is None or value == "" else _size(value)


def _signed_or_none(value: Number | None) -> float | None:
    return None if value is None or value == "" else validation.signed(validation.text_of(value))


def _time(value: Number | None) -> Micros:
    if value is None:
        raise BadRecord("time", "the venue's time is missing")
    return validation.instant(value)


def _time_or_none(value: Number | None) -> Micros | None:
    return None if value is None or value == 0 else _time(value)


def _is_inexact(value: Number | None, number: float) -> bool:
    return isinstance(value, str) and validation.is_inexact(value, number)
