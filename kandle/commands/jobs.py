"""`kandle jobs`: what runs without a terminal, and what came of it."""

import time
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from infra.settings import load
from kandle.jobs import worker
from kandle.jobs.detaching import submit
from kandle.jobs.job import Job
from kandle.jobs.store import JobStore
from kandle.venue_calls import moment, table

DATA: Final = click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory.")
JSON: Final = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
LONGEST: Final = 60
"""Letters of a request or an error in a row of the list."""


@click.group(invoke_without_command=True)
@DATA
@JSON
@click.pass_context
def jobs(context: click.Context, data_dir: str | None, as_json: bool) -> None:
    """Look after downloads, backtests and other commands that were started with --job.

    At most 10 run at once, of one venue's downloads one at a time; others wait for their turn. A job outlives
    the terminal. One whose process was killed is begun anew if it can go on where it was, as downloads can,
    and has failed otherwise. Without a command, as list.

    \b
    Examples:
      kandle history download binance BTC/USDT ETH/USDT --interval 1m --from 2024-01-01 --job
      kandle jobs
      kandle jobs show 2
      kandle jobs cancel 2
      kandle jobs run -- reprocess --help
    """  # noqa: D301 - click asks for this control character
    if context.invoked_subcommand is None:
        context.invoke(list_, data_dir=data_dir, as_json=as_json)


@jobs.command("list")
@DATA
@JSON
def list_(data_dir: str | None, as_json: bool) -> None:
    """Show all jobs, the oldest first."""
    found = _store(data_dir).jobs()
    if as_json:
        for job in found:
            click.echo(msgspec.json.encode(job))
        return
    if not found:
        click.echo("there are no jobs: history download, backtest and optimize take --job")
        return
    header = (
        "id",
        "kind",
        "provider",
        "state",
        "done",
        "rows",
        "asked for (UTC)",
        "took",
        "request or error",
    )
    click.echo(table(header, [_row(job) for job in found]))


@jobs.command()
@click.argument("id_", metavar="ID", type=int)
@DATA
@JSON
def show(id_: int, data_dir: str | None, as_json: bool) -> None:
    """Show a job, and what it has answered."""
    store = _store(data_dir)
    job = store.job(id_)
    answer = _text(store.output(id_)) if job.state == "done" else ""
    if as_json:
        told: dict[str, Any] = msgspec.to_builtins(job)
        try:
            told["response"] = [msgspec.json.decode(line) for line in answer.splitlines()] or None
        except msgspec.DecodeError:
            told["response"] = answer
        click.echo(msgspec.json.encode(told))
        return
    rows = [
        ("kind", job.kind),
        ("provider", job.provider),
        ("request", f"kandle {' '.join(job.request)}"),
        ("folder", job.folder),
        ("state", job.state + (", to be ended" if job.is_stopping and job.state == "running" else "")),
        ("done", _part(job)),
        ("asked for", moment(job.created)),
        ("started", moment(job.started)),
        ("ended", moment(job.ended)),
        ("attempts", str(job.attempts)),
        ("rows", "-" if job.rows is None else f"{job.rows:,}"),
        ("error", job.error or "-"),
        ("log", str(store.log(id_))),
    ]
    click.echo(table(("job", str(id_)), rows))
    if answer:
        click.echo(f"\n{answer}")


@jobs.command()
@click.argument("id_", metavar="ID", type=int)
@DATA
@JSON
def cancel(id_: int, data_dir: str | None, as_json: bool) -> None:
    """End a job; what a download has kept stays. Waits until it has ended, 11 s at most."""
    job = worker.cancel(_data_dir(data_dir), id_)
    click.echo(msgspec.json.encode(job) if as_json else f"job {job.id} is {job.state}")


@jobs.command()
@click.argument("request", nargs=-1, required=True, type=click.UNPROCESSED)
@DATA
@JSON
def run(request: tuple[str, ...], data_dir: str | None, as_json: bool) -> None:
    """Run any command of kandle as a job, a backfill for one; put -- before it."""
    job = submit(_data_dir(data_dir), request[0], request[1] if len(request) > 1 else "-", list(request))
    click.echo(msgspec.json.encode(job) if as_json else f"job {job.id} is queued")


@jobs.command(hidden=True)
def work() -> None:
    """Do the next job in this process; started by whoever queues one."""
    worker.work(load().data_dir)


def _store(data_dir: str | None) -> JobStore:
    folder = _data_dir(data_dir)
    worker.start_waiting(folder)
    return JobStore(folder)


def _data_dir(data_dir: str | None) -> Path:
    return load(**({"data_dir": data_dir} if data_dir else {})).data_dir


def _row(job: Job) -> tuple[object, ...]:
    told = job.error or " ".join(job.request)
    told = told if len(told) <= LONGEST else f"{told[: LONGEST - 1]}…"
    rows = "-" if job.rows is None else f"{job.rows:,}"
    fixed = (str(job.id), job.kind, job.provider, job.state, _part(job), rows)
    return (*fixed, moment(job.created), _took(job), " ".join(told.split()))


def _part(job: Job) -> str:
    return "-" if job.part is None else f"{100 * job.part:.0f} %"


def _took(job: Job) -> str:
    if job.started is None:
        return "-"
    ended = time.time_ns() // 1_000 if job.ended is None else job.ended
    return f"{(ended - job.started) / 1e6:,.1f} s"


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace").strip() if path.exists() else ""
