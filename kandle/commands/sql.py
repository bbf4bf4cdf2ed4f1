"""`kandle sql`: a query to the database, answered as CSV."""

import sys

import click
import psycopg

from infra.settings import load
from kandle.servers import reach_database
from schemas.errors import ConfigurationError, UnavailableError
from schemas.namespace import LIVE, current
from sinks.schema import SET_SEARCH_PATH, search_path


@click.command()
@click.argument("query")
@click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var.")
def sql(query: str, data_dir: str | None) -> None:
    """Answer a QUERY as CSV with a header; it may read, not write.

    The embedded database is started for the time of the query when it is not running. With KANDLE_NAMESPACE
    the names of tables and views are those of the namespace.

    Example: kandle sql "SELECT * FROM candles WHERE interval = '1m' ORDER BY time"
    """
    if not query.strip(" ;\n\t"):
        raise ConfigurationError("there is no query; for example: SELECT * FROM candles LIMIT 5")
    settings = load(**({"data_dir": data_dir} if data_dir else {}))
    with reach_database(settings) as reached:
        url = reached.database.url
        if url is None:
            raise ConfigurationError("no database is configured")
        try:
            connection = psycopg.connect(url.get_secret_value(), connect_timeout=5)
        except psycopg.ProgrammingError as error:
            raise ConfigurationError(f"DATABASE_URL is no PostgreSQL URL: {_first_line(error)}") from error
        except psycopg.Error as error:
            raise UnavailableError(f"the database does not answer: {_first_line(error)}") from error
        try:
            with connection:
                connection.read_only = True
                if current() != LIVE:
                    connection.execute(SET_SEARCH_PATH, (search_path(current()),))
                connection.execute("SET TIME ZONE 'UTC'")
                statement = f"COPY ({query.rstrip().rstrip(';')}) TO STDOUT (FORMAT csv, HEADER)"
                with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
                    for block in copy:
                        sys.stdout.buffer.write(block)
        except psycopg.Error as error:
            raise ConfigurationError(f"the query failed: {_first_line(error)}") from error
    sys.stdout.flush()


def _first_line(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error)).strip().splitlines()[0]
