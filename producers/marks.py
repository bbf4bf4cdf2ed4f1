"""Time in the log: when a feed states that it has delivered everything up to a time of its exchange."""

from collections import deque
from typing import Final

from schemas.records import Micros

SECOND_US: Final = 1_000_000
DELAY_WINDOW_S: Final = 60.0
"""How long a delay is remembered: an idle feed's time stays behind by the largest of them."""

LARGEST_DELAY_S: Final = 5.0
"""A record that is received later than this after its event time shows a clock that is wrong."""

NOTHING_US: Final = 0
"""Time of the final mark of a feed that knows no event time: before all that any market did."""


class MarkClock:
    """Decides when a time mark is due and what it says. Pure: it is told the time, it never asks.

    The rules: the first record of a feed is marked at once ("the feed began here"); from then on a record
    whose second of event time is newer than the last mark's brings one; while a live feed is idle its time
    goes on by the monotonic clock. A mark never goes back.

    Args:
        idle: Whether time goes on while no record comes; not in a playback.
        newest_us: Time of the newest mark that this source has in the log, µs.
    """

    def __init__(self, idle: bool, newest_us: Micros | None = None) -> None:
        self._idle = idle
        self._marked_us = newest_us
        self._began = False
        self._newest_us: Micros | None = None
        self._delays: deque[tuple[float, float]] = deque()

    @property
    def newest_us(self) -> Micros | None:
        """Newest event time delivered by this feed, µs; None before its first record."""
        return self._newest_us

    def now_us(self, at_s: float) -> Micros | None:
        """Event time that the feed has reached at a monotonic time; None before its first record.

        In a playback this is the newest event time; on a live feed time goes on in silence.
        """
        if self._newest_us is None or not self._idle:
            return self._newest_us
        offset = max((delay for _, delay in self._delays), default=None)
        return self._newest_us if offset is None else max(self._newest_us, round((at_s - offset) * SECOND_US))

    def observe(self, event_us: Micros, receive_us: Micros, at_s: float) -> None:
        """Take note of how far the feed is, whether or not the record is published.

        Args:
            event_us: Event time of the record, µs.
            receive_us: When it was received by the wall clock, µs.
            at_s: The same by the monotonic clock, s.
        """
        if self._newest_us is None or event_us > self._newest_us:
            self._newest_us = event_us
        if self._idle:
            self._remember(event_us, receive_us, at_s)

    def delivered(self, event_us: Micros) -> Micros | None:
        """The time of the mark that is due after a record was handed over; None while none is.

        Args:
            event_us: Event time of the record, µs; observed before.
        """
        newest = event_us if self._newest_us is None else self._newest_us
        if (
            self._began
            and self._marked_us is not None
            and event_us // SECOND_US <= self._marked_us // SECOND_US
        ):
            return None
        self._began = True
        return self._mark(newest)

    def silent(self, answered_s: float) -> Micros | None:
        """The time of a mark that is due because time goes on; None while none is.

        Args:
            answered_s: When the venue last sent anything, a pong included, by the monotonic clock: what it
                had sent before has arrived, as the connection keeps order.
        """
        if not self._idle or not self._began or self._marked_us is None:
            return None
        reached = self.now_us(answered_s)
        if reached is None or reached // SECOND_US <= self._marked_us // SECOND_US:
            return None
        return self._mark(reached)

    def final(self) -> Micros:
        """The time of the final mark; `NOTHING_US` if nothing with a time was ever delivered.

        A feed of quotes alone ends too, and so does one of which every trade was refused: whoever waits for
        the end of a run waits for this mark.
        """
        times = [time for time in (self._newest_us, self._marked_us) if time is not None]
        return self._mark(max(times, default=NOTHING_US))

    def _mark(self, time_us: Micros) -> Micros:
        self._marked_us = time_us if self._marked_us is None else max(time_us, self._marked_us)
        return self._marked_us

    def _remember(self, event_us: Micros, receive_us: Micros, at_s: float) -> None:
        """Keep the largest distance from event time to the monotonic clock of the last minute.

        The distance holds the unknown offset of the two clocks and the delay of the record, so the largest
        belongs to the slowest record. The delay by the wall clocks is taken where it is larger: with one
        record alone the distance would allow for no delay at all. What is beyond any delay is the difference
        of the two wall clocks, and does not count. The queue falls from its head on.
        """
        delay = min(max(0.0, (receive_us - event_us) / SECOND_US), LARGEST_DELAY_S)
        distance = at_s - event_us / SECOND_US + delay
        while self._delays and self._delays[-1][1] <= distance:
            self._delays.pop()
        self._delays.append((at_s, distance))
        while self._delays[0][0] < at_s - DELAY_WINDOW_S:
            self._delays.popleft()
