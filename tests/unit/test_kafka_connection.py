"""Connection settings in the words of both client libraries."""

import ssl
from pathlib import Path

import pytest

from infra.kafka.connection import aiokafka_config, librdkafka_config
from infra.settings import KafkaSettings
from schemas.errors import ConfigurationError

SASL = KafkaSettings(
    bootstrap_servers="a:1,b:2",
    security_protocol="SASL_SSL",
    sasl_mechanism="SCRAM-SHA-512",
    sasl_username="kandle",
    sasl_password="secret",
)


def test_sasl_and_tls_reach_librdkafka() -> None:
    config = librdkafka_config(SASL)
    assert config["bootstrap.servers"] == "a:1,b:2"
    assert config["security.protocol"] == "SASL_SSL"
    assert config["sasl.mechanism"] == "SCRAM-SHA-512"
    assert (config["sasl.username"], config["sasl.password"]) == ("kandle", "secret")


def test_sasl_and_tls_reach_aiokafka() -> None:
    config = aiokafka_config(SASL)
    assert config["security_protocol"] == "SASL_SSL"
    assert config["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (config["sasl_plain_username"], config["sasl_plain_password"]) == ("kandle", "secret")
    assert isinstance(config["ssl_context"], ssl.SSLContext)


def test_a_plain_connection_has_nothing_of_it() -> None:
    settings = KafkaSettings(bootstrap_servers="a:1")
    assert not any(name.startswith(("sasl", "ssl")) for name in librdkafka_config(settings))
    assert set(aiokafka_config(settings)) == {"bootstrap_servers", "security_protocol"}


def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    settings = KafkaSettings(
        bootstrap_servers="a:1", security_protocol="SSL", ssl_ca_file=tmp_path / "absent.pem"
    )
    with pytest.raises(ConfigurationError, match="certificate"):
        aiokafka_config(settings)


def test_no_brokers_says_which_variable_to_set() -> None:
    with pytest.raises(ConfigurationError, match="KAFKA_BOOTSTRAP_SERVERS"):
        librdkafka_config(KafkaSettings())
