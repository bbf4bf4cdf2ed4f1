"""The sink that stores market data in PostgreSQL, as TimescaleDB hypertables where that is installed."""
