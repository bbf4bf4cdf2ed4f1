"""Settings to client configurations: librdkafka's names and aiokafka's."""

import ssl
from typing import Any

from infra.settings import KafkaSettings
from schemas.errors import ConfigurationError


def bootstrap_servers(settings: KafkaSettings) -> str:
    """The configured brokers.

    Raises:
        ConfigurationError: None are configured.
    """
    if not settings.bootstrap_servers:
        raise ConfigurationError(
            "no Kafka is configured: set KAFKA_BOOTSTRAP_SERVERS, or run `kandle up`, which brings its own"
        )
    return settings.bootstrap_servers


def librdkafka_config(settings: KafkaSettings) -> dict[str, Any]:
    """Connection part of a configuration for confluent-kafka.

    Raises:
        ConfigurationError: No brokers are configured.
    """
    config: dict[str, Any] = {
        "bootstrap.servers": bootstrap_servers(settings),
        "security.protocol": settings.security_protocol,
        # A broker that is away is told to callers as an error; a line for each attempt helps nobody.
        "log_level": 2,
        "broker.address.family": "any",
    }
    optional = {
        "sasl.mechanism": settings.sasl_mechanism,
        "sasl.username": settings.sasl_username,
        "sasl.password": settings.sasl_password and settings.sasl_password.get_secret_value(),
        "ssl.ca.location": settings.ssl_ca_file and str(settings.ssl_ca_file),
        "ssl.certificate.location": settings.ssl_certificate_file and str(settings.ssl_certificate_file),
        "ssl.key.location": settings.ssl_key_file and str(settings.ssl_key_file),
        "ssl.key.password": settings.ssl_key_password and settings.ssl_key_password.get_secret_value(),
    }
    return config | {name: value for name, value in optional.items() if value is not None}


def aiokafka_config(settings: KafkaSettings) -> dict[str, Any]:
    """Connection part of the keyword arguments of aiokafka's clients.

    Raises:
        ConfigurationError: No brokers are configured, or a certificate cannot be read.
    """
    config: dict[str, Any] = {
        "bootstrap_servers": bootstrap_servers(settings),
        "security_protocol": settings.security_protocol,
    }
    if settings.sasl_mechanism:
        password = settings.sasl_password
        config |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": password.get_secret_value() if password else None,
        }
    if settings.security_protocol in {"SSL", "SASL_SSL"}:
        config["ssl_context"] = _ssl_context(settings)
    return config


def _ssl_context(settings: KafkaSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca_file)
        if settings.ssl_certificate_file:
            password = settings.ssl_key_password
            context.load_cert_chain(
                settings.ssl_certificate_file,
                settings.ssl_key_file,
                password.get_secret_value() if password else None,
            )
    except OSError as error:
        raise ConfigurationError(f"a certificate of the Kafka settings cannot be used: {error}") from error
    return context
