"""What a feed says, besides market records: all that its session has to carry out."""

from typing import TypeAlias

import msgspec

from producers.exchange import BadRecord, Call, Channel, Control, MarketRecord
from schemas.records import Gap, TimeMark


class Ask(msgspec.Struct, frozen=True):
    """A call that a feed wants made; its answer comes back by `Feed.answer`."""

    call: Call


class BookGap(msgspec.Struct, frozen=True):
    """A book is not to be trusted from here on (opened), or again (filled): for the topic of books.

    Attributes:
        gap: Update ids that are missing, and why.
        is_resync: Whether the book was, or has to be, built anew from a snapshot.
    """

    gap: Gap
    is_resync: bool


class Refusal(msgspec.Struct, frozen=True):
    """A frame, or a REST answer, of which nothing is used.

    Attributes:
        error: The rule that it breaks.
        frame: The frame as received.
        channel: What it would have been, as far as that can be told.
    """

    error: BadRecord
    frame: bytes
    channel: Channel = "trades"


class Repeat(msgspec.Struct, frozen=True):
    """A record that the log already holds."""

    record: MarketRecord


Output: TypeAlias = MarketRecord | Gap | BookGap | TimeMark | Refusal | Repeat | Control | Ask
