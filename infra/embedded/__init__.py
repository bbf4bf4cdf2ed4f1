"""The real Kafka and PostgreSQL that come as packages, and the supervision of processes."""
