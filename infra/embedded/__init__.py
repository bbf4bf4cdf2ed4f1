"""The real Kafka and PostgreSQL that come as packages, and the supervisor that keeps processes alive.

    with cluster.broker(Path("var")) as bootstrap_servers: ...     one server for as long as it is needed
    async with Supervisor(...) as supervisor: ...                   many processes, restarted when they die

All files lie in one data directory: `kafka/`, `postgres/`, `log/`, `endpoints.json` and the lock that lets
one `kandle up` at a time use it.
"""
