"""Stock Faust on the log of the processors' measurement: its own transport, one event a record.

State stands in dictionaries, without a table: a table would write each change to a changelog, and cost more.
"""

import os
import sys
from typing import Any

import faust

from tests.bench.plain_candles import PlainCandles, Stopwatch

servers, topic, candles, averages, first, last = sys.argv[1:7]

app = faust.App(
    f"peer-{os.getpid()}",
    broker=f"kafka://{servers}",
    value_serializer="raw",
    key_serializer="raw",
    topic_partitions=4,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    stream_wait_empty=False,
    web_enabled=False,
    producer_linger=0.02,
    producer_compression_type="lz4",
)
outputs = {"candle": app.topic(candles, value_serializer="raw"), "value": app.topic(averages)}
job, watch = PlainCandles(), Stopwatch(int(first), int(last))


@app.agent(  # type: ignore[untyped-decorator]
    app.topic(topic, value_serializer="raw")
)
async def fold(stream: Any) -> None:
    """One trade after the other."""
    async for key, value in stream.items():
        written = job.take(value)
        if written is None:
            continue
        for kind, encoded in written:
            await outputs[kind].send(key=key, value=encoded)
        found = watch.count()
        if found is not None:
            print(found, file=sys.__stdout__, flush=True)  # the other one is a log now
            os._exit(0)


if __name__ == "__main__":
    sys.argv[1:] = ["worker", "-l", "error", "--without-web"]
    app.main()
