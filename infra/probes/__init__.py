"""Probes of this process: whether it lives, has started, and does its work. See docs/health.md."""

from infra.probes.kafka_watch import KafkaWatch
from infra.probes.readiness import Readiness
from infra.probes.server import Answer, Probes, serve

READINESS = Readiness()
"""Of this process: its stages say here what they can do."""

__all__ = ["READINESS", "Answer", "KafkaWatch", "Probes", "Readiness", "serve"]
