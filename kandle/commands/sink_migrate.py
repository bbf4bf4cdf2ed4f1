"""`kandle sink migrate`: bring the database up to date, as its owner."""

import click

from infra.settings import load
from kandle.audit import Change, audit
from sinks.database import database_url
from sinks.migrator import migrate as migrate_database


@click.command()
def migrate() -> None:
    """Apply the migrations that DATABASE_URL's database lacks, and end.

    A sink does so by itself when it starts. Where it logs in as a mere writer (a member of kandle_writer),
    the owner of the database does it before: after each upgrade, while no sink runs.

    \b
    Example:
      DATABASE_URL=postgresql://owner@host/db kandle sink migrate
    """  # noqa: D301 - click asks for this control character
    settings = load()
    applied = migrate_database(
        database_url(settings.database), connect_timeout_s=settings.database.connect_timeout_s
    )
    if applied and settings.kafka.bootstrap_servers:
        audit(settings.kafka, Change("sink migrate", "database", None, applied))
    click.echo(f"applied: {', '.join(applied)}" if applied else "the database is up to date")
