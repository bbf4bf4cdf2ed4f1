"""Whether a symbol's trades follow one another: repeats, gaps, and ids that begin anew."""

from collections.abc import Mapping
from typing import Final

import msgspec

from schemas.records import Micros, Trade

RENUMBERED_AFTER_US: Final = 60_000_000
"""A lower id first after a restart, newer by more than this, is no repeat: the ids began anew."""

BETWEEN_RUNS: Final = "not running"
"""How the reason of a gap begins that arose while no producer ran: known to whoever stopped it."""


class Position(msgspec.Struct):
    """Where a symbol stands.

    Attributes:
        sequence: Highest sequence delivered.
        event_time: Event time of the record that has it, µs.
    """

    sequence: int
    event_time: Micros


class Missing(msgspec.Struct, frozen=True):
    """Ids that a feed has skipped.

    Attributes:
        first: First missing sequence; None where the ids began anew and the range has no number.
        last: Last missing sequence, or None.
        from_time: Event time of the last trade before, µs.
        to_time: Event time of the first trade after, µs.
        reason: Why, for people.
    """

    first: int | None
    last: int | None
    from_time: Micros
    to_time: Micros
    reason: str


class Continuity:
    """Follows the sequences of all symbols of a feed. Pure.

    Args:
        positions: Where each symbol stood when the log was last written; symbols not named begin freely.
    """

    def __init__(self, positions: Mapping[str, Position] | None = None) -> None:
        self.positions = {
            symbol: Position(where.sequence, where.event_time) for symbol, where in (positions or {}).items()
        }
        self._unconfirmed = set(self.positions)

    def admit(self, trade: Trade) -> bool | Missing:
        """Judge a trade and move on: True: the next one, False: a repeat, else what is missing before it.

        A trade without a sequence is always the next one.
        """
        sequence = trade.sequence
        if sequence is None:
            return True
        symbol, time = trade.symbol, trade.event_time
        position = self.positions.get(symbol)
        if position is None:
            self.positions[symbol] = Position(sequence, time)
            return True
        last, last_time = position.sequence, position.event_time
        is_first = is_renumbered = False
        if self._unconfirmed and symbol in self._unconfirmed:
            self._unconfirmed.discard(symbol)
            is_first = True
            is_renumbered = sequence <= last and time > last_time + RENUMBERED_AFTER_US
        if sequence <= last and not is_renumbered:
            return False
        position.sequence, position.event_time = sequence, time
        if sequence == last + 1:
            return True
        if is_renumbered:
            return Missing(None, None, last_time, time, f"{BETWEEN_RUNS}, and the venue counts anew")
        reason = f"{sequence - last - 1} missing ids"
        if is_first:
            reason = f"{BETWEEN_RUNS}: {reason}"
        return Missing(last + 1, sequence - 1, last_time, max(time, last_time), reason)
