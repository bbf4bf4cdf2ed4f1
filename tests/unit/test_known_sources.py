"""What the positions of producers tell of their sources."""

from collections.abc import Callable, Mapping

import pytest

from infra.settings import KafkaSettings
from producers import retirement
from producers.retirement import known_sources
from schemas import rows
from schemas.records import Position
from schemas.topics import QUOTES, TRADES, Topic

SECOND = 1_000_000


class Message:
    """A position as the log holds it."""

    def __init__(self, topic: Topic, symbol: str, second: int) -> None:
        at = second * SECOND
        self._position = Position("binance", "binance-spot-0", topic.name, at, {}, {}, {symbol: at})
        self._written_ms = second * 1_000

    def value(self) -> bytes:
        return rows.encode(self._position)

    def timestamp(self) -> tuple[int, int]:
        return 2, self._written_ms


class Log:
    """Stands for a log whose partitions are read one after the other, whenever each was written."""

    def __init__(self, messages: list[Message]) -> None:
        self._messages = messages

    def read(self, topic: str, starts: Mapping[int, int] | None, take: Callable[[Message], None]) -> int:
        for message in self._messages:
            take(message)
        return len(self._messages)

    def close(self) -> None:
        """Nothing to let go."""


@pytest.mark.parametrize("order", [1, -1])
def test_a_source_has_written_when_its_newest_position_was(
    monkeypatch: pytest.MonkeyPatch, order: int
) -> None:
    messages = [Message(TRADES, "BTC/USDT", 9_000), Message(QUOTES, "ETH/USDT", 10)]
    monkeypatch.setattr(retirement, "LogReader", lambda _: Log(messages[::order]))
    (found,) = known_sources(KafkaSettings())
    assert (found.written_ms, found.time) == (9_000_000, 9_000 * SECOND)
    assert found.symbols == ("BTC/USDT", "ETH/USDT")
