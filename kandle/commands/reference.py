"""`kandle reference`: pages made from the code."""

from pathlib import Path

import click
import psycopg

from infra.settings import load
from kandle.reference.database import database_page
from kandle.reference.pages import DATABASE, pages
from kandle.servers import reach_database
from schemas.errors import ConfigurationError

NAMES = ("settings", "commands", "topics", "events", "errors", "api", "asyncapi", DATABASE)


@click.command()
@click.argument("page", type=click.Choice(NAMES), required=False, metavar="[PAGE]")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Write all but database into this folder."
)
@click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var.")
def reference(page: str | None, out: Path | None, data_dir: str | None) -> None:
    """Print a PAGE of the reference as Markdown, or asyncapi as YAML; or write all of them into a folder.

    Pages made from the code: settings, commands, topics (with their records), events (their types), errors,
    api (REST) and asyncapi (an AsyncAPI 3 document of the topics). The page database is made from the
    comments of a database.

    \b
    Examples:
      kandle reference topics
      kandle reference asyncapi > asyncapi.yaml
      kandle reference --out docs/reference
      kandle reference database > docs/reference/database.md
    """  # noqa: D301 - click asks for this control character
    if (page is None) == (out is None):
        raise click.UsageError("name a PAGE, or a folder by --out")
    if page == DATABASE:
        click.echo(_database(data_dir), nl=False)
        return
    made = pages(_root())
    if page is not None:
        click.echo(made[page][1](), nl=False)
        return
    assert out is not None
    out.mkdir(parents=True, exist_ok=True)
    for file, make in made.values():
        (out / file).write_text(make(), encoding="utf-8")
    click.echo(f"wrote {', '.join(file for file, _ in made.values())} into {out}", err=True)


def _root() -> click.Group:
    # The root knows its commands by name only, so this one may know the root.
    from kandle.__main__ import cli

    return cli


def _database(data_dir: str | None) -> str:
    settings = load(**({"data_dir": data_dir} if data_dir else {}))
    with reach_database(settings) as reached:
        url = reached.database.url
        if url is None:
            raise ConfigurationError("no database is configured")
        with psycopg.connect(url.get_secret_value(), connect_timeout=5) as db:
            return database_page(db)
