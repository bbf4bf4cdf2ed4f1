"""The subcommands of `kandle`."""
