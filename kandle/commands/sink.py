"""`kandle sink`: write the topics to the database and elsewhere; mend what was written."""

import click

from kandle.commands.sink_accept import accept
from kandle.commands.sink_migrate import migrate
from kandle.commands.sink_rebuild import rebuild
from kandle.commands.stages import prepare_stage, run_stage


@click.group(invoke_without_command=True)
@click.option("--only", multiple=True, metavar="NAME", help="This sink alone; may be given several times.")
@click.pass_context
def sink(context: click.Context, only: tuple[str, ...]) -> None:
    """Write the topics to the database, and send notifications.

    Which sinks run is the setting sink.run: timescale and notifications, unless it says otherwise.

    Example: DATABASE_URL=postgresql://user@host/db KAFKA_BOOTSTRAP_SERVERS=localhost:9092 kandle sink
    """
    if context.invoked_subcommand is None:
        from sinks.stage import run

        run_stage(run, prepare_stage("sink", sink={"run": list(only)} if only else {}))
    elif only:
        raise click.UsageError("--only chooses what runs, and says nothing to a command after it")


sink.add_command(accept)
sink.add_command(migrate)
sink.add_command(rebuild)
