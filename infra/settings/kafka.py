"""Where Kafka is."""

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveInt, SecretStr

from infra.settings.section import Section


class KafkaSettings(Section):
    """Where Kafka is and how topics are laid out. Without bootstrap servers the embedded broker is used."""

    bootstrap_servers: str | None = Field(None, description="host:port, comma separated")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how connections are encrypted, and whether a login is needed"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="how the login is done, with the protocols that begin with SASL"
    )
    sasl_username: str | None = Field(None, description="name of the login")
    sasl_password: SecretStr | None = Field(None, description="password of the login")
    ssl_ca_file: Path | None = Field(
        None, description="authorities that the brokers' certificates are judged by"
    )
    ssl_certificate_file: Path | None = Field(None, description="certificate of ours, where brokers want one")
    ssl_key_file: Path | None = Field(None, description="private key of our certificate")
    ssl_key_password: SecretStr | None = Field(None, description="password of the private key")
    partitions: PositiveInt = Field(4, description="partitions of every keyed topic; fixed once created")
    replication_factor: PositiveInt = Field(
        1, description="copies of the topics that are made; 3 in production"
    )
    min_insync_replicas: PositiveInt = Field(1, description="copies that must have a record before it counts")
    session_timeout_ms: PositiveInt = Field(60_000, description="a member that is silent so long is replaced")
    heartbeat_interval_ms: PositiveInt = Field(3_000, description="how often a member shows that it lives")
