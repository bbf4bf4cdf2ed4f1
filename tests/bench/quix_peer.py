"""Quix Streams on the log of the processors' measurement; run by the Python of an environment that has it.

State stands in dictionaries and not in its store, which would cost more.
"""

import os
import sys
from typing import Any

from quixstreams import Application  # type: ignore[import-not-found]

from tests.bench.plain_candles import PlainCandles, Stopwatch


def stream(servers: str, topic: str, output: str, first: str, last: str) -> None:
    """Run until the last trade has come, then end the process."""
    job, watch = PlainCandles(), Stopwatch(int(first), int(last))

    def fold(value: bytes) -> list[bytes]:
        written = job.take(value)
        if written is None:
            return []
        found = watch.count()
        if found is not None:
            print(found, flush=True)
            os._exit(0)
        return [encoded for _, encoded in written]

    app: Any = Application(
        broker_address=servers,
        consumer_group=f"peer-{os.getpid()}",
        auto_offset_reset="earliest",
        auto_create_topics=False,
        producer_extra_config={"linger.ms": 20, "compression.type": "lz4"},
        loglevel="ERROR",
    )
    source = app.topic(topic, key_deserializer="bytes", value_deserializer="bytes")
    target = app.topic(output, key_serializer="bytes", value_serializer="bytes")
    app.dataframe(source).apply(fold, expand=True).to_topic(target)
    app.run()


if __name__ == "__main__":
    stream(*sys.argv[1:6])
