"""Requests to MEXC that were sent and not answered yet, and what an answer says."""

import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from producers.exchange import Control, Request

_SEPARATORS: Final = re.compile(r"[\[\],\s]+")


class SpotRequests:
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
            None for an answer that repeats streams nobody asked for, as captures hold them.
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


class FuturesRequests:
    """Tells which subscription an answer is about, which names only the method: `rs.sub.deal`.

    Requests are answered in their order, so each connection has an instance of its own.
    """

    def __init__(self) -> None:
        self._unanswered: deque[tuple[str, Request]] = deque()

    def asked(self, method: str, request: Request) -> None:
        """Remember a request of one stream; one about the same stream that was never answered is given up."""
        self._forget(request)
        self._unanswered.append((method, request))

    def answered(self, channel: str, words: str) -> Control | None:
        """What an answer says.

        Args:
            channel: Of the answer: `rs.` and the method, or `rs.error`.
            words: `success`, or what is wrong; the contract in brackets, if it names one.

        Returns:
            None for a success that nobody waits for, as captures hold them.
        """
        answered = channel.removeprefix("rs.")
        for method, request in self._unanswered:
            name = request.streams[0].split("@")[1]
            if method == answered or (answered == "error" and (f"[{name}]" in words or "[" not in words)):
                self._forget(request)
                is_accepted = method == answered and words == "success"
                return Control("accepted" if is_accepted else "refused", request.number, words)
        return None if words == "success" else Control("refused", None, words)

    def _forget(self, request: Request) -> None:
        self._unanswered = deque(item for item in self._unanswered if item[1].streams != request.streams)
