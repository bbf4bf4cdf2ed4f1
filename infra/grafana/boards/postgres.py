"""The database server, by what PostgreSQL says of itself to any login."""

from typing import Final

from infra.grafana.dashboard import Dashboard, Row
from infra.grafana.panel import Panel
from infra.grafana.queries import Sql

_HERE: Final = "FROM pg_stat_database WHERE datname = current_database()"
_READ_FROM_MEMORY: Final = """\
SELECT blks_hit::float8 / nullif(blks_hit + blks_read, 0) AS "Read from memory"
FROM pg_stat_database WHERE datname = current_database()"""
_PROGRAMS: Final = """\
SELECT coalesce(nullif(application_name, ''), 'hidden') AS program, coalesce(state, 'hidden') AS state,
       count(*) AS connections, extract(epoch FROM now() - min(xact_start))::float8 AS "oldest transaction"
FROM pg_stat_activity WHERE datname = current_database()
GROUP BY 1, 2 ORDER BY 3 DESC"""
_LOCKS: Final = """\
SELECT mode, count(*) FILTER (WHERE granted) AS held, count(*) FILTER (WHERE NOT granted) AS awaited
FROM pg_locks WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY 1 ORDER BY 3 DESC, 2 DESC"""
_SIZES: Final = """\
SELECT schemaname || '.' || relname AS "table", pg_total_relation_size(relid) AS size,
       n_live_tup AS "live rows", n_dead_tup AS "dead rows"
FROM pg_stat_user_tables ORDER BY 2 DESC LIMIT 30"""
_UPKEEP: Final = """\
SELECT relname AS "table", n_tup_ins AS inserted, n_tup_upd AS updated, n_tup_del AS deleted,
       greatest(last_vacuum, last_autovacuum) AS cleaned, greatest(last_analyze, last_autoanalyze) AS counted
FROM pg_stat_user_tables ORDER BY n_tup_ins + n_tup_upd + n_tup_del DESC LIMIT 30"""


def _figure(title: str, text: str, column: str, unit: str, **more: float) -> Panel:
    return Panel(
        title=title,
        text=text,
        unit=unit,
        kind="stat",
        width=4,
        height=4,
        queries=[Sql(f'SELECT {column} AS "{title}" {_HERE}')],
        limits=[(value, color) for color, value in more.items()],
        empty="The database does not answer",
    )


POSTGRES: Final = Dashboard(
    uid="kandle-postgres",
    title="PostgreSQL",
    text="Connections, sizes, cache, upkeep of the database, as it is now: the server keeps no history of "
    "it. What other logins do is shown to members of pg_read_all_stats alone.",
    refresh="30s",
    rows=[
        Row(
            "The database",
            [
                _figure("Size", "On disk, with indexes.", "pg_database_size(datid)", "bytes"),
                _figure(
                    "Connections",
                    "Server processes that are connected to this database.",
                    "numbackends",
                    "none",
                    orange=80,
                ),
                Panel(
                    title="Read from memory",
                    text="Share of the blocks that were found in the server's cache, since its statistics "
                    "began. Below 95 % the newest rows may not fit into shared_buffers.",
                    unit="percentunit",
                    kind="stat",
                    width=4,
                    height=4,
                    decimals=2,
                    limits=[(0, "orange"), (0.95, "green")],
                    queries=[Sql(_READ_FROM_MEMORY)],
                    empty="The database does not answer",
                ),
                _figure("Commits", "Since its statistics began.", "xact_commit", "short"),
                Panel(
                    title="Rolled back",
                    text="Transactions that ended without a commit, since its statistics began.",
                    unit="short",
                    kind="stat",
                    width=4,
                    height=4,
                    queries=[Sql(f'SELECT xact_rollback AS "Rolled back" {_HERE}')],
                    runbooks=["KandleSinkBlocked"],
                    empty="The database does not answer",
                ),
                _figure("Deadlocks", "Since its statistics began.", "deadlocks", "none", orange=1),
            ],
        ),
        Row(
            "Who is connected",
            [
                Panel(
                    title="Connections",
                    text="By program and state. `hidden`: of other logins, which only members of "
                    "pg_read_all_stats see.",
                    unit="none",
                    kind="table",
                    minimum=None,
                    queries=[Sql(_PROGRAMS)],
                    columns={"oldest transaction": "s"},
                    runbooks=["KandleSinkBlocked"],
                ),
                Panel(
                    title="Locks",
                    text="Held and awaited locks of this database, by mode. A lock that is awaited for long "
                    "holds a sink up.",
                    unit="none",
                    kind="table",
                    minimum=None,
                    queries=[Sql(_LOCKS)],
                    runbooks=["KandleSinkBlocked"],
                ),
            ],
        ),
        Row(
            "Tables",
            [
                Panel(
                    title="Largest tables",
                    text="Each partition or chunk by itself: size with indexes, live and dead rows as the "
                    "server estimates them.",
                    unit="none",
                    kind="table",
                    height=10,
                    minimum=None,
                    columns={"size": "bytes"},
                    queries=[Sql(_SIZES)],
                    runbooks=["KandleDiskLow"],
                ),
                Panel(
                    title="Writing and upkeep",
                    text="Rows that were inserted, updated and deleted since the statistics began, and when "
                    "the server has cleaned and counted last.",
                    unit="none",
                    kind="table",
                    height=10,
                    minimum=None,
                    queries=[Sql(_UPKEEP)],
                ),
            ],
        ),
    ],
)
