"""Plumbing that knows no exchange, indicator or table: settings, Kafka, logs, metrics, embedded servers."""
