"""Which shards this process runs: partitions of the control topic, as a consumer group hands them out.

Another producer of the same market is a standby: it gets a shard when the process that runs it leaves, or has
been silent for `takeover_s`. A process that was held up for so long (suspended, swapped out) finds that out
before it goes on: it has lost its shards, and says so.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from infra.kafka.connection import librdkafka_config
from infra.logging import get_logger
from infra.settings import KafkaSettings
from schemas.errors import UnavailableError
from schemas.topics import CONTROL

POLL_S: Final = 0.1
POLL_RECORDS: Final = 500
HEARTBEAT_MS: Final = 500
"""By a heartbeat a member learns that the shards are to be parted anew: so long a hand-over may take."""

ASK_TIMEOUT_S: Final = 3.0

logger = get_logger(__name__)


class ShardLease:
    """Membership in the group of a market's producers, and the reading of the control topic.

    Args:
        settings: Where Kafka is.
        group: Name of the group.
        shards: Shards of the market: the first so many partitions of the control topic.
        instance_id: Stable name of this process in the group, None for none.
        takeover_s: A member silent so long has lost its shards, s.
        on_request: Takes the value of every record of the control topic in the shards held.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        group: str,
        shards: int,
        instance_id: str | None,
        takeover_s: float,
        on_request: Callable[[bytes | None], None],
    ) -> None:
        self._shards = shards
        self._takeover_s = takeover_s
        self._on_request = on_request
        self._group = group
        timeout_ms = round(takeover_s * 1_000)
        config = {
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": timeout_ms,
            "heartbeat.interval.ms": HEARTBEAT_MS,
            "max.poll.interval.ms": timeout_ms,
            "fetch.wait.max.ms": 100,
        }
        if instance_id is not None:
            config["group.instance.id"] = instance_id
        self._consumer = Consumer(librdkafka_config(settings) | config)
        self._admin = AdminClient(librdkafka_config(settings))
        self._unread: set[int] = set()
        self._assigned: set[int] = set()
        self._polled_s = time.monotonic()

    @property
    def held(self) -> frozenset[int]:
        """The shards that this process runs: assigned, and read to the end of what was asked for."""
        return frozenset(self._assigned - self._unread)

    @property
    def is_overdue(self) -> bool:
        """Whether the group may have given the shards to others: this process has not asked for too long."""
        return time.monotonic() - self._polled_s > self._takeover_s

    @property
    def objection(self) -> str | None:
        """Why it is not known yet what is held; None: it is."""
        if not self._consumer.memberid():
            return f"the group {self._group} is being joined"
        return "the control topic is being read" if self._unread else None

    def start(self) -> None:
        """Join the group."""
        self._consumer.subscribe(
            [CONTROL.name], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke
        )

    def poll(self) -> None:
        """Take what has come; call a few times a second. Does not block.

        Raises:
            UnavailableError: Another process has the same `instance_id`, or the group cannot be joined.
        """
        if self.is_overdue:
            logger.warning("held up for too long: the shards are lost", group=self._group)
            self._assigned.clear()
            self._unread.clear()
            # The group may not have noticed: joining anew is the way to be given shards again, for certain.
            self._consumer.unsubscribe()
            self.start()
        messages = self._consumer.consume(POLL_RECORDS, timeout=0)
        self._polled_s = time.monotonic()
        for message in messages:
            error = message.error()
            partition = message.partition()
            if error is None:
                self._on_request(message.value())
            elif error.code() == KafkaError._PARTITION_EOF:
                if partition is not None:
                    self._unread.discard(partition)
            elif error.fatal():
                raise UnavailableError(f"the group {self._group} cannot be joined: {error.str()}")
            elif not error.retriable():
                logger.info("the control topic cannot be read at the moment", why=error.str())

    async def has_standby(self) -> bool:
        """Whether another process of the group is there to go on with the shards."""

        def members() -> int:
            asked = self._admin.describe_consumer_groups([self._group], request_timeout=ASK_TIMEOUT_S)
            return len(asked[self._group].result(ASK_TIMEOUT_S).members)

        try:
            return await asyncio.to_thread(members) > 1
        except (KafkaException, TimeoutError):
            return False

    async def close(self) -> None:
        """Leave the group, so that another process takes over at once."""
        self._assigned.clear()
        await asyncio.to_thread(self._consumer.close)

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        fresh = [TopicPartition(part.topic, part.partition, OFFSET_BEGINNING) for part in partitions]
        try:
            consumer.incremental_assign(fresh)
        except KafkaException as error:
            logger.warning("an assignment was refused", why=str(error))
            return
        numbers = {part.partition for part in partitions if part.partition < self._shards}
        self._assigned |= numbers
        self._unread |= numbers
        if numbers:
            logger.info("shards were assigned", shards=sorted(numbers))

    def _revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = {part.partition for part in partitions}
        self._assigned -= numbers
        self._unread -= numbers
        consumer.incremental_unassign(partitions)
        if any(number < self._shards for number in numbers):
            logger.info("shards were given up", shards=sorted(numbers))
