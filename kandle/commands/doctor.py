"""`kandle doctor`: is everything here that a run needs, and if not, what to do."""

import contextlib
import dataclasses
import importlib.util
import json
import sys

import click

from infra.embedded.progress import TerminalProgress
from infra.settings import Settings, load
from kandle.checks import KERNELS, all_checks
from schemas.errors import KandleError

MARKS = {"ok": "ok  ", "warning": "note", "failed": "FAIL"}


@click.command()
@click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a check.")
@click.option(
    "--prepare",
    is_flag=True,
    help="First fetch Kafka's jars, if the extra embedded is there, and compile the kernels.",
)
def doctor(data_dir: str | None, as_json: bool, prepare: bool) -> None:
    """Check the installation: what is wrong, and how to mend it. Exits with 1 if something is.

    Example: kandle doctor
    """
    if prepare:
        _prepare()
    in_force: Settings | None = None
    with contextlib.suppress(KandleError):
        # A check of its own reports settings that cannot be read.
        in_force = load(**({"data_dir": data_dir} if data_dir else {}))
    failed = False
    for finding in all_checks(in_force):
        failed = failed or finding.state == "failed"
        if as_json:
            click.echo(json.dumps(dataclasses.asdict(finding)))
            continue
        click.echo(f"{MARKS[finding.state]}  {finding.subject:<10} {finding.found}")
        if finding.remedy:
            click.echo(f"      {'':<10} -> {finding.remedy}")
    if failed:
        sys.exit(1)


def _prepare() -> None:
    if importlib.util.find_spec("jgo") is not None:
        from infra.embedded.jars import JarCache

        JarCache.of_user().ensure(TerminalProgress())
    click.echo("loading the kernels; the first time they are compiled, for some seconds ...", err=True)
    for name in KERNELS:
        importlib.import_module(name)
