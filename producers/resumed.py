"""What a feed is told about the log when it begins."""

from collections.abc import Mapping

import msgspec

from producers.continuity import Delivered, Position
from schemas.records import Gap, Micros


class OpenHole(msgspec.Struct, frozen=True):
    """A gap that the log announces as open.

    Attributes:
        gap: As announced.
        found: Event times of its trades that the log holds after all, by sequence.
    """

    gap: Gap
    found: dict[int, Micros]


class Resumed(msgspec.Struct, frozen=True):
    """Where the log stood when a feed begins.

    Attributes:
        trades: Position of each symbol in the topic of trades.
        quotes: The same for quotes.
        newest_mark: Time of the source's newest mark, µs.
        holes: Gaps in trades that are still open.
        delivered: Trades of the log, of symbols whose trades are not numbered.
    """

    trades: Mapping[str, Position] = {}
    quotes: Mapping[str, Position] = {}
    newest_mark: Micros | None = None
    holes: tuple[OpenHole, ...] = ()
    delivered: Mapping[str, Delivered] = {}
