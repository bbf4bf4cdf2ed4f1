"""`kandle backup` and `kandle restore`: the database to a file and back."""

import json
import sys
from pathlib import Path

import click

from infra.settings import Settings, load
from kandle.audit import Change, audit
from kandle.dumps import backup as write
from kandle.dumps import restore as read
from kandle.patience import patience
from kandle.servers import reach_servers
from schemas.errors import ConfigurationError
from sinks.database import database_url


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var.")
def backup(file: Path, as_json: bool, data_dir: str | None) -> None:
    """Write the whole database to a FILE, in pg_dump's custom format.

    Sinks may run meanwhile: rows and offsets in the file are of one moment, so the sinks of a restored
    database store what has come since, each record once. The file is there once it is whole, and replaces no
    other.

    Example: kandle backup kandle-2026-03-01.dump
    """
    with reach_servers(_settings(data_dir)) as reached:
        size = write(database_url(reached.database), file, _show)
        audit(reached.kafka, Change("backup", str(file), after={"bytes": size}))
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
    click.echo(json.dumps({"file": str(file), "bytes": size}) if as_json else f"{file}: {size / 1e6:,.1f} MB")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--replace", is_flag=True, help="The database may hold something: it is kept under another name."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var.")
def restore(file: Path, replace: bool, as_json: bool, data_dir: str | None) -> None:
    """Make the database what the FILE of a backup holds.

    It has to be empty, and no sink may run. With --replace the backup is restored into a new database, which
    takes the name of the old one once it is whole; the old one is kept, and its new name is told.

    \b
    Examples:
      kandle restore kandle-2026-03-01.dump
      kandle restore kandle-2026-03-01.dump --replace
    """  # noqa: D301 - click asks for this control character
    if not file.is_file():  # before any server is made for it
        raise ConfigurationError(f"there is no file {file}")
    with reach_servers(_settings(data_dir), may_make=True) as reached:
        with patience(f"restoring {file}"):
            kept = read(database_url(reached.database), file, replace=replace)
        change = Change("restore", "database", before=kept and {"kept_as": kept}, after={"file": str(file)})
        audit(reached.kafka, change)
    if as_json:
        click.echo(json.dumps({"file": str(file), "kept_as": kept}))
        return
    click.echo(f"the database is that of {file}; sinks go on from the offsets in it")
    if kept:
        click.echo(f'what it was is kept as the database "{kept}": drop it once you do not need it')


def _settings(data_dir: str | None) -> Settings:
    return load(**({"data_dir": data_dir} if data_dir else {}))


def _show(size: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{size / 1e6:,.1f} MB", nl=False, err=True)
