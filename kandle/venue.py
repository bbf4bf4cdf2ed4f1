"""What a venue of your own is written with: the contract, its values, and the checks of the edge.

    from kandle.venue import Call, Exchange, Limits, Request, Stream, positive_price

A venue is asked and heard by these values alone; it does no I/O. Its module is named in `producer.plugins`.
Numbers and times come as the venue writes them, as text mostly; the checks turn them into values of the
contract or raise `BadRecord`, and the frame goes to the dead letters with the reason.
"""

from producers.exchange import (
    BadRecord,
    Call,
    Channel,
    Control,
    Exchange,
    Limits,
    MarketRecord,
    Poll,
    Request,
    Stream,
)
from producers.validation import decoded, instant, is_inexact, positive_price, sequence, size
from schemas.records import BookUpdate, Instrument, Micros, Quote, Ticker, Trade

__all__ = [
    "BadRecord",
    "BookUpdate",
    "Call",
    "Channel",
    "Control",
    "Exchange",
    "Instrument",
    "Limits",
    "MarketRecord",
    "Micros",
    "Poll",
    "Quote",
    "Request",
    "Stream",
    "Ticker",
    "Trade",
    "decoded",
    "instant",
    "is_inexact",
    "positive_price",
    "sequence",
    "size",
]
