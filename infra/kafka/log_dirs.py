"""How much of the brokers' disks each topic takes.

librdkafka has no such question and aiokafka none ready; this is the request as the protocol has it,
DescribeLogDirs (KIP-113) version 1, sent by aiokafka's client:
https://kafka.apache.org/protocol#The_Messages_DescribeLogDirs
"""

import asyncio
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Int64, Schema, String

from infra.kafka.connection import aiokafka_config
from infra.settings import KafkaSettings
from schemas.errors import UnavailableError

ANSWER_S = 5.0


class _Described(Response):  # type: ignore[misc]
    API_KEY = 35
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "dirs",
            Array(
                ("error_code", Int16),
                ("path", String("utf-8")),
                (
                    "topics",
                    Array(
                        ("name", String("utf-8")),
                        (
                            "partitions",
                            Array(
                                ("number", Int32),
                                ("size", Int64),
                                ("offset_lag", Int64),
                                ("is_future", Boolean),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    )


class Describe(RequestStruct):  # type: ignore[misc]
    """The request on the wire: topics, or null for all."""

    API_KEY = 35
    API_VERSION = 1
    RESPONSE_TYPE = _Described
    SCHEMA = Schema(("topics", Array(("name", String("utf-8")), ("partitions", Array(Int32)))))


class DescribeAll(Request[Describe]):  # type: ignore[misc]
    """Asks for all topics."""

    API_KEY = 35

    def build(self, request_struct_class: type[Describe]) -> Describe:
        """The request in the one version that is known here."""
        return request_struct_class(None)


async def topic_bytes(settings: KafkaSettings) -> dict[str, int]:
    """Bytes on the disks of all brokers by topic, every replica.

    Raises:
        UnavailableError: A broker does not answer, or cannot read its disks.
        ConfigurationError: No brokers are configured.
    """
    client = AIOKafkaClient(**aiokafka_config(settings), client_id="kandle-log-dirs")
    try:
        async with asyncio.timeout(ANSWER_S):
            await client.bootstrap()
            answers = await asyncio.gather(
                *(client.send(broker.nodeId, DescribeAll()) for broker in client.cluster.brokers())
            )
    except (KafkaError, TimeoutError) as error:
        raise UnavailableError(f"Kafka does not tell the sizes of topics: {error!r}") from error
    finally:
        await client.close()
    return _summed(answers)


def _summed(answers: list[Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for answer in answers:
        for error_code, path, topics in answer.dirs:
            if error_code:
                raise UnavailableError(f"a broker cannot read its directory {path}: error {error_code}")
            for name, partitions in topics:
                found[name] = found.get(name, 0) + sum(size for _, size, _, _ in partitions)
    return found
