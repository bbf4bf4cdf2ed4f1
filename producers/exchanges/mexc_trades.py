"""The trades of MEXC, and ids for them: its REST answers have none.

An id is made of what a trade says of itself, so that the stream and REST give the same one to the same
trade: time, side, price, size, and a running number among trades that are equal in all of these.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, TypeVar

from producers import validation
from schemas.records import Micros, Side, Trade

REMEMBERED: Final = 20_000
"""Recent trades of which the venue's own id is kept. Its frames span a tenth of a second, so trades that are
equal in all else come at once or in the next frame; 20,000 are seconds of the busiest hour."""


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
