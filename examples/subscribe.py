"""Read a topic in Python by confluent-kafka and `kandle.decode`.

How to run it, while `kandle up` runs (the broker's address stands in var/endpoints.json):

    python subscribe.py localhost:9092 market.candles.v1

It prints a JSON object a record, drops repeats, and tells marks from data. A topic's end is not waited for
with --until-end: then it stops where the topic ended when it began.
"""

import argparse
import json
from collections import OrderedDict
from collections.abc import Iterator

import msgspec
from confluent_kafka import Consumer, KafkaError, Message

from kandle import KandleError, TimeMark, ce_id, decode

REMEMBERED = 100_000
"""Ids of records that were seen: a stage that was killed writes again what it wrote since its checkpoint."""


def messages(consumer: Consumer, until_end: bool) -> Iterator[Message]:
    """Messages as they come; with `until_end` until every partition has been read to its end."""
    ended: set[int] = set()
    while not (until_end and ended and len(ended) == len(consumer.assignment())):
        message = consumer.poll(1.0)
        if message is None:
            continue
        error = message.error()
        if error is None:
            yield message
        elif error.code() == KafkaError._PARTITION_EOF:
            ended.add(message.partition())
        else:
            raise SystemExit(f"Kafka says: {error}")


def main() -> None:
    """Read the arguments and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("servers")
    parser.add_argument("topic")
    parser.add_argument("--group", default="example")
    parser.add_argument("--until-end", action="store_true")
    given = parser.parse_args()
    consumer = Consumer(
        {
            "bootstrap.servers": given.servers,
            # The group's committed offsets say where the next start goes on.
            "group.id": given.group,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": given.until_end,
        }
    )
    consumer.subscribe([given.topic])
    seen: OrderedDict[str, None] = OrderedDict()
    try:
        for message in messages(consumer, given.until_end):
            try:
                record = decode(message.value())
            except KandleError as error:
                print(json.dumps({"offset": message.offset(), "error": str(error)}))
                continue
            if isinstance(record, TimeMark):
                continue  # "everything of this source up to this time has been delivered"
            name = ce_id(record)
            if name in seen:
                continue
            seen[name] = None
            if len(seen) > REMEMBERED:
                seen.popitem(last=False)
            fields = msgspec.structs.asdict(record)
            print(json.dumps({"type": type(record).__name__, "id": name, **fields}), flush=True)
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
