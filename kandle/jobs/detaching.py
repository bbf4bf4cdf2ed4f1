"""`--job`: a command leaves the terminal."""

from pathlib import Path
from typing import Any, Final

import click
import msgspec

from kandle.jobs.job import Job
from kandle.jobs.store import JobStore
from kandle.jobs.worker import start_waiting

OPTION: Final = click.Option(
    ["--job", "as_job"], is_flag=True, help="Run on without this terminal; see kandle jobs."
)
_FLAG: Final = "--job"


class DetachableCommand(click.Command):
    """A command that remembers how it was called, for `detach`. It has `OPTION` among its options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the arguments, then read them."""
        ctx.meta[__name__] = list(args)
        return super().parse_args(ctx, args)


def detach(
    context: click.Context, data_dir: Path, kind: str, provider: str, *, resumable: bool = False
) -> Job:
    """Queue the command that is being run as a job, say so, and return; nothing else is to be done then.

    Args:
        context: Of a `DetachableCommand`.
        data_dir: Whose job it is.
        kind: What it does, in one word.
        provider: Whom or what it asks.
        resumable: Whether it may be begun anew after its process was killed.
    """
    given: list[str] = [text for text in context.meta[__name__] if text != _FLAG]
    if "json_wanted" in context.params and not context.params["json_wanted"]:
        given.append("--json")  # its answer is read by programs, or by `kandle jobs show`
    job = submit(data_dir, kind, provider, [*_path(context), *given], resumable=resumable)
    told: dict[str, Any] = context.params
    if told.get("json_wanted"):
        click.echo(msgspec.json.encode(job))
    else:
        click.echo(f"job {job.id} is queued; kandle jobs show {job.id} tells how far it is")
    return job


def submit(data_dir: Path, kind: str, provider: str, request: list[str], *, resumable: bool = False) -> Job:
    """Queue a command as a job, and have it begun if there is a place.

    Args:
        data_dir: Whose job it is.
        kind: What it does, in one word.
        provider: Whom or what it asks.
        request: Arguments of `kandle`.
        resumable: Whether it may be begun anew after its process was killed.
    """
    job = JobStore(data_dir).add(kind, provider, request, Path.cwd(), resumable=resumable)
    start_waiting(data_dir)
    return job


def _path(context: click.Context) -> list[str]:
    names: list[str] = []
    at: click.Context | None = context
    while at is not None and at.parent is not None:
        names.insert(0, str(at.info_name))
        at = at.parent
    return names or [str(context.info_name)]
