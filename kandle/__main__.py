"""The `kandle` command: one subcommand a file in `kandle/commands/`, imported when it is called."""

import atexit
import gc
import importlib
import sys
from typing import Final

import click

from infra.secrets import MASK, write_traceback
from schemas.errors import KandleError

COMMANDS: Final = {
    "up": "kandle.commands.up",
    "produce": "kandle.commands.stages",
    "process": "kandle.commands.stages",
    "sink": "kandle.commands.sink",
    "simulate": "kandle.commands.stages",
    "serve": "kandle.commands.serve",
    "status": "kandle.commands.status",
    "events": "kandle.commands.events",
    "venues": "kandle.commands.venues",
    "check": "kandle.commands.check",
    "ticker": "kandle.commands.ticker",
    "ohlcv": "kandle.commands.ohlcv",
    "candles": "kandle.commands.candles",
    "indicators": "kandle.commands.indicators",
    "signals": "kandle.commands.signals",
    "backtest": "kandle.commands.backtest",
    "history": "kandle.commands.history",
    "jobs": "kandle.commands.jobs",
    "optimize": "kandle.commands.optimize",
    "parse": "kandle.commands.parse",
    "record": "kandle.commands.record",
    "reprocess": "kandle.commands.reprocess",
    "replay": "kandle.commands.replay",
    "symbols": "kandle.commands.symbols",
    "producers": "kandle.commands.producers",
    "alerts": "kandle.commands.alerts",
    "cache": "kandle.commands.cache",
    "notify": "kandle.commands.notify",
    "topics": "kandle.commands.topics",
    "tail": "kandle.commands.tail",
    "dlq": "kandle.commands.dlq",
    "archive": "kandle.commands.archive",
    "sql": "kandle.commands.sql",
    "verify": "kandle.commands.verify",
    "backup": "kandle.commands.backup",
    "restore": "kandle.commands.backup",
    "doctor": "kandle.commands.doctor",
    "config": "kandle.commands.config",
    "reference": "kandle.commands.reference",
    "metrics": "kandle.commands.metrics",
}
"""Where each command lives: a start pays only for what it runs."""


class LazyGroup(click.Group):
    """A group whose commands are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, or None."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(COMMANDS[cmd_name]), cmd_name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kandle")
def cli() -> None:
    """Markets as streams: exchanges to Kafka, candles, indicators, signals, TimescaleDB, notifications.

    \b
    Start here:
      kandle up                       everything on this machine
      kandle up --feed FILE --once    play a capture, then stop
      kandle tail market.trades.v1    watch a topic
      kandle sql "SELECT * FROM candles ORDER BY time DESC LIMIT 5"
    """  # noqa: D301 - click asks for this control character


def main() -> None:
    """Run the command; errors raised on purpose become one message and an exit code."""
    sys.excepthook = write_traceback
    # Else the interpreter looks through all objects again before it ends: half a second.
    atexit.register(gc.freeze)
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output, `head` for one, has seen enough.
        sys.stderr.close()
        sys.exit(0)
    except KandleError as error:
        click.echo(MASK.masked(f"kandle: {error}"), err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
