"""database.md: the views and their columns, from the comments of a migrated database."""

from itertools import groupby

import psycopg

from kandle.reference.markdown import code, page, table

COLUMNS = """
SELECT c.relname, obj_description(c.oid, 'pg_class'), a.attname, format_type(a.atttypid, a.atttypmod),
       col_description(c.oid, a.attnum)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = 'public' AND c.relkind = 'v'
ORDER BY c.relname, a.attnum
"""


def database_page(db: psycopg.Connection) -> str:
    """The views that readers use.

    Args:
        db: A database whose migrations have run, without extensions that bring views of their own.
    """
    found = db.execute(COLUMNS).fetchall()
    return page(
        "Views of the database",
        "Readers use the views of the schema `public`; their columns stay, in this order. What a repeat "
        "is, roles, retention, and the tables beneath: [database](../database.md). `\\d+ candles` in "
        "psql prints the same.",
        "This page is made by `kandle reference database > docs/reference/database.md`, which reads the "
        "comments of a database that the sink has migrated; edit `sinks/migrations/`, not the page.",
        *(
            f"## {name}\n\n{doc or ''}\n\n"
            + table(
                ("column", "type", "meaning"),
                [(code(column), kind, told or "") for _, _, column, kind, told in rows],
            )
            for (name, doc), rows in groupby(found, key=lambda row: (row[0], row[1]))
        ),
    )
