"""Metrics of Kafka itself, as `kandle serve` sees it every 15 s."""

from infra.metrics.declaration import Group

GROUP = Group("Kafka", "serve")

BROKERS = GROUP.gauge("kandle_kafka_brokers", "brokers", "Brokers that are up.")
UNDER_REPLICATED = GROUP.gauge(
    "kandle_kafka_under_replicated_partitions",
    "partitions",
    "Partitions of our topics that lack a replica in sync.",
)
REPLICATION = GROUP.gauge(
    "kandle_kafka_topic_replication", "replicas", "Replicas of the partition that has fewest.", ["topic"]
)
TOPIC_RECORDS = GROUP.gauge(
    "kandle_kafka_topic_records",
    "records",
    "End offsets less begin offsets; more than there are where a topic is compacted.",
    ["topic"],
)
TOPIC_BYTES = GROUP.gauge(
    "kandle_kafka_topic_bytes", "bytes", "On the brokers' disks, all replicas.", ["topic"]
)
GROUP_LAG = GROUP.gauge(
    "kandle_kafka_group_lag_records",
    "records",
    "End offsets less the offsets that a consumer group has committed.",
    ["group", "topic"],
)
