"""Where Kafka is."""

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveInt, SecretStr

from infra.settings.section import Section


class KafkaSettings(Section):
    """Where Kafka is and how topics are laid out. Without bootstrap servers the embedded broker is used."""

    bootstrap_servers: str | None = None
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_file: Path | None = None
    ssl_certificate_file: Path | None = None
    ssl_key_file: Path | None = None
    ssl_key_password: SecretStr | None = None
    partitions: PositiveInt = Field(4, description="partitions of every keyed topic; fixed once created")
    replication_factor: PositiveInt = 1
    min_insync_replicas: PositiveInt = 1
    session_timeout_ms: PositiveInt = Field(60_000, description="a member that is silent so long is replaced")
    heartbeat_interval_ms: PositiveInt = 3_000
