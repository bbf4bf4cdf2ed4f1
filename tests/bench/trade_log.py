"""A long log of trades for the measurements of the processors, with marks as our producers write them.

Random symbols, each with a random walk of its price; event times follow one another evenly in the mean; a
mark at each whole second of event time stands in every partition. Keys, partitions, framing, compression and
the producer are those of the product.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from infra.kafka.publisher import Publisher
from infra.settings import KafkaSettings
from schemas import rows
from schemas.records import Side, TimeMark, Trade
from schemas.topics import TRADES

BEGAN_US = 1_700_000_000_000_000
SOURCE = "binance-spot-0"
SIDES: tuple[Side, ...] = ("buy", "sell")


@dataclass(frozen=True, slots=True)
class TradeLog:
    """What a log holds.

    Attributes:
        symbols: How many, each traded equally often in the mean.
        rate: Trades a second of event time, all symbols together.
        seconds: Of event time.
    """

    symbols: int
    rate: int
    seconds: int

    @property
    def trades(self) -> int:
        """In all."""
        return self.rate * self.seconds

    def write(self, servers: str, partitions: int) -> None:
        """Put it into the topic of trades; blocks until the broker has it, some microseconds a trade."""
        asyncio.run(self._write(servers, partitions))

    async def _write(self, servers: str, partitions: int) -> None:
        publisher = Publisher(KafkaSettings(bootstrap_servers=servers, partitions=partitions), "bench", 20)
        for second, messages in enumerate(self._seconds()):
            await publisher.publish_batch(TRADES.name, messages)
            end = BEGAN_US + (second + 1) * 1_000_000 - 1
            mark = TimeMark("binance", SOURCE, end, second == self.seconds - 1, "bench")
            for partition in range(partitions):
                await publisher.publish(TRADES.name, mark, partition=partition)
        await publisher.flush(60)
        await publisher.close()

    def _seconds(self) -> Iterator[list[tuple[bytes, bytes]]]:
        random = np.random.default_rng(1)
        names = [f"S{number}/USDT" for number in range(self.symbols)]
        keys = [f"binance:{name}".encode() for name in names]
        prices = random.uniform(100, 200, self.symbols).tolist()
        counts = [0] * self.symbols
        for second in range(self.seconds):
            start = BEGAN_US + second * 1_000_000
            columns = zip(
                random.integers(0, self.symbols, self.rate).tolist(),
                np.sort(random.integers(start, start + 1_000_000, self.rate)).tolist(),
                random.normal(1, 1e-4, self.rate).tolist(),
                random.random(self.rate).tolist(),
                random.integers(0, 2, self.rate).tolist(),
                strict=True,
            )
            messages = []
            for symbol, time, step, size, side in columns:
                price = prices[symbol] = prices[symbol] * step
                sequence = counts[symbol] = counts[symbol] + 1
                trade = Trade(
                    "binance",
                    names[symbol],
                    str(sequence),
                    sequence,
                    price,
                    size,
                    SIDES[side],
                    time,
                    time + 1_000,
                )
                messages.append((keys[symbol], rows.encode(trade)))
            yield messages
