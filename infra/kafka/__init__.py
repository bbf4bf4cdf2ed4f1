"""Clients of Kafka: connection settings, topics, publishing, reading record batches, dead letters."""
