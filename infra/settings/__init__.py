"""All settings: a module for each group, `loading` for where they come from."""

from infra.settings.archive import ArchiveSettings
from infra.settings.cache import CacheSettings
from infra.settings.health import HealthSettings
from infra.settings.kafka import KafkaSettings
from infra.settings.loading import Settings, environment_names, load
from infra.settings.notifications import (
    ChannelLimits,
    ChannelSettings,
    NotificationRule,
    NotificationSettings,
    QuietHours,
)
from infra.settings.observation import LoggingSettings, MetricsSettings
from infra.settings.processors import ProcessorSettings
from infra.settings.producers import ProducerSettings, SimulatorSettings, VenueSettings
from infra.settings.section import NameList, Section
from infra.settings.serve import ServeSettings
from infra.settings.sinks import DatabaseSettings, SinkSettings
from infra.settings.tracing import TracingSettings

__all__ = [
    "ArchiveSettings",
    "CacheSettings",
    "ChannelLimits",
    "ChannelSettings",
    "DatabaseSettings",
    "HealthSettings",
    "KafkaSettings",
    "LoggingSettings",
    "MetricsSettings",
    "NameList",
    "NotificationRule",
    "NotificationSettings",
    "ProcessorSettings",
    "ProducerSettings",
    "QuietHours",
    "Section",
    "ServeSettings",
    "Settings",
    "SimulatorSettings",
    "SinkSettings",
    "TracingSettings",
    "VenueSettings",
    "environment_names",
    "load",
]
