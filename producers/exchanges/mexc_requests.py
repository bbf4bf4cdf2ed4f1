"""Requests of MEXC's spot market that were sent and not answered yet, and what an answer says."""

import re
from collections.abc import Callable, Iterable
from typing import Final

from producers.exchange import Control

_SEPARATORS: Final = re.compile(r"[\[\],\s]+")


class PendingRequests:
    """Tells an accepted subscription from a refused one.

    The venue answers both with code 0 and words. Accepted is what echoes the streams that were asked for,
    with commas between them; any other words refuse: `Not Subscribed successfully! [spot@...]. Reason:
    Blocked!`.

    Args:
        is_stream: Whether a word names a stream.
    """

    def __init__(self, is_stream: Callable[[str], object]) -> None:
        self._is_stream = is_stream
        self._streams: dict[int, frozenset[str]] = {}

    def asked(self, number: int, streams: Iterable[str]) -> None:
        """Remember a request; one about the same streams that was never answered is given up."""
        asked = frozenset(streams)
        self._streams = {earlier: names for earlier, names in self._streams.items() if not names & asked}
        self._streams[number] = asked

    def answered(self, number: int | None, code: int | None, words: str) -> Control | None:
        """What an answer says.

        Args:
            number: Of the request, as the answer has it: 0 where the venue leaves it out.
            code: Its code.
            words: Its words.

        Returns:
            None for an answer that repeats streams nobody asked for, as recorded sessions hold them.
        """
        named = frozenset(_SEPARATORS.split(words))
        request = self._request_of(number, named)
        if request is None:
            return None if all(map(self._is_stream, named)) else Control("refused", None, words)
        asked = self._streams.pop(request)
        is_accepted = not code and asked == frozenset(words.split(","))
        return Control("accepted" if is_accepted else "refused", request, words)

    def _request_of(self, number: int | None, named: frozenset[str]) -> int | None:
        """By its number, else by the streams named, else the only one there is if none is named."""
        if number is not None and number in self._streams:
            return number
        for request, streams in self._streams.items():
            if streams & named:
                return request
        if len(self._streams) == 1 and not any(map(self._is_stream, named)):
            return next(iter(self._streams))
        return None
