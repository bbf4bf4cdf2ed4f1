"""Trades, books and candles of MEXC as records, as both of its markets need them.

The venue's REST answers give trades no id. The ids here are made of what a trade says of itself, so that the
stream and REST give the same one to the same trade: time, side, price, size, and a running number among
trades that are equal in all of these.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias, TypeVar

from producers import validation
from producers.exchange import BadRecord
from schemas.errors import ConfigurationError
from schemas.records import BookUpdate, BookUpdateKind, ExchangeCandle, Micros, Side, Trade

Levels: TypeAlias = tuple[list[float], list[float]]
"""Prices, and sizes in base units."""

REMEMBERED: Final = 20_000
"""Recent trades of which the venue's own id is kept. Its frames span a tenth of a second, so trades that are
equal in all else come at once or in the next frame; 20,000 are seconds of the busiest hour."""


SIDES: Final[dict[int, Side]] = {1: "buy", 2: "sell"}

_T = TypeVar("_T")


class TradeIds:
    """Gives ids to trades as they come; the same trade that comes again gets the same id.

    Where the stream tells trades apart by an id of its own, equal ones are counted across frames by it. Where
    it does not, they are counted within one frame or answer.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], list[str]] = OrderedDict()

    def frame(self, symbol: str) -> "FrameIds":
        """Begin a frame, or an answer, with trades of a symbol."""
        return FrameIds(symbol, self._known)


class FrameIds:
    """Gives ids to the trades of one frame."""

    def __init__(self, symbol: str, known: OrderedDict[tuple[str, str], list[str]]) -> None:
        self._symbol = symbol
        self._known = known
        self._counts: dict[str, int] = {}

    def next(self, time_ms: int, side: Side, price: float, size: float, own_id: str = "") -> str:
        """The id of the next trade.

        Args:
            time_ms: Its time, ms since the epoch.
            side: Of its aggressor.
            price: Its price.
            size: Its size in the venue's unit.
            own_id: The venue's id, where the frame has one.
        """
        equal = f"{time_ms}-{side}-{price!r}-{size!r}"
        if own_id:
            return f"{equal}-{self._number(equal, own_id)}"
        number = self._counts.get(equal, 0)
        self._counts[equal] = number + 1
        return f"{equal}-{number}"

    def _number(self, equal: str, own_id: str) -> int:
        key = (self._symbol, equal)
        ids = self._known.get(key)
        if ids is None:
            self._known[key] = [own_id]
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            return 0
        if own_id not in ids:
            ids.append(own_id)
        return ids.index(own_id)


def side_of(number: int) -> Side:
    """The side of the aggressor.

    Raises:
        BadRecord: It is neither 1, who bought, nor 2, who sold.
    """
    side = SIDES.get(number)
    if side is None:
        raise BadRecord("side", f"expected 1 for a buyer or 2 for a seller, got {number}")
    return side


def spot_trade(
    symbol: str,
    price_text: str,
    size_text: str,
    side: Side,
    time_ms: int,
    receive_time: Micros,
    ids: FrameIds,
    own_id: str = "",
    backfilled: bool = False,
) -> Trade:
    """A trade of the spot market, from the stream or from REST.

    Raises:
        BadRecord: A value breaks a rule.
    """
    price = validation.positive_price(price_text)
    size = validation.size(size_text)
    event_time = validation.micros(time_ms)
    return Trade(
        venue="mexc",
        symbol=symbol,
        trade_id=ids.next(time_ms, side, price, size, own_id),
        sequence=None,
        price=price,
        size=size,
        side=side,
        event_time=event_time,
        receive_time=receive_time,
        backfilled=backfilled,
        inexact=validation.is_inexact(price_text, price) or validation.is_inexact(size_text, size),
    )


def oldest_first(rows: Sequence[_T], times: Sequence[int]) -> list[_T]:
    """Trades by ascending time; the venue lists the newest first, in answers and in frames of futures.

    Args:
        rows: The trades as they came.
        times: The time of each.
    """
    order = range(len(rows) - 1, -1, -1) if len(times) > 1 and times[0] >= times[-1] else range(len(rows))
    return [rows[place] for place in sorted(order, key=times.__getitem__)]


def book_update(
    symbol: str,
    kind: BookUpdateKind,
    versions: tuple[int | None, int],
    bids: Levels,
    asks: Levels,
    event_time: Micros | None,
    receive_time: Micros,
) -> BookUpdate:
    """A snapshot of a book, or a change to it.

    Args:
        symbol: Unified symbol.
        kind: Which of them.
        versions: First and last that it covers; a snapshot has no first one.
        bids: Levels of the buyers.
        asks: Levels of the sellers.
        event_time: Time of the venue, µs, None where it gives none.
        receive_time: When it came, µs.
    """
    return BookUpdate(
        venue="mexc",
        symbol=symbol,
        kind=kind,
        first_sequence=versions[0],
        last_sequence=versions[1],
        previous_sequence=None,
        bid_prices=bids[0],
        bid_sizes=bids[1],
        ask_prices=asks[0],
        ask_sizes=asks[1],
        checksum=None,
        event_time=event_time,
        receive_time=receive_time,
    )


class Interval(NamedTuple):
    """An interval.

    Attributes:
        name: As everywhere in this project.
        stream: In streams, spot and futures, and in the REST interface of futures.
        seconds: Its length, s.
        rest: In the REST interface of spot, empty where that has none.
    """

    name: str
    stream: str
    seconds: int
    rest: str


INTERVALS: Final = {
    interval.name: interval
    for interval in (
        Interval("1m", "Min1", 60, "1m"),
        Interval("5m", "Min5", 300, "5m"),
        Interval("15m", "Min15", 900, "15m"),
        Interval("30m", "Min30", 1_800, "30m"),
        Interval("1h", "Min60", 3_600, "60m"),
        Interval("4h", "Hour4", 14_400, "4h"),
        Interval("8h", "Hour8", 28_800, ""),
        Interval("1d", "Day1", 86_400, "1d"),
        Interval("1w", "Week1", 604_800, "1W"),
    )
}
"""By name. The venue's months are left out: they have no length of their own."""

BY_STREAM: Final = {interval.stream: interval for interval in INTERVALS.values()}
BY_REST: Final = {interval.rest: interval for interval in INTERVALS.values() if interval.rest}


def interval_of(name: str) -> Interval:
    """The interval of a name.

    Raises:
        ConfigurationError: The venue has no candles of it; the message lists those that it has.
    """
    try:
        return INTERVALS[name]
    except KeyError:
        raise ConfigurationError(f"mexc has no candles of {name}; it has {', '.join(INTERVALS)}") from None


def candle(
    symbol: str,
    interval: str,
    window: tuple[Micros, Micros],
    prices: Sequence[float],
    volumes: tuple[float, float],
    event_time: Micros | None,
    receive_time: Micros,
) -> ExchangeCandle:
    """A candle of the venue.

    Args:
        symbol: Unified symbol.
        interval: Its interval's name.
        window: Its start and end, µs.
        prices: Open, high, low and close.
        volumes: Base units and quote currency.
        event_time: Time of the message, µs.
        receive_time: When it came, µs.

    Raises:
        BadRecord: The prices do not fit each other, or the window has no length.
    """
    if not window[0] < window[1]:
        raise BadRecord("time", f"expected a candle that ends after its start, got {window}")
    open_, high, low, close = prices
    validation.ohlc(open_, high, low, close, volumes[0])
    return ExchangeCandle(
        venue="mexc",
        symbol=symbol,
        interval=interval,
        open_time=window[0],
        close_time=window[1],
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
        closed=None,
        event_time=event_time,
        receive_time=receive_time,
    )
