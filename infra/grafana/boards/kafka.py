"""The log: brokers, replicas, topics, groups."""

from typing import Final

from infra.grafana.dashboard import Dashboard, Row
from infra.grafana.panel import Panel
from infra.grafana.queries import Prom, added, rate

_ASKED: Final = "kandle serve asks Kafka for it; it does not run"

KAFKA: Final = Dashboard(
    uid="kandle-kafka",
    title="Kafka",
    text="Brokers, replicas, sizes of topics, how far groups have read; as `kandle serve` sees them every "
    "15 s.",
    refresh="30s",
    rows=[
        Row(
            "Brokers",
            [
                Panel(
                    title="Brokers",
                    text="Brokers that are up.",
                    unit="none",
                    kind="stat",
                    width=6,
                    height=5,
                    limits=[(0, "red"), (1, "green")],
                    queries=[Prom("max(kandle_kafka_brokers)", "brokers", now=True)],
                    runbooks=["KandleUnderReplicated"],
                    empty=_ASKED,
                ),
                Panel(
                    title="Partitions that lack a replica",
                    text="Partitions of our topics with fewer replicas in sync than they should have.",
                    unit="none",
                    kind="stat",
                    width=6,
                    height=5,
                    limits=[(1, "orange")],
                    queries=[Prom("max(kandle_kafka_under_replicated_partitions)", "partitions", now=True)],
                    runbooks=["KandleUnderReplicated"],
                    empty=_ASKED,
                ),
                Panel(
                    title="Fewest replicas of a topic",
                    text="With one, a broker that is lost takes records along: right on one machine, wrong "
                    "in production.",
                    unit="none",
                    kind="stat",
                    width=6,
                    height=5,
                    limits=[(1, "orange"), (2, "green")],
                    queries=[Prom("min(kandle_kafka_topic_replication)", "replicas", now=True)],
                    runbooks=["KandleReplicationFactorOne"],
                    empty=_ASKED,
                ),
                Panel(
                    title="On disk",
                    text="All our topics, all replicas.",
                    unit="bytes",
                    kind="stat",
                    width=6,
                    height=5,
                    queries=[
                        Prom("sum(max by (topic) (kandle_kafka_topic_bytes))", "bytes", now=True),
                    ],
                    runbooks=["KandleDiskLow"],
                    empty=_ASKED,
                ),
            ],
        ),
        Row(
            "Topics",
            [
                Panel(
                    title="Records",
                    text="End offsets less begin offsets; more than there are where a topic is compacted.",
                    unit="short",
                    queries=[Prom("max by (topic) (kandle_kafka_topic_records)", "{{topic}}")],
                    empty=_ASKED,
                ),
                Panel(
                    title="Size",
                    text="Bytes on the brokers' disks, all replicas.",
                    unit="bytes",
                    queries=[Prom("max by (topic) (kandle_kafka_topic_bytes)", "{{topic}}")],
                    runbooks=["KandleDiskLow"],
                    empty=_ASKED,
                ),
                Panel(
                    title="Published",
                    text="Records that Kafka has acknowledged to us a second.",
                    unit="cps",
                    width=8,
                    queries=[Prom(rate("kandle_records_published_total", "topic"), "{{topic}}")],
                    empty="Nothing is published",
                ),
                Panel(
                    title="Bytes published",
                    text="Keys and values, before compression.",
                    unit="Bps",
                    width=8,
                    queries=[Prom(rate("kandle_bytes_published_total", "topic"), "{{topic}}")],
                    empty="Nothing is published",
                ),
                Panel(
                    title="Refused",
                    text="Records that Kafka refused for good, within a step.",
                    unit="short",
                    width=8,
                    limits=[(1, "red")],
                    queries=[Prom(added("kandle_publish_errors_total", "topic"), "{{topic}}")],
                    runbooks=["KandlePublishErrors"],
                ),
            ],
        ),
        Row(
            "Groups",
            [
                Panel(
                    title="Behind, by group",
                    text="End offsets less the offsets that a group has committed in Kafka. Sinks of the "
                    "database keep their offsets in its tables: see the dashboard Sinks.",
                    unit="short",
                    width=24,
                    queries=[
                        Prom(
                            "max by (group, topic) (kandle_kafka_group_lag_records)",
                            "{{group}} {{topic}}",
                        )
                    ],
                    runbooks=["KandleLag"],
                    empty=_ASKED,
                ),
            ],
        ),
    ],
)
